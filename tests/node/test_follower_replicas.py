"""Several replicas, paused ones, rebuilds while the node goes on, two folds of the same rows: nothing is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from shared.facts.fact import Fact
from shared.facts.verify import Head
from shared.ledger.documents import Rows
from shared.ledger.follower import Follower, LostLease
from shared.ledger.rows import Key, Row
from shared.settings import Settings
from tests.node.following import Following, PilotRow, chain_of, following_in, ids, put
from tests.node.ledgers import pilot, until


@pytest.fixture
def following(database_settings: Settings) -> Iterator[Following]:
    with following_in(database_settings) as made:
        made.node.host("wfp", "fao")
        yield made


def test_one_replica_follows_and_another_takes_over(following: Following) -> None:
    appender = following.node.appender()
    first = following.started(seconds=1.0)
    second = following.started(seconds=1.0)
    assert [first.leads, second.leads] == [True, False]
    assert not second.follow_now(["wfp.registry"])
    first.stop()
    fact = appender.record(pilot()).fact
    until(lambda: second.position("wfp.registry").hash == fact.hash, "the second one has taken over")
    assert second.leads


class Paused(Follower):
    """Stops, as a suspended process does, between its fold and its cursor."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.paused, self.go_on = threading.Event(), threading.Event()
        self.outcome: Exception | None = None

    def _move(self, heads: Mapping[str, Head]) -> None:
        self.paused.set()
        self.go_on.wait(30)
        try:
            super()._move(heads)
        except LostLease as lost:
            self.outcome = lost
            raise


def test_a_holder_that_was_paused_cannot_move_a_cursor_back(following: Following) -> None:
    appender = following.node.appender()
    appender.record(pilot())
    old = following.replica(seconds=0.6, kind=Paused)
    assert isinstance(old, Paused)
    old.start()
    assert old.paused.wait(30)
    new = following.replica(seconds=0.6)
    new.start()
    latest = appender.record(pilot()).fact
    until(lambda: new.position("wfp.registry").hash == latest.hash, "the new holder is level")
    old.go_on.set()
    until(lambda: old.outcome is not None, "the old holder notices")
    assert new.position("wfp.registry").hash == latest.hash
    assert following.digest() == following.digest_of_rebuild()


def test_a_rebuild_gives_the_same_rows_while_the_node_goes_on(following: Following) -> None:
    fold = following.fold()
    appender = following.node.appender(on_committed=fold.fold)
    names = ids(*(appender.record(pilot()).fact for _ in range(20)))
    follower = following.started()
    stop = threading.Event()
    written: list[Fact] = []

    def keep_writing() -> None:
        version = 1
        while not stop.is_set():
            version += 1
            written.extend(appender.record(pilot(id=name, version=version, title=str(version))).fact for name in names)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    rebuilds = 0
    while rebuilds < 4 or len(written) < 60:
        follower.rebuild()
        rebuilds += 1
    stop.set()
    writer.join(30)
    until(lambda: not follower.lag(), "level after the rebuilds")
    assert following.digest() == following.digest_of_rebuild()
    assert {index["name"] for index in following.rows.collection("pilot").list_indexes()} >= {"_id_", "title_1"}


def test_a_rebuild_does_not_cross_what_the_follower_does_not_cross(following: Following) -> None:
    node = following.node
    facts = chain_of(node, "wfp.registry", 4)
    put(node, facts[0], facts[1], facts[3])
    follower = following.started()
    before = following.digest()
    follower.rebuild()
    assert following.digest() == before
    assert follower.position("wfp.registry").sequence == 2
    assert "wfp.registry" in follower.waiting


def test_a_rebuild_that_loses_the_lease_leaves_the_rows_alone(following: Following) -> None:
    node = following.node
    put(node, *chain_of(node, "wfp.registry", 600))
    follower = following.started()
    before = following.digest()
    folds = 0
    real = Rows.fold

    def fold_and_lose(self: Rows, facts: Sequence[Fact]) -> dict[Key, Row]:
        nonlocal folds
        folds += 1
        if folds == 2:
            follower._lease._collection.update_one({}, {"$set": {"holder": "another"}, "$inc": {"fencing": 1}})
        return real(self, facts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rows, "fold", fold_and_lose)
        with pytest.raises(LostLease):
            follower.rebuild()
    assert following.digest() == before


def test_a_new_version_of_the_fold_folds_everything_again(following: Following) -> None:
    following.node.appender().record(pilot(title="a title"))
    following.started().stop()
    PilotRow.objects.update(title="as an older fold had it")
    following.started(version=1).stop()
    assert PilotRow.objects.first().title == "as an older fold had it"
    following.started(version=2).stop()
    assert PilotRow.objects.first().title == "a title"


def test_folding_while_an_api_folds_the_same_rows_loses_nothing(following: Following) -> None:
    """The process that writes folds its facts at once; the follower folds them too; rows are shared."""
    fold = following.fold()
    appenders = [following.node.appender(on_committed=fold.fold) for _ in range(2)]
    follower = following.started()
    names = ids(*(appenders[0].record(pilot()).fact for _ in range(5)))

    def client(number: int) -> None:
        for version in range(2, 14):
            appenders[version % 2].record(pilot(id=names[number], version=version, title=str(version)))
            follower.nudge(["wfp.registry"])

    threads = [threading.Thread(target=client, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    until(lambda: not follower.lag(), "level")
    assert {row.state["title"] for row in following.rows.all()} == {"13"}
    assert following.digest() == following.digest_of_rebuild()
