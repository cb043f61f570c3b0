"""Before which step each agency wants its pilots screened; asked at every registration, changed once in years."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from shared.ledger.rows import Key, Row

DEFAULT = "ready"
SECONDS = 2.0
"""How long this process may go on with a gate that another replica has seen changed."""

Find = Callable[[str, str, str], Row | None]
"""This agency's record of a kind with an id."""


class Gates:
    """Remembers what was read; what this process itself folds of an agency counts at once."""

    def __init__(self, find: Find, clock: Callable[[], float] = time.monotonic) -> None:
        self._find = find
        self._clock = clock
        self._known: dict[str, tuple[float, str]] = {}
        self._noticed = 0

    def of(self, agency: str) -> str:
        """`ready` unless the agency says earlier."""
        now = self._clock()
        known = self._known.get(agency)
        if known is not None and now - known[0] < SECONDS:
            return known[1]
        noticed = self._noticed
        row = self._find("agency", agency, agency)
        gate = str(row.state.get("screening_before") or DEFAULT) if row is not None and row.is_live else DEFAULT
        if noticed == self._noticed:  # else what was read may have changed meanwhile
            self._known[agency] = (now, gate)
        return gate

    def notice(self, touched: Iterable[Key]) -> None:
        """Rows were written: those of agencies are read again."""
        for _, _, aggregate in touched:
            if aggregate.startswith("agency/"):
                self._noticed += 1
                self._known.clear()
