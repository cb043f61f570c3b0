"""Who is in a circle: whom the roster names, and where it does not describe the circle, those whom its ledger names
from its first fact on.

A proposal's circle is made with the proposal, on one node, and is too many and too short-lived for the roster. Every
record of such a circle names its agencies; the owner of a ledger decides who reads it, and who may read it may read it
from its first fact, so that the first fact's word is the ledger's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.facts.fact import Unreadable
from shared.facts.names import AGENCY, LedgerName
from shared.ledger.store import LedgerStore


class CircleReaders:
    """Remembers what it has found: a ledger's first fact never changes."""

    def __init__(self, store: LedgerStore) -> None:
        self._store = store
        self._known: dict[str, frozenset[str]] = {}

    def of(self, ledger: str) -> frozenset[str]:
        """Agencies that may read this circle's ledger; nobody where its first fact is not here or names nobody."""
        if ledger not in self._known:
            found = self._store.at(ledger, 1, 1)
            if found is None:
                return frozenset()
            try:
                self._known[ledger] = named_in(found.state or {})
            except Unreadable:
                self._known[ledger] = frozenset()
        return self._known[ledger]

    def now(self, ledger: LedgerName, roster: Mapping[str, Any]) -> frozenset[str]:
        """Agencies that may read this circle's ledger as the roster's state has it: its owner, and the circle's."""
        circles = [one for one in roster.get("circles", ()) if isinstance(one, dict) and one.get("id") == ledger.circle]
        if not circles:  # a proposal's or a testbed's, which its own ledgers describe
            return self.of(str(ledger)) | {ledger.agency}
        return frozenset({ledger.agency}.union(*(named_in(circle) for circle in circles)))


def named_in(state: Mapping[str, Any]) -> frozenset[str]:
    named = state.get("agencies")
    return (
        frozenset(one for one in named if isinstance(one, str) and AGENCY.fullmatch(one))
        if isinstance(named, list)
        else frozenset()
    )
