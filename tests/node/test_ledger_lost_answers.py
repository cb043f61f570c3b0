"""The connection to the database breaks at the worst moment: what is acknowledged is there once, never twice."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared.facts.fact import Fact
from shared.ledger.drafts import Recorded
from shared.ledger.verification import verify_node
from shared.settings import Settings
from tests.node.ledgers import LedgerNode, Wire, ledger_node, pilot

INSERT = b"insert\0\x06\0\0\0facts\0"
"""The beginning of an `insert` command into `facts`, as BSON has it."""


@pytest.fixture
def wire(database_settings: Settings) -> Iterator[Wire]:
    assert database_settings.mongodb_uri is not None
    made = Wire(database_settings.mongodb_uri)
    yield made
    made.close()


@pytest.fixture
def node(database_settings: Settings, wire: Wire) -> Iterator[LedgerNode]:
    with ledger_node(database_settings, wire.uri) as made:
        yield made.host("wfp")


def facts_in_store(node: LedgerNode) -> list[str]:
    return sorted(found["_id"] for found in node.store.facts.find({"ledger": "wfp.registry"}, {"_id": 1}))


def assert_once_each(node: LedgerNode, acknowledged: list[Fact]) -> None:
    assert facts_in_store(node) == sorted(fact.hash for fact in acknowledged)
    assert [report.fault for report in verify_node(node.store, node.identity) if report.fault] == []


@pytest.mark.parametrize("before", [False, True], ids=["answer lost", "request lost"])
def test_a_lost_answer_is_found_out_and_acknowledged_once(node: LedgerNode, wire: Wire, *, before: bool) -> None:
    appender = node.appender()
    first = appender.record(pilot()).fact
    wire.cut_answers_to(INSERT, before=before)
    second = appender.record(pilot()).fact
    third = appender.record(pilot()).fact
    assert wire.cuts == 1
    assert_once_each(node, [first, second, third])


def test_an_answer_lost_again_and_again_is_still_one_fact(node: LedgerNode, wire: Wire) -> None:
    appender = node.appender()
    first = appender.record(pilot()).fact
    wire.cut_answers_to(INSERT, times=3, before=True)
    second = appender.record(pilot()).fact
    assert wire.cuts == 3
    assert_once_each(node, [first, second])


@pytest.mark.parametrize(
    "word", [b"find\0\x06\0\0\0facts\0", b"update\0\x09\0\0\0barriers\0", b"update\0\x08\0\0\0ledgers\0"]
)
def test_a_connection_that_breaks_while_looking_is_waited_for(node: LedgerNode, wire: Wire, word: bytes) -> None:
    appender = node.appender()
    name = "0198c0de-0000-7000-8000-0000000000aa"
    first = appender.record(pilot(id=name)).fact
    wire.cut_answers_to(INSERT)
    second = appender.record(pilot(id=name, version=2, key="k")).fact
    wire.cut_answers_to(word, times=2)
    third = appender.record(pilot(id=name, version=3)).fact
    wire.cut_answers_to(word, times=0)
    again = appender.record(pilot(id=name, version=2, key="k"))
    assert again.replayed
    assert again.fact == second
    assert_once_each(node, [first, second, third])


def test_many_clients_on_a_wire_that_keeps_breaking(node: LedgerNode, wire: Wire) -> None:
    appenders = [node.appender(), node.appender()]

    def client(number: int) -> list[Fact]:
        facts = []
        for turn in range(6):
            key = f"client {number} turn {turn}"
            if number == 0:
                wire.cut_answers_to(INSERT, before=bool(turn % 2))
            facts.append(appenders[number % 2].record(pilot(key=key)).fact)
            again = appenders[(number + 1) % 2].record(pilot(key=key))
            assert again.replayed
            assert again.fact == facts[-1]
        return facts

    with ThreadPoolExecutor(6) as clients:
        acknowledged = [fact for facts in clients.map(client, range(6)) for fact in facts]
    assert wire.cuts >= 3
    assert_once_each(node, acknowledged)


def test_an_insert_that_lands_after_it_was_looked_for_is_found_when_it_is_tried_again(
    node: LedgerNode, monkeypatch: pytest.MonkeyPatch, wire: Wire
) -> None:
    """The server was still at it when the appender looked: the second attempt meets the first one's fact."""
    appender = node.appender()
    first = appender.record(pilot()).fact
    store, inserts = node.store, 0
    look, versions, commands, insert = store.hashes_present, store.newest_versions, store.by_command, store.insert

    def counted(*args: Any, **more: Any) -> None:
        nonlocal inserts
        inserts += 1
        insert(*args, **more)

    monkeypatch.setattr(store, "insert", counted)
    monkeypatch.setattr(store, "hashes_present", lambda hashes: look(hashes) if inserts > 1 else set())
    monkeypatch.setattr(store, "newest_versions", lambda asked: versions(asked) if inserts > 1 else {})
    monkeypatch.setattr(store, "by_command", lambda keys: commands(keys) if inserts > 1 else {})
    wire.cut_answers_to(INSERT)
    drafts = [pilot(), pilot(key="k"), pilot()]
    outcomes = [done.result(60) for done in [appender.submit(draft) for draft in drafts]]
    assert all(isinstance(one, Recorded) for one in outcomes)
    assert inserts >= 2
    assert_once_each(node, [first, *(one.fact for one in outcomes)])
