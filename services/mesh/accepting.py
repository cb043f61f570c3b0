"""Taking facts of other nodes into the store: each is checked once, and ends as one of the design's kinds of trouble
or as a fact like our own. Everything here is synchronous and may be repeated: whoever was cut off does it again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pymongo.database import Database
from pymongo.errors import BulkWriteError, PyMongoError

from shared.bus.homing import stand_aside
from shared.facts.fact import Fact
from shared.facts.keys import KeyBook
from shared.facts.names import LedgerName, ledger_name
from shared.facts.verify import NotAuthentic, Trouble
from shared.ledger.cutting import Cutting, Forks, contradict, last_common
from shared.ledger.identity import ROSTER_LEDGER, Identity, Roster
from shared.ledger.keyring import Keyring
from shared.ledger.quarantine import Quarantine
from shared.ledger.store import Document, LedgerStore
from shared.ledger.witness import foreign_heads
from shared.telemetry import counter

from .checking import Outcome, by_ledger, is_authentic, is_foldable, sort_out
from .quotas import Quotas
from .revoking import facts_beyond, put_away_revoked, suspended
from .shelf import StoreShelf
from .waiting import WaitingFacts

log = logging.getLogger(__name__)

ATTEMPTS = 5
BOOK_SECONDS = 5.0
"""So long is the roster's key book trusted without being read again; news of the roster come sooner."""


@dataclass
class Taken:
    """What became of what was taken at once."""

    accepted: int = 0
    known: int = 0
    waiting: int = 0
    refused: int = 0
    moved: set[str] = field(default_factory=set)
    """Ledgers that have news here."""
    gaps: set[str] = field(default_factory=set)
    """Ledgers of which something must be asked for."""


class Accepting:
    """One at a time: whoever calls holds a lock."""

    def __init__(
        self,
        store: LedgerStore,
        identity: Identity,
        roster: Roster,
        keyring: Keyring,
        quarantine: Quarantine,
        database: Database[Document],
        nudge: Callable[[Iterable[str]], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        quotas: Quotas | None = None,
    ) -> None:
        self.store = store
        self.identity = identity
        self.roster = roster
        self.cutting = Cutting(store)
        self.forks = Forks(store)
        self.waiting = WaitingFacts(database["waiting"])
        self._keyring = keyring
        self._quarantine = quarantine
        self._shelf = StoreShelf(store, self.cutting, self.forks)
        self._paused = database["paused"]
        self._nudge = nudge
        self._clock = clock
        self.quotas = quotas
        self._book: KeyBook | None = None
        self._book_at = 0.0
        self._roster_at: str | None = None
        self._not_taken: frozenset[str] = frozenset()

    # -- from outside ----------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Before the first fact, and whenever the lease came back: what was cut off is finished, memory dropped."""
        self.cutting.finish()
        self.forks.reload()
        self.waiting.reload()
        if self.quotas is not None:
            self.quotas.reload()
        self._shelf.forget()
        self._roster_at = None
        self.refresh()

    def refresh(self) -> set[str]:
        """Reads the roster again; if it has moved, what waited for it is looked at. Ledgers that have news."""
        self._book = self.roster.book()
        self._book_at = self._clock()
        self._not_taken = suspended(self.roster.members()) | frozenset(self.paused())
        head = self.store.head(ROSTER_LEDGER).hash
        if head == self._roster_at:
            return set()
        first, self._roster_at = self._roster_at is None, head
        moved = set() if first and not self.roster.members() else self._review()
        for ledger in self.waiting.ledgers("agency", "key", "key_range"):
            moved |= self.take("waiting", self.waiting.of(ledger)).moved
        return moved

    def keep_up(self) -> None:
        """Reads the roster again where it may have moved, and what an operator said on another replica. Called also
        while no fact comes: a revocation waits for none."""
        if self._book is None or self._clock() - self._book_at > BOOK_SECONDS:
            self.refresh()
            if self.quotas is not None:
                self.quotas.notice_lifted()

    def roster_moved(self) -> None:
        """There is news of the roster: it is read before the next fact is checked."""
        self._book_at = -BOOK_SECONDS

    def paused(self) -> list[str]:
        return sorted(found["_id"] for found in self._paused.find({}))

    def pause(self, agency: str) -> None:
        """From now on nothing of this agency is taken in."""
        self._paused.update_one({"_id": agency}, {"$set": {}}, upsert=True)
        self.roster_moved()

    def resume(self, agency: str) -> None:
        """What came meanwhile is asked for; what was counted towards its quotas is forgotten."""
        self._paused.delete_one({"_id": agency})
        if self.quotas is not None:
            self.quotas.lift(agency)
        self.roster_moved()

    def over_quota(self, agency: str) -> str | None:
        """Why no more of this agency is taken in just now."""
        return None if self.quotas is None else self.quotas.over(agency)

    def take(self, source: str, facts: Iterable[Fact]) -> Taken:
        """Takes in what of `facts` is authentic and follows; `source` is told to the operator. Raises PyMongoError."""
        self.keep_up()
        taken = Taken()
        arrived = list(facts)
        held = self.store.hashes_present(list({fact.hash for fact in arrived}))
        taken.known += sum(fact.hash in held for fact in arrived)
        try:
            for ledger, some in by_ledger(fact for fact in arrived if fact.hash not in held).items():
                self._take_ledger(source, ledger, some, taken)
        except PyMongoError:  # perhaps it was stored and only the answer is lost: nothing that is remembered counts
            self._shelf.forget()
            self.roster_moved()
            raise
        if taken.moved:
            self._nudge(taken.moved)
        return taken

    def refuse(self, source: str, trouble: Trouble, content: bytes, place: str | None = None) -> None:
        """Records what is not authentic; capped per source."""
        self._quarantine.add(
            source=source, kind=trouble.kind, code=trouble.code, detail=trouble.detail, content=content, place=place
        )
        counter("pilotmesh.intake.refused").add(1, {"peer": source, "code": trouble.code})

    def count_refused(self, source: str, count: int) -> None:
        """More of the same source was not authentic."""
        self._quarantine.count_more(source, "not_authentic", count)
        counter("pilotmesh.intake.refused").add(count, {"peer": source, "code": "overflow"})

    def learn_of_fork(self, source: str, first: Fact, second: Fact) -> bool:
        """Evidence from another node: believed if both facts are authentic. True if it was news."""
        ledger = str(first.header.ledger)
        if not contradict(first, second) or self.forks.known([(first.hash, second.hash)]):
            return False
        if not all(self._is_authentic(fact) for fact in (first, second)):
            return False
        self._fork(source, first, second)
        self._enforce(ledger)
        self._nudge({ledger})
        return True

    def book(self) -> KeyBook:
        assert self._book is not None
        return self._book

    # -- one ledger ------------------------------------------------------------------------------------------

    def _take_ledger(self, source: str, ledger: str, arrived: Sequence[Fact], taken: Taken) -> None:
        name = arrived[0].header.ledger
        if name.is_private:
            for fact in arrived:
                told = f"{fact.place}: a private ledger never leaves its node"
                self._refused(source, fact, NotAuthentic("audience", told), taken)
            return
        if self._keyring.hosts(name.agency):
            self._look_at_own(source, ledger, arrived, taken)
            return
        if name.agency in self._not_taken or self.over_quota(name.agency):
            return
        waited = self.waiting.of(ledger)
        for _ in range(ATTEMPTS):
            out = self._sort([*arrived, *waited], ledger)
            if not self._gives_way(ledger, out, taken) and self._apply(source, ledger, out, taken):
                break
            self._shelf.forget(ledger)
        else:
            raise RuntimeError(f"{ledger} changed under the intake on every attempt")
        if waited or out.waiting:
            self.waiting.settle(ledger, out.waiting, source)
        if ledger == ROSTER_LEDGER and out.accepted:
            taken.moved |= self.refresh()

    def _gives_way(self, ledger: str, out: Outcome, taken: Taken) -> bool:
        """An agency that moved to another node: what this one wrote for it before it heard of that is no fork. It is
        given up for what the agency's node wrote. True if there was any."""
        strays = [(held, other) for held, other in out.forks if self.store.is_own(held.hash)]
        for held, other in strays:
            self.cutting.cut(ledger, last_common(held, other), stray=True)
        if strays:
            log.warning("%s: gave up what this node wrote after the agency had moved", ledger)
            self.store.tails()
            taken.moved.add(ledger)
        return bool(strays)

    def _sort(self, facts: Sequence[Fact], ledger: str) -> Outcome:
        return sort_out(facts, ledger, mesh=self.identity.mesh, book=self.book(), shelf=self._shelf)

    def _apply(self, source: str, ledger: str, out: Outcome, taken: Taken) -> bool:
        """Does what was decided. False if somebody else has written to the ledger meanwhile."""
        if out.cut is not None:
            self.cutting.cut(ledger, out.cut)
            taken.moved.add(ledger)
        if out.accepted:
            if not self._insert(out.accepted):
                return False
            self._shelf.moved(ledger, out.head)
            if self.quotas is not None:
                self.quotas.count(out.accepted[0].header.agency, out.accepted)
            taken.accepted += len(out.accepted)
            taken.moved.add(ledger)
            self._tell_what_cannot_be_read(source, out.accepted)
        self._note_trouble(source, ledger, out, taken)
        for fact, trouble in out.waiting:
            if trouble.kind == "unknown_key":
                self.refuse(source, trouble, fact.protected, fact.place)
        taken.known += len(out.known)
        taken.waiting += len(out.waiting)
        if out.gap:
            taken.gaps.add(ledger)
        return True

    def _note_trouble(self, source: str, ledger: str, out: Outcome, taken: Taken) -> None:
        """Forks freeze the ledger; what was refused is recorded."""
        for first, second in out.forks:
            self._fork(source, first, second)
        if out.forks:
            taken.moved.add(ledger)
            self._enforce(ledger)
        for fact, trouble in out.refused:
            self._refused(source, fact, trouble, taken)

    def _refused(self, source: str, fact: Fact, trouble: Trouble, taken: Taken) -> None:
        taken.refused += 1
        self.refuse(source, trouble, fact.protected, fact.place)

    def _insert(self, facts: Sequence[Fact]) -> bool:
        """One journaled insert. False if another fact stands in one of the places."""
        rest, twice = list(facts), set[str]()
        while rest:
            try:
                self.store.insert(rest, [None] * len(rest), own=False, twice=twice)
            except BulkWriteError as error:
                done = int(error.details.get("nInserted", 0))
                self.store.note_tails(rest[:done])
                refused = rest[done]
                there = self.store.at(str(refused.header.ledger), *refused.header.position)
                if there is not None and there.hash != refused.hash:
                    return False
                if there is None and refused.hash in twice:
                    raise
                if there is None:  # its writer used its version twice, and it is a fact all the same
                    twice.add(refused.hash)
                rest = rest[done + (there is not None) :]
            else:
                return True
        return True

    def _tell_what_cannot_be_read(self, source: str, facts: Sequence[Fact]) -> None:
        for fact in facts:
            if not is_foldable(fact):
                told = f"{fact.place}: {fact.header.type} cannot be read by this node; it is kept"
                self._quarantine.add(
                    source=source,
                    kind="not_foldable",
                    code="not_foldable",
                    detail=told,
                    content=fact.protected,
                    place=fact.place,
                )

    def _look_at_own(self, source: str, ledger: str, arrived: Sequence[Fact], taken: Taken) -> None:
        """Facts of an agency that this node hosts are never taken from outside. Authentic ones that are not here tell
        that another node writes in its name, or that this node's disk was put back."""
        self._shelf.forget(ledger)
        out = self._sort(arrived, ledger)
        self._note_trouble(source, ledger, out, taken)
        for fact in [*out.accepted, *(fact for fact, trouble in out.waiting if trouble.code == "gap")]:
            told = f"{fact.place} is signed by {fact.header.agency}, which this node hosts, and is not held here"
            self.refuse(source, Trouble("own", told), fact.protected, fact.place)
            taken.refused += 1

    # -- forks and revocations -------------------------------------------------------------------------------

    def _fork(self, source: str, first: Fact, second: Fact) -> None:
        if not self.forks.add(first, second):
            return
        log.error("fork: %s (%s) and %s (%s)", first.place, first.hash, second.place, second.hash)
        told = f"{first.place} ({first.hash[:16]}…) and {second.place} ({second.hash[:16]}…) contradict each other"
        content = "|".join(sorted((first.hash, second.hash))).encode()
        self._quarantine.add(source=source, kind="chain", code="fork", detail=told, content=content, place=first.place)

    def _enforce(self, ledger: str) -> bool:
        """Freezes a forked ledger at the last common fact. True if facts were given up."""
        self._shelf.forget(ledger)
        head = self.store.head(ledger)
        keep = self.forks.note_limit(ledger, head)
        given_up = keep is not None and head.position > keep
        if keep is not None and given_up:
            self.cutting.cut(ledger, keep)
            self._shelf.forget(ledger)
        self.store.tails()
        return given_up

    def _is_authentic(self, fact: Fact) -> bool:
        return is_authentic(fact, self.identity.mesh, self.book())

    def _review(self) -> set[str]:
        """The roster has moved: what a revoked key signed beyond its last good fact is given up, and forks of which
        one side is no longer authentic are none. Returns the ledgers that changed."""
        moved: set[str] = set()
        for first, second in self.forks.pairs():
            if not (self._is_authentic(first) and self._is_authentic(second)):
                self.forks.drop(first, second)
                moved.add(str(first.header.ledger))
        put_away_revoked(self._keyring, self.book())
        stand_aside(self._keyring, self.roster.newest(), self.identity.domain)
        for ledger, keep in facts_beyond(self.store, self.roster.members(), self.book()):
            self.cutting.cut(ledger, keep)
            moved.add(ledger)
        self._shelf.forget()
        heads = foreign_heads(self.store)
        for ledger in sorted(moved):
            heads.drop(ledger)  # it may have been signed under the key that was revoked; another is told soon
            self._restore(ledger)
        if moved:
            self.store.tails()
            self._nudge(moved)
        return moved

    def _restore(self, ledger: str) -> None:
        """What was given up only because of a fork that was none comes back."""
        head = self.store.head(ledger)
        out = self._sort(self.cutting.after(ledger, head.position), ledger)
        if out.accepted and self._insert_again(ledger, out.accepted):
            self._shelf.moved(ledger, out.head)

    def _insert_again(self, ledger: str, facts: Sequence[Fact]) -> bool:
        own = self._keyring.hosts(ledger_name(ledger).agency)
        if not own:
            return self._insert(facts)
        return self.cutting.put_back(ledger, facts)

    def writes_here(self, name: LedgerName) -> bool:
        """Whether this node writes the ledger; the anchor's only where its key lies."""
        return self._keyring.hosts(name.agency)
