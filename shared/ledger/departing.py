"""An agency leaves for another node: its keys are put away, and each of its ledgers ends under a key that only the file
holds.

The order makes two writers impossible. First the key leaves the key ring: no process takes a command any more. Then
every ledger is rekeyed, which is a fact of the ledger: whoever had signed in the last moment has either got its place
before, and is carried along, or loses it for good. Only then is there anything to carry. A crash anywhere leaves either
the writer or a sealed agency, and the same command goes on (docs/adr/0021).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.facts.fact import rfc3339
from shared.facts.ids import new_id
from shared.facts.names import ANCHOR, ledger_name
from shared.ledger.drafts import Author
from shared.ledger.identity import Identity, Roster
from shared.ledger.keyring import Keyring
from shared.ledger.rekeying import Rekeying
from shared.ledger.store import LedgerStore
from shared.problems import Conflict, Misdirected

SETTLING_SECONDS = 1.0
"""So long after the last ledger was rekeyed it is looked whether somebody began another one in the last moment."""

Place = tuple[int, int, str]
"""Epoch, sequence and hash."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """An agency that left: the id of its move, when that began, and where each of its ledgers ends."""

    agency: str
    move: str
    at: str
    heads: dict[str, Place]


@dataclass
class Departing:
    """Seals agencies of one node. The services may run meanwhile."""

    store: LedgerStore
    identity: Identity
    keyring: Keyring
    author: Author
    clock: Callable[[], datetime]
    settle: Callable[[float], None] = time.sleep

    def seal(self, agency: str) -> Sealed:
        """Nobody writes for the agency here any more when this returns; goes on where it was cut off.

        Raises Misdirected if the agency is not here, Conflict with the remedy if it cannot leave as it stands.
        """
        if self.keyring.left(agency) is None:
            self._may_leave(agency)
            self.keyring.begin_leaving(agency, {"move": new_id(), "at": rfc3339(self.clock())})
        told = self.keyring.left(agency)
        assert told is not None
        if "heads" not in told:
            told["heads"] = self._end_ledgers(agency)
            self.keyring.note_leaving(agency, told)
        return sealed_in(agency, told)

    def look_again(self, agency: str) -> Sealed:
        """Before a file is handed out for the first time: ledgers that a stalled process began after `seal` had looked
        are rekeyed too. Never after that: the agency may write elsewhere by then. Repeated until the answer is that of
        before, which is noted."""
        told = self.keyring.left(agency)
        assert told is not None
        before = sealed_in(agency, told)
        if told.get("written"):
            return before
        Rekeying(self.store, self.identity, self.keyring.leaving(), self.author, self.clock).sweep(agency)
        now = Sealed(agency, before.move, before.at, heads_of(self.store, agency))
        self.keyring.note_leaving(agency, {**told, "heads": now.heads, "written": now == before})
        return now

    def _may_leave(self, agency: str) -> None:
        if agency == ANCHOR:
            raise Conflict("The anchor's key is moved with `pilotmesh hub anchor take-out`.")
        self.keyring.key(agency)
        if self.identity.domain is None:
            raise Conflict("This node is in no mesh with others: there is no node that could take the agency over.")
        roster = Roster(self.store, self.identity)
        member = next((one for one in roster.members() if one.agency == agency), None)
        if member is None or member.domain not in (None, self.identity.domain):
            where = "not" if member is None else f"on {member.domain}"
            raise Misdirected(f"The roster has {agency} {where}, so it cannot be exported from here.", agency=agency)
        if self.keyring.next(agency) is not None:
            raise Conflict(f"A rotation of {agency}'s key is under way: `pilotmesh keys rotate {agency}` finishes it.")
        self._none_frozen(agency)

    def _none_frozen(self, agency: str) -> None:
        self.store.tails()
        frozen = sorted(one for one in self.store.frozen if ledger_name(one).agency == agency)
        if frozen:
            raise Conflict(
                f"Frozen: {', '.join(frozen)}. A frozen ledger is reopened first: `pilotmesh ledger reopen LEDGER`."
            )

    def _end_ledgers(self, agency: str) -> dict[str, Place]:
        rekeying = Rekeying(self.store, self.identity, self.keyring.leaving(), self.author, self.clock)
        done = rekeying.rotate(agency)
        if done.waiting:
            self._none_frozen(agency)
        self.settle(SETTLING_SECONDS)
        while rekeying.sweep(agency):
            self.settle(SETTLING_SECONDS)
        return heads_of(self.store, agency)


def heads_of(store: LedgerStore, agency: str) -> dict[str, Place]:
    """Where each ledger of an agency ends in this store, known to be on disk."""
    ledgers = [one for one in store.ledgers() if ledger_name(one).agency == agency]
    return {one: (head.epoch, head.sequence, head.hash) for one, head in store.durable_heads(ledgers).items()}


def sealed_in(agency: str, told: dict[str, Any]) -> Sealed:
    heads = {str(ledger): (int(one[0]), int(one[1]), str(one[2])) for ledger, one in told["heads"].items()}
    return Sealed(agency, str(told["move"]), str(told["at"]), heads)
