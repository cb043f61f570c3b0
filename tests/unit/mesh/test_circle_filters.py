"""How a consumer names a circle's ledger: subjects that no fact for the whole mesh can have."""

from __future__ import annotations

from shared.bus.links import consumer_of, reader_in
from shared.bus.subjects import circle_filter, ledger_in_filter
from shared.facts.names import fact_subject, ledger_name

CIRCLE = "0198c0de-0000-7000-8000-00000000c1c1"


def test_a_filter_names_one_ledger_and_tells_it_again() -> None:
    ledger = f"wfp.matching.{CIRCLE}"
    for stream, root in (("VERIFIED", "verified"), ("CIRCLES", "circle")):
        subject = circle_filter(ledger, stream)
        assert subject == f"{root}.{CIRCLE}.wfp.matching.*.*"
        assert ledger_in_filter(subject) == ledger


def test_a_filter_has_as_many_parts_as_the_subjects_of_the_ledgers_facts() -> None:
    ledger = ledger_name(f"wfp.matching.{CIRCLE}")
    subject = fact_subject(ledger, "question", "asked")
    assert len(subject.split(".")) == len(circle_filter(str(ledger), "CIRCLES").split("."))


def test_other_subjects_name_no_circles_ledger() -> None:
    for subject in ("verified.*.*.*.*", "circle.none.>", "verified.x.wfp.matching.*.*", f"verified.{CIRCLE}.>"):
        assert ledger_in_filter(subject) is None


def test_only_another_nodes_consumer_names_a_reader() -> None:
    assert reader_in(consumer_of("wfp", "hub"), "hub") == "wfp"
    assert reader_in(consumer_of("wfp", "fao"), "hub") is None
    assert reader_in("registry", "hub") is None
    assert reader_in("intake_a_b_hub", "hub") is None
