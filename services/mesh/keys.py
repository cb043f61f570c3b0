"""Keys that changed: the anchor takes new ones into the roster, revokes those that were stolen; and what a node does
about its own.

The rules are pure and come first. Nobody has to tell the anchor of a rotation: it reads the announcement in the
agency's ledger, signed by the key that was replaced or by the recovery key.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from shared.bus.homing import stand_aside
from shared.facts.fact import Fact
from shared.facts.keys import KEY_BYTES, KeyBook, Place, key_id, ledger_digest
from shared.facts.names import ANCHOR, ledger_name
from shared.facts.verify import Trouble, announcements_of, check_key, succession_in
from shared.ledger.cutting import Cutting
from shared.ledger.drafts import SYSTEM, Author
from shared.ledger.identity import EarlierKey, Identity, Member, Revocation, Roster, members_of, roster_state
from shared.ledger.keyring import Keyring
from shared.ledger.rekeying import Rekeying
from shared.ledger.store import LedgerStore
from shared.problems import Conflict, Fault, Invalid, NotFound

from .members import RosterWriter
from .revoking import facts_beyond, put_away_revoked

log = logging.getLogger(__name__)

SWEEPING_SECONDS = 60.0
"""So long after a rotation a command that had its key before may still begin a ledger: longer than it may wait."""
SETTLED_SECONDS = 3600.0


# -- rules ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Announced:
    """What one announcement says: `public` follows `before` in ledgers that are not among `begun`."""

    before: bytes
    public: bytes
    begun: tuple[str, ...]


def announced(facts: Iterable[Fact], book: KeyBook) -> list[Announced]:
    """The announcements among an agency's rekeyings, in order; those that may not count (any more) are left out."""
    found = []
    for fact in facts:
        try:
            check_key(fact, book)
            state = fact.state or {}
            public = bytes.fromhex(state["public"])
        except (Trouble, ValueError, KeyError, TypeError):
            continue
        said = succession_in(state)
        if said is not None and len(public) == KEY_BYTES:
            found.append(Announced(said[0], public, tuple(said[1])))
    return found


def taken_up(member: Member, said: Sequence[Announced]) -> Member:
    """The member as the roster should have it after these announcements; the same object if it has it already."""
    for one in said:
        if one.before == member.public:
            earlier = EarlierKey(one.before, tuple(sorted(one.begun)))
            member = replace(member, public=one.public, earlier=(*member.earlier, earlier))
        elif one.public == member.public and member.earlier and member.earlier[-1].public == one.before:
            begun = {*member.earlier[-1].begun, *one.begun}
            if begun != set(member.earlier[-1].begun):  # a ledger begun in the last moment was told of afterwards
                last = EarlierKey(one.before, tuple(sorted(begun)))
                member = replace(member, earlier=(*member.earlier[:-1], last))
    return member


def revoked(member: Member, revocation: Revocation, good: Sequence[bytes]) -> Member:
    """The member once a key of it is revoked. `good`: keys that were announced no later than the last good fact.

    Keys that only the revoked one, or whoever stole it, put into force afterwards leave the roster.
    """
    keys = [*(one.public for one in member.earlier), member.public]
    at = next((number for number, public in enumerate(keys) if key_id(public) == revocation.keyid), None)
    if at is None:
        raise NotFound(f"{member.agency} has no key {revocation.keyid}.")
    kept = at
    while kept + 1 < len(keys) and keys[kept + 1] in good:
        kept += 1
    member = replace(member, public=keys[kept], earlier=member.earlier[:kept])
    if revocation.successor is not None and kept == at:
        begun = tuple(sorted(ledger_digest(ledger) for ledger in revocation.last_good))
        earlier = EarlierKey(member.public, begun)
        member = replace(member, public=revocation.successor, earlier=(*member.earlier, earlier))
    others = tuple(one for one in member.revocations if one.keyid != revocation.keyid)
    return replace(member, revocations=(*others, revocation))


def with_members(state: Mapping[str, Any], change: Callable[[Member], Member]) -> dict[str, Any]:
    """The roster with every member as `change` answers it."""
    members = members_of(state)
    after = [change(member) for member in members]
    return dict(state) if after == members else roster_state(after, state)


# -- what is done --------------------------------------------------------------------------------------------------


@dataclass
class KeyCare:
    """Runs on every node; what is the anchor's to do only where the anchor's key lies."""

    store: LedgerStore
    identity: Identity
    roster: Roster
    keyring: Keyring
    writer: RosterWriter
    leads: Callable[[], bool]
    """Whether it is this replica's turn."""
    reviews: Callable[[], bool]
    """Whether somebody else on this node (the intake) gives up what lies beyond a revocation."""
    nudge: Callable[[Iterable[str]], None] = lambda _: None
    _reviewed: str | None = None
    _sweeps: dict[str, tuple[str, float, float]] = field(default_factory=dict)

    def step(self) -> bool:
        """A worker's step; may be repeated, and by several replicas."""
        if not self.leads():
            return False
        self.take_up()
        self.review()
        for agency in self.keyring.hosted():
            self.sweep(agency)
        return False

    def sweep(self, agency: str) -> None:
        """For a while after a rotation: what was begun under the old key in the last moment is rekeyed. Then the keys
        that were replaced are deleted, if the roster names the new one."""
        rekeyings = self.store.rekeyings(announcements_of(agency))
        if not rekeyings:
            return
        newest, now = rekeyings[-1].hash, time.monotonic()
        seen, since, again = self._sweeps.get(agency, ("", now, now))
        if seen != newest:
            since, again = now, now
        if now < again:
            return
        rekeying = Rekeying(self.store, self.identity, self.keyring, SYSTEM, self.writer.now)
        swept = rekeying.sweep(agency)
        self.nudge(swept)
        settled = not swept and now - since > SWEEPING_SECONDS
        self._sweeps[agency] = (newest, since, now + (SETTLED_SECONDS if settled else 2.0))
        named = {key_id(member.public) for member in self.roster.members() if member.agency == agency}
        if settled and self.keyring.key(agency).keyid in named and self.keyring.next(agency) is None:
            self.keyring.drop_old(agency)

    def take_up(self) -> None:
        """The anchor re-issues the roster when an agency has announced a new key."""
        if not self.keyring.hosts(ANCHOR):
            return
        rekeyings = self.store.rekeyings()
        if not rekeyings:
            return
        book = self.roster.book()
        by_agency: dict[str, list[Fact]] = {}
        for fact in rekeyings:
            if str(fact.header.ledger) == announcements_of(fact.header.agency):
                by_agency.setdefault(fact.header.agency, []).append(fact)
        said = {agency: announced(facts, book) for agency, facts in by_agency.items()}

        def change(state: Mapping[str, Any]) -> dict[str, Any]:
            return with_members(state, lambda member: taken_up(member, said.get(member.agency, ())))

        if any(taken_up(member, said.get(member.agency, ())) != member for member in self.roster.members()):
            self.writer.change(SYSTEM, change)

    def review(self) -> None:
        """A key of this node that was revoked signs nothing more; and where no intake does it, facts that it signed
        beyond the last good ones are given up."""
        head = self.store.head(announcements_of(ANCHOR)).hash
        if head == self._reviewed:
            return
        book = self.roster.book()
        for agency in put_away_revoked(self.keyring, book):
            log.error("the signing key of %s was revoked; only its recovery key makes another", agency)
        stand_aside(self.keyring, self.roster.newest(), self.identity.domain)
        if not self.reviews():
            cut = dict(facts_beyond(self.store, self.roster.members(), book))
            for ledger, keep in cut.items():
                Cutting(self.store).cut(ledger, keep)
            self.store.tails()
            self.nudge(cut)
        self._reviewed = head

    def revoke(self, agency: str, post: Mapping[str, Any], author: Author) -> Revocation:
        """Takes a key's right away beyond the last good facts. Raises Conflict, NotFound, Invalid."""
        self.writer.need_anchor()
        if agency == ANCHOR:
            raise Conflict("Who holds the anchor's key is the anchor: its own key can be rotated, not revoked.")
        member = next((one for one in self.roster.members() if one.agency == agency), None)
        if member is None:
            raise NotFound(f"{agency} is not in the roster.")
        faults: list[Fault] = []
        places = self._last_good(agency, post.get("last_good"), faults)
        successor = _public_key(post.get("successor"), faults)
        keyid = post.get("keyid") or key_id(member.public)
        if faults:
            raise Invalid(faults)
        revocation = Revocation(str(keyid), places, successor)
        good = self._announced_by(agency, places)

        def change(state: Mapping[str, Any]) -> dict[str, Any]:
            return with_members(state, lambda one: revoked(one, revocation, good) if one.agency == agency else one)

        self.writer.change(author, change)
        return revocation

    def last_word(self, agency: str, public: bytes) -> tuple[Revocation, list[bytes]]:
        """The revocation of a key beyond what this node has checked and holds, and the keys announced until then."""
        places = self._last_good(agency, None, [])
        return Revocation(key_id(public), places), self._announced_by(agency, places)

    def _announced_by(self, agency: str, places: Mapping[str, Place]) -> list[bytes]:
        announcements = announcements_of(agency)
        last = places[announcements].position if announcements in places else (1, 0)
        rekeyings = [fact for fact in self.store.rekeyings(announcements) if fact.header.position <= last]
        return [bytes.fromhex(str((fact.state or {}).get("public", ""))) for fact in rekeyings]

    def _last_good(self, agency: str, told: Any, faults: list[Fault]) -> dict[str, Place]:
        """Per ledger what the post says, else this node's head: what it has checked and holds."""
        places = {}
        for ledger, head in self.store.durable_heads().items():
            name = ledger_name(ledger)
            if name.agency == agency and not name.is_private:
                places[ledger] = Place(head.epoch, head.sequence, head.hash)
        if told is not None and not isinstance(told, Mapping):
            faults.append(Fault("last_good", "object", "ledgers with epoch, sequence and, if not held here, hash"))
            return places
        for ledger, place in (told or {}).items():
            path = f"last_good.{ledger}"
            try:
                name = ledger_name(ledger)
                epoch, sequence = int(place["epoch"]), int(place["sequence"])
            except (ValueError, KeyError, TypeError) as error:
                faults.append(Fault(path, "place", f"a ledger with epoch and sequence ({error})"))
                continue
            if name.agency != agency:
                faults.append(Fault(path, "agency", f"a ledger of {agency}"))
                continue
            held = self.store.at(ledger, epoch, sequence)
            hash_hex = place.get("hash") or ("" if held is None else held.hash)
            if sequence and not hash_hex:
                faults.append(Fault(path, "hash", "the fact is not held here: say its hash, as a signed head says it"))
            elif sequence and held is not None and held.hash != hash_hex:
                faults.append(Fault(path, "hash", f"another fact stands there: {held.hash}"))
            places[ledger] = Place(epoch, sequence, hash_hex)
        return places


def _public_key(told: Any, faults: list[Fault]) -> bytes | None:
    if told is None:
        return None
    try:
        public = bytes.fromhex(told)
    except (TypeError, ValueError):
        public = b""
    if len(public) != KEY_BYTES:
        faults.append(Fault("successor", "key", "the public half of an Ed25519 key, 64 hexadecimal digits"))
    return public
