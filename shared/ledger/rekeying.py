"""A new signing key for an agency: announced, then put into force in each of its ledgers, then taken into use.

Every step may be repeated, so a crash between two of them costs nothing: the new key lies beside the old one until
every ledger stands under it. The services may run meanwhile. Whoever appends to a ledger that is being rekeyed loses
the race for the place, reads the ledger's new head and signs with the key that holds there.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pymongo.errors import AutoReconnect, BulkWriteError

from shared.facts.fact import SALT_BYTES, rfc3339, to_bytes
from shared.facts.ids import derived_id, new_id
from shared.facts.keys import SigningKey, Unsigned, key_id, ledger_digest, seal
from shared.facts.names import ANCHOR, ledger_name
from shared.facts.verify import REKEYED, announcements_of, succession_in
from shared.ledger.drafts import Author, most_bytes
from shared.ledger.identity import Identity, Roster
from shared.ledger.keyring import Keyring
from shared.ledger.reopening import reopen
from shared.ledger.signing import key_named_in, public_named_by, signer
from shared.ledger.store import LedgerStore
from shared.problems import Conflict, Forbidden, NotFound, TooLarge, Unavailable

ATTEMPTS = 200
"""How often the place after a ledger's head is tried for, against services that append to it."""


@dataclass
class Rotation:
    """What a rotation came to. `places`: ledgers and where each was rekeyed; `waiting`: those that could not be."""

    agency: str
    keyid: str
    before: str
    places: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)


@dataclass
class Rekeying:
    """Gives the agencies of one node new signing keys."""

    store: LedgerStore
    identity: Identity
    keyring: Keyring
    author: Author
    clock: Callable[[], datetime]

    def rotate(self, agency: str, recovery: SigningKey | None = None) -> Rotation:
        """A new key in every ledger of the agency; takes up again what was left unfinished.

        Signed by each ledger's key, or by `recovery` if the signing key is lost or stolen; frozen ledgers are reopened
        by it. Raises Misdirected if the agency is not hosted here, NotFound if the roster does not know it, Forbidden
        if the roster binds another recovery key, Conflict if a key that is needed was revoked or is missing, TooLarge,
        with nothing begun, if the agency has more ledgers than an announcement can name.
        """
        if recovery is None:
            self.keyring.key(agency)
        else:
            self._is_bound(agency, recovery)
        known = self._before(agency, None)
        if self.keyring.next(agency) is None:
            public = [one for one in self._ledgers(agency) if not ledger_name(one).is_private]
            _fits(_announcement(agency, known, known, public))
        new = self.keyring.make_next(agency)
        before = known if known != new.public else self._before(agency, new.public)
        done = Rotation(agency, new.keyid, key_id(before))
        self.store.tails()  # which ledgers are frozen
        for ledger in self._ledgers(agency):
            self._rekey(ledger, new, before, recovery, done)
        while late := self._begun_late(agency, new):
            for ledger in late:
                self._rekey(ledger, new, before, recovery, done)
            self._announce(agency, new, before, None, done)
        self.keyring.take_over(agency)
        return done

    def sweep(self, agency: str) -> list[str]:
        """Ledgers that somebody began under the old key while it was being replaced are rekeyed as well.

        Once none is left, and no rotation is under way, the keys that were replaced are deleted.
        """
        if self.keyring.next(agency) is not None:
            return []  # `rotate` goes on with it
        current, swept = self.keyring.key(agency), []
        rekeyings = self.store.rekeyings(announcements_of(agency))
        if public_named_by(rekeyings) != current.public:
            return []
        before = self._before(agency, current.public)
        done = Rotation(agency, current.keyid, key_id(before))
        while late := self._begun_late(agency, current):
            for ledger in late:
                self._rekey(ledger, current, before, None, done)
                swept.append(ledger)
            self._announce(agency, current, before, None, done)
        return swept

    # -- what stands -----------------------------------------------------------------------------------------

    def _is_bound(self, agency: str, recovery: SigningKey) -> None:
        bound = Roster(self.store, self.identity).book().recovery.get(agency)
        if bound is None or recovery.keyid != key_id(bound):
            raise Forbidden(f"The roster binds another recovery key to {agency}.")

    def _ledgers(self, agency: str) -> list[str]:
        """The ledger of announcements first: whatever is begun after it stands under the new key."""
        announcements = announcements_of(agency)
        held = [one for one in self.store.ledgers() if ledger_name(one).agency == agency and one != announcements]
        return [announcements, *held]

    def _before(self, agency: str, new: bytes | None) -> bytes:
        """The public key that the agency had last, or the one before `new`. Raises NotFound."""
        for fact in reversed(self.store.rekeyings(announcements_of(agency))):
            state = fact.state or {}
            succession = succession_in(state)
            if new is None or state.get("public") != new.hex():
                return bytes.fromhex(str(state["public"]))
            if succession is not None:
                return succession[0]
        if agency == ANCHOR:
            return self.identity.anchor
        member = next((one for one in Roster(self.store, self.identity).members() if one.agency == agency), None)
        if member is None:
            raise NotFound(f"The roster names no {agency}.")
        if new is not None and member.public == new and member.earlier:
            return member.earlier[-1].public
        return member.public

    def _begun_late(self, agency: str, new: SigningKey) -> list[str]:
        """Ledgers that do not stand under `new` although they are not frozen."""
        return [
            ledger
            for ledger in self._ledgers(agency)
            if ledger not in self.store.frozen
            and (head := self.store.head(ledger)).sequence
            and key_named_in(self.store, ledger, head) != new.keyid
        ]

    def _begun_before(self, agency: str, new: SigningKey) -> list[str]:
        """Ledgers whose first fact, if it is there, is not signed by `new`. Private ones are nobody else's business."""
        found = []
        for ledger in self._ledgers(agency):
            first = self.store.at(ledger, 1, 1)
            is_first = first is None and ledger == announcements_of(agency)
            if is_first or (first is not None and first.header.keyid != new.keyid):
                found.append(ledger)
        return [ledger for ledger in found if not ledger_name(ledger).is_private]

    # -- what is written -------------------------------------------------------------------------------------

    def _rekey(self, ledger: str, new: SigningKey, before: bytes, recovery: SigningKey | None, done: Rotation) -> None:
        if ledger in self.store.frozen:
            if recovery is None:
                done.waiting[ledger] = "frozen: only the recovery key reopens it (`pilotmesh ledger reopen`)"
                return
            reopen(self.store, self.identity, ledger, recovery, self.author, "a new signing key", self.clock())
            self.store.tails()
        if ledger == announcements_of(done.agency):
            self._announce(done.agency, new, before, recovery, done)
        else:
            self._append(ledger, {"ledger": ledger, "public": new.public.hex()}, recovery, done)

    def _announce(
        self, agency: str, new: SigningKey, before: bytes, recovery: SigningKey | None, done: Rotation
    ) -> None:
        state = _announcement(agency, new.public, before, self._begun_before(agency, new))
        self._append(announcements_of(agency), state, recovery, done)

    def _append(self, ledger: str, state: dict[str, Any], recovery: SigningKey | None, done: Rotation) -> None:
        _fits(state)
        for _ in range(ATTEMPTS):
            head = self.store.head(ledger)
            rekeyings = [fact for fact in self.store.rekeyings(ledger) if fact.header.position <= head.position]
            if rekeyings and rekeyings[-1].state == state:
                done.places.setdefault(ledger, rekeyings[-1].place)
                return
            key = recovery or signer(self.store, self.keyring, ledger, head)
            fact = seal(
                self._unsigned(ledger, state),
                epoch=head.epoch,
                sequence=head.sequence + 1,
                previous=head.hash,
                salt=secrets.token_bytes(SALT_BYTES),
                key=key,
            )
            try:
                self.store.insert([fact], [None], own=True)
            except (BulkWriteError, AutoReconnect):  # somebody else took the place; or the answer was lost: look again
                continue
            done.places[ledger] = fact.place
            return
        raise Unavailable(f"Many are writing to {ledger}; repeat this: it goes on where it stopped.")

    def _unsigned(self, ledger: str, state: dict[str, Any]) -> Unsigned:
        name, about = ledger_name(ledger), f"ledger/{derived_id('ledger', ledger)}"
        newest = self.store.newest(name.agency, name.service, about)
        return Unsigned(
            mesh=self.identity.mesh,
            ledger=ledger,
            id=new_id(),
            type=REKEYED,
            subject=about,
            version=1 if newest is None else newest.header.version + 1,
            time=rfc3339(self.clock()),
            actor=self.author.actor,
            role=self.author.role,
            office=self.author.office,
            payload=to_bytes(state),
        )


def _announcement(agency: str, public: bytes, before: bytes, begun: Iterable[str]) -> dict[str, Any]:
    digests = sorted({ledger_digest(one) for one in begun})
    return {"ledger": announcements_of(agency), "public": public.hex(), "replaces": before.hex(), "begun": digests}


def _fits(state: dict[str, Any]) -> None:
    """Raises TooLarge: what no other node takes must not enter a ledger."""
    size, most = len(to_bytes(state)), most_bytes()
    if size > most:
        raise TooLarge(
            f"The announcement of the key names {len(state.get('begun', ()))} ledgers and takes {size} bytes; a fact "
            f"holds {most}. The key in use stays in use. Ask the secretariat how to go on (docs/federation.md)."
        )


def recovery_key(text: str) -> SigningKey:
    """The recovery key as it was shown: 64 hex digits. Raises Conflict if it is not one."""
    try:
        secret = bytes.fromhex(text.strip())
    except ValueError as error:
        raise Conflict(
            "A recovery key is 64 hexadecimal digits, as it was shown when the agency was hosted."
        ) from error
    if len(secret) != SALT_BYTES:
        raise Conflict(f"A recovery key has 64 hexadecimal digits; this has {2 * len(secret)}.")
    return SigningKey.from_bytes(secret)
