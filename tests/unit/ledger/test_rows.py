"""Rows are the same whatever order ledgers arrive in, however often facts come, and whether folded once or again."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.facts.fact import Fact
from shared.ledger.rows import Key, Row, digest_of_rows, fold_all, fold_fact, redactions_in
from tests.unit.facts.chains import Chain
from tests.unit.ledger.stories import CIRCLE, KINDS, PILOTS, STORIES, Story, in_batches, interleaved

DICE = st.randoms(use_true_random=False)
MESH, PRIVATE = "wfp.registry", "wfp.registry.private"
PILOT = PILOTS[0]


def folded(batches: Iterable[Sequence[Fact]]) -> dict[Key, Row]:
    rows: dict[Key, Row] = {}
    for facts in batches:
        rows.update(fold_all(rows, facts, KINDS))
    return rows


def digest(batches: Iterable[Sequence[Fact]]) -> str:
    return digest_of_rows(folded(batches).values())


def row_of(story: Story, agency: str = "wfp") -> Row:
    return folded([story.written])[(agency, "registry", f"pilot/{PILOT}")]


@given(STORIES, DICE)
@settings(max_examples=150)
def test_every_interleaving_of_ledgers_gives_the_same_rows(story: Story, dice: random.Random) -> None:
    assert digest(in_batches(interleaved(story.by_ledger(), dice), dice)) == digest([story.written])


@given(STORIES, DICE)
@settings(max_examples=150)
def test_a_rebuild_after_redactions_gives_the_rows_that_stood(story: Story, dice: random.Random) -> None:
    rebuilt = in_batches(interleaved(story.as_stored(), dice), dice)
    assert digest(rebuilt) == digest([story.written])


@given(STORIES, DICE)
@settings(max_examples=100)
def test_facts_that_come_again_change_nothing(story: Story, dice: random.Random) -> None:
    rows = folded([story.written])
    again = [dice.choice(story.written) for _ in range(6)]
    assert fold_all(rows, again, KINDS) == {}


@given(STORIES, DICE)
@settings(max_examples=100)
def test_a_fact_folded_ahead_of_its_ledger_changes_nothing_in_the_end(story: Story, dice: random.Random) -> None:
    """The process that wrote a fact folds it at once, perhaps before the follower has come to the ones before."""
    ahead = [fact for fact in story.written if fact.header.kind == "pilot" and dice.random() < 0.5]
    assert digest([*([fact] for fact in ahead), story.written]) == digest([story.written])


def test_a_narrowed_record_lives_on_in_the_narrower_ledger() -> None:
    story = Story()
    story.write(MESH, PILOT, "registered", title="open")
    story.write(PRIVATE, PILOT, title="closed")
    story.write(MESH, PILOT, "withdrawn")
    row = row_of(story)
    assert row.is_live
    assert (row.shown.ledger, row.state["title"], row.version) == (PRIVATE, "closed", 3)


def test_other_nodes_that_never_saw_the_narrower_ledger_see_it_withdrawn() -> None:
    story = Story()
    story.write(MESH, PILOT, "registered")
    story.write(PRIVATE, PILOT)
    story.write(MESH, PILOT, "withdrawn")
    row = folded([story.chains[MESH].facts])[("wfp", "registry", f"pilot/{PILOT}")]
    assert not row.is_live
    assert row.shown.verb == "withdrawn"


def test_a_widened_record_that_is_then_withdrawn_does_not_rise_again_from_its_private_past() -> None:
    story = Story()
    story.write(PRIVATE, PILOT, "registered", title="draft")
    story.write(MESH, PILOT, title="published")
    assert row_of(story).state["title"] == "published"
    story.write(MESH, PILOT, "withdrawn")
    assert not row_of(story).is_live


def test_redacting_the_newest_state_does_not_bring_an_older_one_back() -> None:
    story = Story()
    story.write(PRIVATE, PILOT, "registered", title="draft with a phone number")
    published = story.write(MESH, PILOT, title="published")
    story.redact(published)
    row = row_of(story)
    assert not row.is_live
    assert row.state == {}


def test_a_state_newer_than_this_node_is_shown_as_that_and_left_out() -> None:
    story = Story()
    story.write(PRIVATE, PILOT, "registered", title="readable but overtaken")
    story.write(MESH, PILOT, type_version=2)
    row = row_of(story)
    assert not row.is_live
    assert row.state == {}
    assert row.shown.unfolded == "newer than this node: org.pilotmesh.pilot.revised.v2"
    story.write(MESH, PILOT, title="readable again")
    assert row_of(story).is_live
    assert row_of(story).shown.unfolded is None


def test_a_redacted_record_may_be_written_again() -> None:
    story = Story()
    story.redact(story.write(MESH, PILOT, "registered"))
    story.write(MESH, PILOT, title="without the name")
    assert row_of(story).state["title"] == "without the name"


def test_agencies_do_not_touch_each_others_rows() -> None:
    story = Story()
    story.write("wfp.registry", PILOT, title="ours")
    story.write("fao.registry", PILOT, title="theirs")
    rows = folded([story.written])
    assert {key[0]: row.state["title"] for key, row in rows.items()} == {"wfp": "ours", "fao": "theirs"}


def test_nobody_forgets_for_another_ledger_nor_what_is_yet_to_come() -> None:
    story = Story()
    kept = story.write(PRIVATE, PILOT, "registered")
    story.write(MESH, PILOTS[1], "registered")
    wrong = [{"epoch": 1, "sequence": 1, "subject": kept.header.subject}, {"epoch": 1, "sequence": 3, "subject": "x/1"}]
    redaction = story.chain(MESH).add(
        {"facts": wrong, "reason": "error"}, kind="fact", verb="redacted", subject="fact/1"
    )
    named = redactions_in(redaction)
    assert [(one.ledger, one.sequence) for one in named] == [(MESH, 1)]
    story.written.append(redaction)
    assert row_of(story).is_live


@pytest.mark.parametrize(
    "payload",
    [
        {"facts": 7},
        {"facts": None},
        {"facts": "wfp.registry:1:1"},
        {"facts": [None, 7, "x", [], {}]},
        {"facts": [{"subject": "pilot/1"}]},
        {"facts": [{"subject": "pilot/1", "epoch": "1", "sequence": 1}]},
        {"facts": [{"subject": "pilot/1", "epoch": 1, "sequence": True}]},
        {"facts": [{"subject": "pilot/1", "epoch": 1, "sequence": -1}]},
        {"facts": [{"subject": "pilot/1", "epoch": 0, "sequence": 10**30}]},
        {"facts": [{"subject": ["pilot"], "epoch": 1, "sequence": 1}]},
        b"no JSON",
        b"[]",
    ],
)
def test_a_malformed_redaction_forgets_nothing_and_stops_nobody(payload: dict[str, object] | bytes) -> None:
    chain = Chain()
    chain.add()
    redaction = chain.add(payload, kind="fact", verb="redacted", subject="fact/1")
    assert redactions_in(redaction) == []


@pytest.mark.parametrize("payload", [b"no JSON", b"[]", b'{"a":' * 30_000, b'{"a":Infinity}', b"\xff\xff"])
def test_a_payload_that_cannot_be_read_is_kept_unfolded(payload: bytes) -> None:
    row = fold_fact(None, Chain().add(payload))
    assert row is not None
    assert not row.is_live
    assert row.state == {}
    assert "payload" in (row.shown.unfolded or "")
    assert row.shown.state == payload


def test_a_row_knows_its_newest_version_over_all_ledgers() -> None:
    story = Story()
    story.write(MESH, PILOT, "registered")
    story.write(f"wfp.registry.{CIRCLE}", PILOT)
    row = row_of(story)
    assert (row.version, row.shown.ledger, row.kind, row.id) == (2, f"wfp.registry.{CIRCLE}", "pilot", PILOT)
