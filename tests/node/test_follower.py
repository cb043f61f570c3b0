"""Followers: every fact is folded, whatever crashes; what cannot be followed is named, and the rest goes on."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence

import pytest
from bson import Binary

from shared.facts.fact import Fact
from shared.facts.verify import Head
from shared.ledger.follower import Follower
from shared.ledger.rows import Key, Row
from shared.settings import Settings
from tests.node.following import Following, PilotRow, chain_of, following_in, ids, key, own_chain, put
from tests.node.ledgers import pilot, until
from tests.unit.facts.chains import resigned


@pytest.fixture
def following(database_settings: Settings) -> Iterator[Following]:
    with following_in(database_settings) as made:
        made.node.host("wfp", "fao")
        yield made


def test_what_stands_and_what_comes_is_folded(following: Following) -> None:
    appender = following.node.appender()
    before = appender.record(pilot(title="before")).fact
    follower = following.started()
    after = appender.record(pilot(title="after")).fact
    follower.nudge(["wfp.registry"])
    until(lambda: following.rows.get(key(*ids(after))), "the new fact is folded")
    assert following.rows.get(key(*ids(before))) is not None
    assert follower.position("wfp.registry") == following.node.store.head("wfp.registry")
    assert follower.lag() == {}


def test_facts_that_no_news_told_of_are_found(following: Following) -> None:
    following.started()
    fact = following.node.appender().record(pilot()).fact
    until(lambda: following.rows.get(key(*ids(fact))), "the fact is found without a word")


def test_news_is_folded_when_it_is_acknowledged(following: Following) -> None:
    follower = following.started()
    until(lambda: follower.follow_now([]), "settled in")
    for number in range(20):
        fact = following.node.appender().record(pilot(title=str(number))).fact
        assert follower.follow_now(["wfp.registry"])
        row = following.rows.get(key(*ids(fact)))
        assert row is not None
        assert row.state["title"] == str(number)


class Killed(Follower):
    """Dies, with the whole process, at one point of its work."""

    point = ""

    def _move(self, heads: Mapping[str, Head]) -> None:
        if self.point == "before the cursor":
            os._exit(9)
        super()._move(heads)
        if self.point == "after a cursor":
            os._exit(9)


def follow_until_killed(settings: Settings, point: str) -> None:
    with following_in(settings) as following:
        Killed.point = point
        following.started(kind=Killed, seconds=0.8)


@pytest.mark.parametrize("point", ["before the cursor", "after a cursor"])
def test_a_follower_killed_between_fold_and_cursor_leaves_the_same_rows(following: Following, point: str) -> None:
    appender = following.node.appender()
    first = [appender.record(pilot(agency=agency)).fact for agency in ("wfp", "fao") for _ in range(10)]
    process = multiprocessing.get_context("spawn").Process(
        target=follow_until_killed, args=(following.node.settings, point)
    )
    process.start()
    process.join(30)
    assert process.exitcode == 9
    for fact in first[:5]:
        appender.record(pilot(id=ids(fact)[0], version=2, title="later"))
    follower = following.replica(seconds=0.8)
    follower.start()
    until(lambda: follower.leads and not follower.lag(), "the dead one's lease has run out, and all is folded")
    assert len(list(following.rows.all())) == 20
    assert following.digest() == following.digest_of_rebuild()


def test_a_gap_is_named_and_waited_for_while_other_ledgers_go_on(following: Following) -> None:
    node = following.node
    facts = chain_of(node, "wfp.registry", 5)
    put(node, facts[0], facts[1], facts[3], facts[4])
    others = chain_of(node, "fao.registry", 3)
    put(node, *others)
    follower = following.started()
    assert "expected sequence 3" in follower.waiting["wfp.registry"]
    assert follower.position("wfp.registry").sequence == 2
    assert follower.position("fao.registry").sequence == 3
    put(node, facts[2])
    until(lambda: follower.position("wfp.registry").sequence == 5, "the gap is closed")
    assert follower.waiting == {}


def test_a_gap_wider_than_any_window_is_named_as_well(following: Following) -> None:
    node = following.node
    facts = chain_of(node, "wfp.registry", 1300)
    put(node, *facts[:2])
    put(node, *facts[1200:])
    follower = following.started()
    until(lambda: follower.waiting, "the gap is noticed")
    assert "expected sequence 3" in follower.waiting["wfp.registry"]
    put(node, *facts[2:1200])
    until(lambda: follower.position("wfp.registry").sequence == 1300, "the gap is closed")
    assert follower.waiting == {}


def test_a_chain_that_is_broken_in_the_store_is_named_and_not_crossed(following: Following) -> None:
    node = following.node
    facts = chain_of(node, "wfp.registry", 4)
    strange = resigned(facts[2], node.keyring.key("wfp"), previous="0" * 64)
    put(node, facts[0], facts[1], strange, facts[3])
    put(node, *chain_of(node, "fao.registry", 2))
    follower = following.started()
    assert "wfp.registry:1:3" in follower.waiting["wfp.registry"]
    assert follower.position("wfp.registry").sequence == 2
    assert follower.position("fao.registry").sequence == 2


def test_bytes_in_the_store_that_are_no_fact_stop_only_their_ledger(following: Following) -> None:
    node = following.node
    facts = chain_of(node, "wfp.registry", 3)
    put(node, *facts)
    node.store.facts.update_one({"_id": facts[2].hash}, {"$set": {"protected": Binary(b"rubbish")}})
    node.store.recent.clear()
    put(node, *chain_of(node, "fao.registry", 2))
    follower = following.started()
    assert "after 1:2 stands what is no fact" in follower.waiting["wfp.registry"]
    assert follower.position("wfp.registry").sequence == 2
    assert follower.position("fao.registry").sequence == 2


def test_a_store_put_back_to_before_the_cursor_is_noticed(following: Following) -> None:
    node = following.node
    facts = chain_of(node, "wfp.registry", 6)
    put(node, *facts)
    following.started().stop()
    node.store.facts.delete_many({"sequence": {"$gt": 4}})
    follower = following.started()
    assert "the store was put back" in follower.waiting["wfp.registry"]
    put(node, *facts[4:])
    follower._scanned_at = float("-inf")
    follower.nudge(["wfp.registry"])
    until(lambda: not follower.waiting, "level again")


def test_a_type_newer_than_this_node_is_shown_and_the_ledger_goes_on(following: Following) -> None:
    node = following.node
    chain = own_chain(node, "wfp.registry")
    first = chain.add({"lead_agency": "wfp", "title": "old"}, version=1)
    newer = chain.add({"lead_agency": "wfp", "titles": ["new"]}, version=2, type_version=2)
    other = chain.add({"lead_agency": "wfp"}, subject="pilot/0198c0de-0000-7000-8000-0000000000bb")
    put(node, first, newer, other)
    follower = following.started()
    row = following.rows.get(key(*ids(newer)))
    assert row is not None
    assert not row.is_live
    assert "newer than this node" in (row.shown.unfolded or "")
    assert PilotRow.objects(live=True).count() == 1
    assert follower.position("wfp.registry").sequence == 3


POISON = [
    {"people": 10**30},
    {"title": "\ud800"},
    {"title": ["no", "text"]},
    {"title": "x" * 200_000, "people": {"$gt": 1}},
    {"title": {"$where": "1"}},
    {"people": "many", "title": "nul \0 inside"},
]


def payload_of(state: Mapping[str, object]) -> bytes:
    return json.dumps({"lead_agency": "wfp", **state}).encode()


@pytest.mark.parametrize("state", POISON, ids=range(len(POISON)))
def test_a_state_that_no_row_can_be_made_of_stops_nobody(following: Following, state: dict[str, object]) -> None:
    node = following.node
    chain = own_chain(node, "wfp.registry")
    poison = chain.add(payload_of(state), subject="pilot/0198c0de-0000-7000-8000-0000000000bb")
    good = chain.add({"lead_agency": "wfp", "title": "good"})
    put(node, poison, good)
    follower = following.started()
    assert follower.trouble is None
    assert follower.position("wfp.registry").sequence == 2
    row = following.rows.get(key(*ids(good)))
    assert row is not None
    assert row.is_live
    troubled = following.rows.get(key(*ids(poison)))
    assert troubled is not None
    assert troubled.is_live == (troubled.unreadable is None)
    assert following.digest() == following.digest_of_rebuild()


def test_an_unreadable_state_is_healed_by_the_next(following: Following) -> None:
    node = following.node
    chain = own_chain(node, "wfp.registry")
    put(node, chain.add(payload_of({"people": 10**30}), version=1))
    follower = following.started()
    row = following.rows.get(key(*ids(chain.facts[0])))
    assert row is not None
    assert "OverflowError" in (row.unreadable or "")
    assert PilotRow.objects(live=True).count() == 0
    put(node, chain.add(payload_of({"people": 5}), version=2))
    follower.nudge(["wfp.registry"])
    until(lambda: PilotRow.objects(live=True, people=5).count() == 1, "healed")
    (healed,) = following.rows.all()
    assert healed.unreadable is None


def test_a_fault_in_the_fold_stops_its_ledger_alone_is_shown_and_tried_again(following: Following) -> None:
    node, faulty = following.node, True

    def touched(_: Mapping[Key, Row], facts: Sequence[Fact]) -> None:
        if faulty and any(fact.header.agency == "wfp" for fact in facts):
            raise ZeroDivisionError("a fault of the fold")

    following.touched = touched
    put(node, *chain_of(node, "wfp.registry", 3))
    put(node, *chain_of(node, "fao.registry", 3))
    follower = following.started()
    until(lambda: follower.trouble, "the trouble is shown")
    assert "wfp.registry" in (follower.trouble or "")
    assert "ZeroDivisionError" in (follower.trouble or "")
    assert follower.position("fao.registry").sequence == 3
    assert follower.position("wfp.registry").sequence == 0
    faulty = False
    until(lambda: follower.position("wfp.registry").sequence == 3, "tried again")
    until(lambda: follower.trouble is None, "no more trouble")
