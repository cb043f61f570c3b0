"""Batches of observations as they were read the last time, so that a pilot's figures are set anew without reading
every observation again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from services.metrics import documents
from services.metrics.current import Recorded
from services.metrics.figures import recorded_in
from shared.ledger.owners import Ref

MOST_ROWS = 40_000
"""Observations remembered, of all indicators together: about 1.5 KB each."""


@dataclass(frozen=True, slots=True)
class Read:
    """A batch as of one revision of its row: its observations by indicator."""

    revision: int
    rows: Mapping[Ref, tuple[Recorded, ...]]
    size: int


class Batches:
    """Remembers what it read; the least recently asked for goes first. For one thread."""

    def __init__(self, most_rows: int = MOST_ROWS) -> None:
        self._most = most_rows
        self._read: OrderedDict[str, Read] = OrderedDict()
        self._size = 0

    @property
    def remembered(self) -> int:
        """How many observations."""
        return self._size

    def of(self, lead: str, indicator: str) -> list[Recorded]:
        """The observations of a lead's indicator that count: of uploads that are complete, as they stand now."""
        found: list[Recorded] = []
        standing = documents.standing_batches(lead, indicator)
        missing = [one for one, revision in standing.items() if not self._knows(one, revision)]
        for row_id, row in documents.batches(missing).items():
            self._take(row_id, row.revision, recorded_in(row))
        for row_id in standing:
            held = self._read.get(row_id)
            if held is not None:  # a batch that went in this moment is told of by the next touch
                found += held.rows.get((lead, indicator), ())
                self._read.move_to_end(row_id)
        self._shrink()
        return found

    def _knows(self, row_id: str, revision: int) -> bool:
        held = self._read.get(row_id)
        return held is not None and held.revision == revision

    def _take(self, row_id: str, revision: int, rows: Mapping[Ref, tuple[Recorded, ...]]) -> None:
        held = self._read.pop(row_id, None)
        size = sum(len(each) for each in rows.values())
        self._read[row_id] = Read(revision, rows, size)
        self._size += size - (0 if held is None else held.size)

    def _shrink(self) -> None:
        while self._size > self._most and self._read:
            _, gone = self._read.popitem(last=False)
            self._size -= gone.size
