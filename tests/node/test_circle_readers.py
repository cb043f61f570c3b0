"""A proposal's circle is in no roster: its ledgers say who reads them, and only nodes of those are answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from services.mesh.answering import Answering
from shared.facts.names import ANCHOR, ledger_name
from shared.ledger.circles import CircleReaders
from shared.ledger.cutting import Forks
from shared.ledger.drafts import Draft
from shared.ledger.identity import Roster, roster_state
from shared.ledger.witness import ForeignHeads
from shared.settings import Settings

from .ledgers import OFFICER, LedgerNode, ledger_node

CIRCLE = "0197a1b2-0000-7000-8000-0000000000c1"
LEDGER = f"fao.matching.{CIRCLE}"


@pytest.fixture
def node(database_settings: Settings) -> Iterator[LedgerNode]:
    with ledger_node(database_settings) as made:
        yield made.host("wfp", "fao", "itu")


def says(node: LedgerNode, *agencies: str, circle: str = CIRCLE, id_: str = "q1") -> None:
    state = {"id": id_, "agency": "fao", "question": {"en": "Who pays?"}, "agencies": list(agencies)}
    node.appender().record(Draft("fao", "matching", "question", "asked", id_, 1, state, OFFICER, circle))


def answering(node: LedgerNode, **roster: object) -> Answering:
    members = [replace(one, domain=f"node-{one.agency}") for one in node.roster.members()]
    state = {**roster_state(members), **roster}
    newest = node.store.newest(ANCHOR, "mesh", "roster/mesh")
    assert newest is not None
    draft = Draft(ANCHOR, "mesh", "roster", "issued", "mesh", newest.header.version + 1, state, OFFICER)
    node.appender().record(draft)
    database = node.client[node.settings.database("node")]
    return Answering(
        node.store, node.keyring, node.identity, node.roster, Forks(node.store), ForeignHeads(database["heads"])
    )


def test_a_circles_ledger_names_its_readers_in_its_first_fact(node: LedgerNode) -> None:
    readers = CircleReaders(node.store)
    assert readers.of(LEDGER) == frozenset(), "an unknown circle is nobody's"
    says(node, "wfp", "fao")
    assert readers.of(LEDGER) == {"wfp", "fao"}


def test_only_nodes_of_the_agencies_named_are_told_of_it(node: LedgerNode) -> None:
    says(node, "wfp", "fao")
    answers = answering(node)
    may = {one: answers.may_read(f"node-{one}", ledger_name(LEDGER)) for one in ("wfp", "fao", "itu")}
    assert may == {"wfp": True, "fao": True, "itu": False}


def test_where_the_roster_describes_a_circle_its_word_counts(node: LedgerNode) -> None:
    says(node, "wfp", "fao", "itu")
    answers = answering(node, circles=[{"id": CIRCLE, "agencies": ["fao"]}])
    assert not answers.may_read("node-itu", ledger_name(LEDGER))


def test_what_names_nobody_is_told_to_nobody(node: LedgerNode) -> None:
    says(node)
    assert not answering(node).may_read("node-wfp", ledger_name(LEDGER))


def test_a_question_reads_the_roster_once_however_many_circles_there_are(node: LedgerNode) -> None:
    circles = [f"0197a1b2-0000-7000-8000-00000000000{n}" for n in range(1, 6)]
    for circle in circles:
        says(node, "wfp", "fao", circle=circle, id_=circle)
    answers, read = answering(node), []

    def state(roster: Roster) -> dict[str, Any]:
        read.append(roster)
        return read_state(roster)

    read_state = Roster.state
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Roster, "state", state)
        told = json.loads(answers.answer("node-wfp", b'{"ask": "heads"}'))
    assert {one["ledger"] for one in told["heads"]} >= {f"fao.matching.{circle}" for circle in circles}
    assert len(read) == 1
