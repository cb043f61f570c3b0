"""What this node holds, as `checking` looks at it: heads are remembered until somebody says that they moved."""

from __future__ import annotations

from shared.facts.names import ledger_name
from shared.facts.verify import Head
from shared.ledger.cutting import Cutting, Forks
from shared.ledger.store import LedgerStore

from .checking import names


class StoreShelf:
    """What this node holds, for `checking`."""

    def __init__(self, store: LedgerStore, cutting: Cutting, forks: Forks) -> None:
        self._store = store
        self.given_up = cutting.given_up
        self.limit = forks.limit
        self.at = store.at
        self.by_hash = store.by_hash
        self._heads: dict[str, Head] = {}

    def head(self, ledger: str) -> Head:
        held = self._heads.get(ledger)
        if held is None:
            held = self._heads[ledger] = self._store.head(ledger)
        return held

    def is_redacted(self, ledger: str, position: tuple[int, int]) -> bool:
        return any(names(fact, position) for fact in self._store.redactions(ledger_name(ledger)))

    def moved(self, ledger: str, head: Head) -> None:
        self._heads[ledger] = head

    def forget(self, ledger: str | None = None) -> None:
        """Looks heads up again: of one ledger, or of all."""
        if ledger is None:
            self._heads.clear()
        else:
            self._heads.pop(ledger, None)
