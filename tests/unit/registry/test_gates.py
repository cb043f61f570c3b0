"""The gate of the screening is remembered a moment, and never against what this process itself has folded."""

from __future__ import annotations

from services.registry import gates
from services.registry.gates import Gates
from shared.ledger.rows import Row, fold_fact
from tests.unit.facts.chains import Chain


class Found:
    """An agency's row as the database has it, and how often it was read."""

    def __init__(self) -> None:
        self.chain = Chain(ledger="wfp.registry")
        self.row: Row | None = None
        self.asked = 0
        self.now = 0.0

    def changed(self, **state: object) -> Row:
        fact = self.chain.add({"slug": "wfp", **state}, subject="agency/wfp", version=len(self.chain.facts) + 1)
        self.row = fold_fact(self.row, fact)
        assert self.row is not None
        return self.row

    def find(self, kind: str, agency: str, record_id: str) -> Row | None:
        assert (kind, agency, record_id) == ("agency", "wfp", "wfp")
        self.asked += 1
        return self.row

    def clock(self) -> float:
        return self.now


def test_an_agency_that_says_nothing_wants_its_pilots_screened_before_they_are_ready() -> None:
    found = Found()
    assert Gates(found.find).of("wfp") == "ready"
    found.changed()
    assert Gates(found.find).of("wfp") == "ready"


def test_a_gate_is_read_once_in_a_while() -> None:
    found = Found()
    known = Gates(found.find, found.clock)
    found.changed(screening_before="forming")
    assert [known.of("wfp"), known.of("wfp")] == ["forming", "forming"]
    assert found.asked == 1
    found.changed(screening_before="open")
    found.now += gates.SECONDS + 0.1
    assert known.of("wfp") == "open"


def test_a_gate_changed_here_counts_at_once() -> None:
    found = Found()
    known = Gates(found.find, found.clock)
    assert known.of("wfp") == "ready"
    row = found.changed(screening_before="open")
    known.notice([row.key])
    assert known.of("wfp") == "open"


def test_a_gate_that_changes_while_it_is_read_is_not_remembered() -> None:
    found = Found()

    def read_late(kind: str, agency: str, record_id: str) -> Row | None:
        before = found.find(kind, agency, record_id)
        if found.asked == 1:
            known.notice([found.changed(screening_before="open").key])
        return before

    known = Gates(read_late, found.clock)
    known.of("wfp")
    assert known.of("wfp") == "open"
