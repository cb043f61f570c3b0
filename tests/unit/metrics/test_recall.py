"""Batches remembered are the batches as they stand, however few are remembered."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.metrics import documents
from services.metrics.recall import Batches
from shared.facts.fact import to_bytes
from shared.ledger.documents import row_id
from shared.ledger.rows import Row, Track

INDICATOR = "0198c0de-0000-7000-8000-000000000001"


class Stored:
    """Batches of one observation each, as the read model would hold them; counts what is read whole."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: dict[str, Row] = {}
        self.read: list[str] = []
        monkeypatch.setattr(documents, "standing_batches", lambda *_: {one: r.revision for one, r in self.rows.items()})
        monkeypatch.setattr(documents, "batches", self.whole)

    def whole(self, ids: list[str]) -> dict[str, Row]:
        self.read += ids
        return {one: self.rows[one] for one in ids}

    def put(self, number: int, value: float, revision: int = 1) -> None:
        observation = {
            "id": f"o-{number}",
            "indicator": INDICATOR,
            "pilot": "p",
            "period": {"start": "2026-01-01", "end": "2026-01-31"},
            "value": value,
            "basis": "measured",
        }
        track = Track(
            ledger="wfp.metrics.private",
            epoch=1,
            sequence=number,
            version=1,
            hash=f"{number}",
            verb="recorded",
            time=datetime(2026, 3, 1, tzinfo=UTC),
            state=to_bytes({"rows": [observation]}),
            full=1,
        )
        row = Row(("wfp", "metrics", f"observations/b-{number}"), (track,), revision)
        self.rows[row_id(row.key)] = row


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> Stored:
    return Stored(monkeypatch)


def values(batches: Batches) -> list[float | None]:
    return sorted(one.observation.value or 0.0 for one in batches.of("wfp", INDICATOR))


def test_a_batch_is_read_once_and_again_when_it_has_changed(stored: Stored) -> None:
    batches = Batches()
    stored.put(1, 10.0)
    stored.put(2, 20.0)
    assert values(batches) == values(batches) == [10.0, 20.0]
    assert len(stored.read) == 2
    stored.put(2, 21.0, revision=2)
    assert values(batches) == [10.0, 21.0]
    assert len(stored.read) == 3


def test_a_batch_that_does_not_count_any_more_is_left_out(stored: Stored) -> None:
    batches = Batches()
    stored.put(1, 10.0)
    stored.put(2, 20.0)
    values(batches)
    stored.rows.popitem()
    assert values(batches) == [10.0]


@pytest.mark.parametrize("most", [0, 1, 3, 100])
def test_however_few_are_remembered_all_are_counted(stored: Stored, most: int) -> None:
    batches = Batches(most_rows=most)
    for number in range(1, 6):
        stored.put(number, float(number))
    for _ in range(3):
        assert values(batches) == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert batches.remembered <= most
