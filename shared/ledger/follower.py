"""The follower: one per service and node, by lease. It folds the store's facts in order and moves the cursor.

NATS tells it that there is news; the store tells it what. A cursor a ledger, moved only by the holder of the
lease (the fencing number is in the filter of every write), and only after everything the batch touched is
persisted: so a crash at any point means that facts are folded again, which changes nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, PyMongoError

from shared.facts.fact import LARGEST_NUMBER, Fact, Unreadable
from shared.facts.names import LedgerName, ledger_name
from shared.facts.verify import ChainTrouble, Head, check_chain
from shared.ledger.lease import Lease
from shared.ledger.store import JOURNALED, Document, LedgerStore

log = logging.getLogger(__name__)

BATCH = 512
DUPLICATE_KEY = 11000
BEYOND = (LARGEST_NUMBER, 0)
"""No place in a ledger comes after this."""
FULL_LOOK_SECONDS = 30.0
"""However busy, all ledgers are looked at this often: news may be lost."""
REST_SECONDS = (0.02, 0.1)
"""Under load a follower rests between two batches for as long as the last one took, within these bounds: news then
comes in fewer, larger batches, and whoever waits for an answer is served first."""
LOAD_BATCHES = 3
"""Load is so many batches one upon the other; before that, news is taken at once."""
SOON_SECONDS = 0.1
"""How soon after its last batch a follower looks whether anything came that no news told of."""
FOLD_VERSION = "@fold"


class LostLease(RuntimeError):  # noqa: N818 - what happened
    """Another replica holds the lease now: this one stops writing."""


@dataclass(frozen=True, slots=True)
class Hint:
    """There was news in a ledger at that time; `own`: this process committed it, so that its memory tells it all."""

    at: float
    own: bool = False


class Fold(Protocol):
    """What a service does with facts. `fold` may be called with facts it has seen before."""

    version: int

    def wants(self, ledger: LedgerName) -> bool:
        """Whether facts of this ledger concern the service at all."""

    def fold(self, facts: Sequence[Fact]) -> None:
        """Writes state rows, and persists the keys it touched."""

    def rebuild(self, ledgers: Iterable[tuple[str, Iterable[Sequence[Fact]]]]) -> dict[str, Head]:
        """Folds everything into fresh collections and swaps them in. Returns how far it got per ledger."""


class Follower:
    """Follows every ledger of the node for one service.

    `gather` says for how many seconds news is gathered before it is folded: for services whose readers can wait that
    long, so that those whose readers cannot are served first, and a burst costs one batch. `turn` is held while such
    a batch is folded: many at once would only be in each other's way. `follow_now` never waits.
    """

    def __init__(
        self,
        name: str,
        store: LedgerStore,
        cursors: Collection[Document],
        lease: Lease,
        fold: Fold,
        *,
        poll: float = 1.0,
        gather: Callable[[], float] = lambda: 0.0,
        turn: AbstractContextManager[object] | None = None,
        after_batch: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self._store = store
        self._cursors = cursors.with_options(write_concern=JOURNALED)
        self._lease = lease
        self._fold = fold
        self._poll = poll
        self._gather = gather
        self._turn = turn or nullcontext()
        self._after_batch = after_batch
        self._news = threading.Event()
        self._hints: dict[str, Hint] = {}
        self._level_at: dict[str, float] = {}
        """When a ledger was last found to hold nothing more: news that is older has been folded."""
        self._lock = threading.Lock()
        self._working = threading.Lock()
        self._positions: dict[str, Head] = {}
        self._loaded_for = 0
        self._folded_as: tuple[int, int] | None = None
        """Version of the fold, and how often ledgers had been taken back, when everything was last folded."""
        self._scanned_at = -FULL_LOOK_SECONDS
        self._busy = False
        self._rest_until = 0.0
        self._in_a_row = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"follower-{name}", daemon=True)
        self.caught_up = threading.Event()
        """Set once everything that stood in the store at the start is folded."""
        self.waiting: dict[str, str] = {}
        """Ledgers that cannot be followed further just now, and why (a gap, a fork); the others go on."""
        self.trouble: str | None = None
        """Why the follower cannot go on just now; None if it can."""
        self._failing: dict[str, str] = {}

    # -- from outside ----------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(timeout=20)
        try:
            self._lease.release()
        except PyMongoError:
            log.info("%s: the lease could not be released; it expires by itself", self.name)

    def nudge(self, ledgers: Iterable[str], *, own: bool = False) -> None:
        """There is news in these ledgers; `own` if this process has committed it."""
        now = time.monotonic()
        with self._lock:
            for ledger in ledgers:
                earlier = self._hints.get(ledger)
                self._hints[ledger] = Hint(now, own and (earlier is None or earlier.own))
        self._news.set()

    def follow_now(self, ledgers: Iterable[str], reached: Mapping[str, tuple[int, int]] | None = None) -> bool:
        """Folds what there is of these ledgers and returns when it is done; False if another replica follows.

        `reached` says up to which place that is needed; nothing is read for what has been folded so far.
        """
        now = time.monotonic()
        self._rest()
        with self._working:
            if not self._lease.is_held and not self._lease.try_hold():
                return False
            if self._loaded_for != self._lease.fencing:
                self._news.set()
                return False  # the thread settles in first, then this news is taken again
            self._busy = True
            wanted = reached or {}
            behind = [ledger for ledger in ledgers if self._position(ledger) < wanted.get(ledger, BEYOND)]
            self._follow(dict.fromkeys(behind, Hint(now)))
        if self._after_batch is not None:
            self._after_batch()
        return True

    @property
    def leads(self) -> bool:
        return self._lease.is_held

    def position(self, ledger: str) -> Head:
        """How far this service has folded a ledger, on whichever replica."""
        found = self._cursors.find_one({"_id": ledger})
        return Head() if found is None else Head(found["epoch"], found["sequence"], found["hash"])

    def lag(self) -> dict[str, int]:
        """Facts not yet folded per ledger; empty when level."""
        behind = {}
        for ledger, head in self._store.heads().items():
            if self._wants(ledger):
                at = self.position(ledger)
                missing = head.sequence - (at.sequence if at.epoch == head.epoch else 0)
                if missing > 0:
                    behind[ledger] = missing
        return behind

    def rebuild(self) -> dict[str, Head]:
        """Folds everything from the store into fresh collections and swaps them in."""
        with self._working:
            if not self._lease.try_hold():
                raise LostLease(f"{self.name}: another replica follows; ask it to rebuild")
            self._store.barrier()
            self._load()
            self._loaded_for = 0  # whatever happens now, the thread settles in anew afterwards
            done = self._refold()
        self._news.set()
        return done

    # -- the thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._rest()
                if self._lease.is_fresh or self._lease.try_hold():
                    self._step()
                else:
                    self._loaded_for = 0
                    self._failing.clear()
                    self.caught_up.set()  # another replica follows; this one serves what that one folds
                self.trouble = next(iter(self._failing.values()), None)
            except LostLease as lost:
                log.warning("%s", lost)
                self._loaded_for = 0
            except PyMongoError as error:
                self.trouble = f"store unreachable: {type(error).__name__}"
                self._loaded_for = 0
                log.warning("%s: %s", self.name, error)
                self._stopping.wait(0.2)
            except Exception as error:  # the fold has a fault: shown in readiness, tried again, nothing skipped
                self.trouble = f"{type(error).__name__}: {error}"
                log.exception("%s: fold failed", self.name)
                self._loaded_for = 0
                self._stopping.wait(1.0)
            if self._news.wait(SOON_SECONDS if self._busy else min(self._poll, self._lease.renewal_seconds)):
                self._stopping.wait(self._gather())
            self._news.clear()

    def _rest(self) -> None:
        rest = self._rest_until - time.monotonic()
        if rest > 0:
            self._stopping.wait(rest)

    def _rest_after(self, began: float) -> None:
        least, most = REST_SECONDS
        ended = time.monotonic()
        self._in_a_row = self._in_a_row + 1 if began - self._rest_until < least else 0
        rest = min(max(ended - began, least), most) if self._in_a_row >= LOAD_BATCHES else 0.0
        self._rest_until = ended + rest

    def _step(self) -> None:
        with self._working:
            if self._loaded_for != self._lease.fencing:
                self._store.barrier()  # what stands in the store is durable from here on
                self._load()
                self._refold_if_newer()
                self._scanned_at = -FULL_LOOK_SECONDS
            now = time.monotonic()
            with self._lock:
                hints, self._hints = self._hints, {}
            unheard: set[str] = set()
            if not hints:  # a quiet moment: is there anything that no news told us of?
                unheard = self._behind(self._store.tails())
                self._refold_if_newer()
            full_look = now - self._scanned_at > FULL_LOOK_SECONDS
            if full_look:
                unheard.update(self._store.tails())
                self._refold_if_newer()
                self._scanned_at = now
            self._busy = bool(hints)
            before = {ledger: self._position(ledger) for ledger in unheard}
            with self._turn:
                self._follow({**hints, **dict.fromkeys(unheard, Hint(now))})
            self._say_what_is_missing(one for one in unheard if full_look or self._position(one) == before[one])
            self.caught_up.set()
        if self._after_batch is not None:
            self._after_batch()

    def _behind(self, tails: Mapping[str, tuple[int, int]]) -> set[str]:
        return {ledger for ledger, tail in tails.items() if self._position(ledger) < tail and self._wants(ledger)}

    def _position(self, ledger: str) -> tuple[int, int]:
        return self._positions.get(ledger, Head()).position

    def _say_what_is_missing(self, ledgers: Iterable[str]) -> None:
        """A gap wider than a window, or a store put back to before the cursor, shows in no batch of facts."""
        for ledger in ledgers:
            at = self._positions.get(ledger, Head())
            head = self._store.head(ledger)
            if ledger in self.waiting or not self._wants(ledger) or head.position == at.position:
                continue
            if head.position < at.position:
                told = (
                    f"{ledger} ends at {head.epoch}:{head.sequence} here, but was folded up to {at.epoch}:{at.sequence}"
                )
                self.waiting[ledger] = f"{told}: the store was put back; take its facts back, or rebuild"
            elif ledger not in self._failing and not self._store.after(ledger, at.position, 1):
                self.waiting[ledger] = f"{ledger}: expected sequence {at.sequence + 1} of epoch {at.epoch}"

    def _wants(self, ledger: str) -> bool:
        try:
            return self._fold.wants(ledger_name(ledger))
        except ValueError as error:  # of a service that only a newer version knows
            self.waiting[ledger] = str(error)
            return False

    def _load(self) -> None:
        fencing = self._lease.fencing
        self._positions, self._level_at, self._folded_as = {}, {}, None
        for found in self._cursors.find({}):
            if found["_id"] != FOLD_VERSION:
                self._positions[found["_id"]] = Head(found["epoch"], found["sequence"], found["hash"])
        self._loaded_for = fencing

    def _refold_if_newer(self) -> None:
        """Folds everything again if the fold is a newer one, or if facts that were folded have been given up."""
        if self._folded_as == (self._fold.version, self._store.cuts):
            return
        self._store.tails()
        found = self._cursors.find_one({"_id": FOLD_VERSION})
        self._folded_as = None if found is None else (found["version"], found.get("cuts", 0))
        if self._folded_as == (self._fold.version, self._store.cuts):
            return
        if found is not None or self._positions:
            log.info("%s: the fold is newer, or a ledger was taken back; folding everything again", self.name)
            self._refold()
            return
        self._note_fold(self._store.cuts)

    def _note_fold(self, cuts: int) -> None:
        told = {"version": self._fold.version, "cuts": cuts}
        self._cursors.update_one({"_id": FOLD_VERSION}, {"$set": told}, upsert=True)
        self._folded_as = (self._fold.version, cuts)

    def _refold(self) -> dict[str, Head]:
        """Folds from the first facts on, and puts every cursor where that ended."""
        self._store.tails()
        cuts = self._store.cuts  # as it was before: what is given up meanwhile is folded away the next time
        done = self._fold.rebuild(self._everything())
        self._move({ledger: done.get(ledger, Head()) for ledger in self._positions.keys() | done.keys()})
        self._note_fold(cuts)
        return done

    def _everything(self) -> Iterable[tuple[str, Iterable[Sequence[Fact]]]]:
        fencing = self._lease.fencing
        for ledger in self._store.ledgers():
            if self._wants(ledger):
                yield ledger, self._batches(ledger, fencing)
        self._lead_on(fencing)  # the last look before fresh rows take the place of what another replica may write

    def _batches(self, ledger: str, fencing: int) -> Iterable[Sequence[Fact]]:
        at = Head()
        while facts := self._contiguous(ledger, at, self._store.after(ledger, at.position, BATCH)):
            self._lead_on(fencing)
            yield facts
            at = Head(facts[-1].header.epoch, facts[-1].header.sequence, facts[-1].hash)

    def _lead_on(self, fencing: int) -> None:
        """However long a rebuild takes, the lease is kept. Raises LostLease if it was lost all the same."""
        if not self._lease.try_hold() or self._lease.fencing != fencing:
            raise LostLease(f"{self.name}: the lease went to another replica during the rebuild")

    def _follow(self, hints: Mapping[str, Hint]) -> None:
        """Folds across ledgers in batches, so that many quiet ledgers cost no more than one busy one."""
        recent = self._store.recent
        heard = (ledger for ledger, hint in hints.items() if self._level_at.get(ledger, 0.0) <= hint.at)
        pending = sorted(ledger for ledger in heard if self._wants(ledger))
        while pending and not self._stopping.is_set():
            began = time.monotonic()
            batch: list[Fact] = []
            heads: dict[str, Head] = {}
            unfinished: list[str] = []
            level: dict[str, float] = {}
            for ledger in pending:
                room = BATCH - len(batch)
                if room <= 0:
                    unfinished.append(ledger)
                    continue
                at, now = self._positions.get(ledger, Head()), time.monotonic()
                if hints[ledger].own and recent.is_newest(ledger, at.position):
                    continue
                held = recent.after(ledger, at.position, room)
                found = self._store.after(ledger, at.position, room) if held is None else list(held)
                facts = self._contiguous(ledger, at, found)
                if facts:
                    batch.extend(facts)
                    last = facts[-1]
                    heads[ledger] = Head(last.header.epoch, last.header.sequence, last.hash)
                if facts and (held is None or len(held) == room):  # there may be more, in this epoch or the next
                    unfinished.append(ledger)
                else:
                    level[ledger] = now
            if batch:
                self._fold_all(batch)
                self._move({ledger: head for ledger, head in heads.items() if ledger not in self._failing})
                if not self._lease.is_held and not self._lease.try_hold():
                    raise LostLease(f"{self.name}: the lease went to another replica")
                self._rest_after(began)
            self._level_at.update((one, at) for one, at in level.items() if one not in self._failing)
            pending = [ledger for ledger in unfinished if ledger not in self._failing]

    def _fold_all(self, batch: list[Fact]) -> None:
        """Folds a batch; if the fold has a fault with one ledger, the others go on and the fault is shown."""
        ledgers = {str(fact.header.ledger) for fact in batch}
        for ledger in ledgers:
            self._failing.pop(ledger, None)
        try:
            self._fold.fold(batch)
        except (PyMongoError, LostLease):
            raise
        except Exception:
            log.exception("%s: fold failed; trying ledger by ledger", self.name)
            for ledger in sorted(ledgers):
                try:
                    self._fold.fold([fact for fact in batch if str(fact.header.ledger) == ledger])
                except PyMongoError:
                    raise
                except Exception as error:
                    self._failing[ledger] = f"fold of {ledger} failed: {type(error).__name__}: {error}"

    def _contiguous(self, ledger: str, at: Head, facts: list[Fact]) -> list[Fact]:
        """The facts that follow `at` without a gap: the cursor never jumps, and never crosses a broken chain."""
        head = at
        for number, fact in enumerate(facts):
            try:
                check_chain(fact, head)
            except ChainTrouble as trouble:
                self.waiting[ledger] = trouble.detail
                return facts[:number]
            except Unreadable as error:
                self.waiting[ledger] = f"{ledger}: after {head.epoch}:{head.sequence} stands what is no fact: {error}"
                return facts[:number]
            head = Head(fact.header.epoch, fact.header.sequence, fact.hash)
        self.waiting.pop(ledger, None)
        return facts

    def _move(self, heads: Mapping[str, Head]) -> None:
        """Moves cursors, journaled: which puts on disk all that the fold wrote before. Raises LostLease."""
        if not heads:
            return
        fencing = self._lease.fencing
        moves = []
        for ledger, head in heads.items():
            place = {"epoch": head.epoch, "sequence": head.sequence, "hash": head.hash, "fencing": fencing}
            moves.append(UpdateOne({"_id": ledger, "fencing": {"$lte": fencing}}, {"$set": place}, upsert=True))
        try:
            self._cursors.bulk_write(moves, ordered=False)
        except BulkWriteError as error:
            if any(problem["code"] == DUPLICATE_KEY for problem in error.details["writeErrors"]):
                raise LostLease(f"{self.name}: a later holder of the lease moved the cursors") from error
            raise
        self._positions.update(heads)
