"""A lease: one holder at a time, a number that grows with every change, and a paused holder that knows it is late."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect

from shared.ledger.lease import Lease
from shared.ledger.store import Document
from shared.ledger.work import LOOK_EVERY, Work
from shared.settings import Settings


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 3, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def pass_(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def collection(database_settings: Settings) -> Iterator[Collection[Document]]:
    with MongoClient[Document](database_settings.mongodb_uri, tz_aware=True) as client:
        yield client[database_settings.database("leases")]["leases"]


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lease(collection: Collection[Document], clock: Clock, holder: str) -> Lease:
    return Lease(collection, "follower", holder, 3.0, clock)


def test_one_holds_it_until_it_expires_and_the_number_grows(collection: Collection[Document], clock: Clock) -> None:
    first, second = lease(collection, clock, "first"), lease(collection, clock, "second")
    assert first.try_hold()
    assert not second.try_hold()
    assert (first.fencing, second.fencing) == (1, 0)
    clock.pass_(2.9)
    assert not second.try_hold()
    clock.pass_(0.2)
    assert second.try_hold()
    assert second.fencing == 2
    assert not first.try_hold()
    assert first.fencing == 0


def test_a_holder_stops_trusting_it_before_another_can_take_it(collection: Collection[Document], clock: Clock) -> None:
    first, second = lease(collection, clock, "first"), lease(collection, clock, "second")
    first.try_hold()
    clock.pass_(1.9)
    assert first.is_held
    clock.pass_(0.2)
    assert not first.is_held
    assert not second.try_hold()


def test_a_holder_that_renews_keeps_it_and_its_number(collection: Collection[Document], clock: Clock) -> None:
    first, second = lease(collection, clock, "first"), lease(collection, clock, "second")
    for _ in range(8):
        assert first.try_hold()
        assert not second.try_hold()
        clock.pass_(first.renewal_seconds)
    assert first.fencing == 1
    assert first.renewal_seconds * 2 < 3.0 * 2 / 3


def test_a_holder_that_was_paused_but_not_replaced_goes_on_under_its_number(
    collection: Collection[Document], clock: Clock
) -> None:
    first = lease(collection, clock, "first")
    first.try_hold()
    clock.pass_(60)
    assert not first.is_held
    assert first.try_hold()
    assert first.fencing == 1


def test_a_released_lease_is_free_at_once(collection: Collection[Document], clock: Clock) -> None:
    first, second = lease(collection, clock, "first"), lease(collection, clock, "second")
    first.try_hold()
    first.release()
    assert not first.is_held
    assert second.try_hold()
    assert second.fencing == 2
    first.release()
    assert second.try_hold()


def test_without_the_database_what_was_granted_holds_until_it_is_no_longer_trusted(
    collection: Collection[Document], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = lease(collection, clock, "first")
    first.try_hold()

    def away(*_: object, **__: object) -> None:
        raise AutoReconnect("away")

    monkeypatch.setattr(first._collection, "update_one", away)
    monkeypatch.setattr(first._collection, "find_one_and_update", away)
    assert first.try_hold()
    clock.pass_(2.1)
    assert not first.try_hold()
    assert first.fencing == 1


def test_of_many_that_reach_for_it_one_gets_it(collection: Collection[Document], clock: Clock) -> None:
    leases = [lease(collection, clock, str(number)) for number in range(8)]
    for round_ in range(1, 4):
        together = threading.Barrier(8)

        def reach(one: Lease, together: threading.Barrier = together) -> bool:
            together.wait()
            return one.try_hold()

        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(reach, leases)) == 1
        assert max(one.fencing for one in leases) == round_
        clock.pass_(4)
        for one in leases:
            one.release()


def test_two_threads_of_one_replica_do_not_lose_it_to_each_other(
    collection: Collection[Document], clock: Clock
) -> None:
    for attempt in range(20):
        mine = Lease(collection, f"lease {attempt}", "me", 3.0, clock)
        together = threading.Barrier(2)

        def reach(_: int, mine: Lease = mine, together: threading.Barrier = together) -> bool:
            together.wait()
            return mine.try_hold()

        with ThreadPoolExecutor(2) as threads:
            assert all(threads.map(reach, range(2)))
        assert mine.is_held
        assert mine.fencing == 1


def test_work_touched_again_while_it_was_done_stays_to_be_done(collection: Collection[Document], clock: Clock) -> None:
    work = Work(collection.database["work"], clock)
    work.touch(["pilot/1"])
    (task,) = work.due()
    work.touch(["pilot/1"])
    work.done(task)
    assert [one.key for one in work.due()] == ["pilot/1"]
    work.done(work.due()[0])
    assert work.due() == []


def test_a_late_worker_does_not_do_away_with_work_that_came_after(
    collection: Collection[Document], clock: Clock
) -> None:
    """It was paused, another did the task, and the key was touched anew: that is a different task."""
    work = Work(collection.database["work"], clock)
    work.touch(["pilot/1"])
    (paused,) = work.due()
    work.done(work.due()[0])
    work.touch(["pilot/1"])
    work.done(paused)
    assert [one.key for one in work.due()] == ["pilot/1"]


def test_work_that_fails_is_put_off_for_longer_each_time_and_shown(
    collection: Collection[Document], clock: Clock
) -> None:
    work = Work(collection.database["work"], clock)
    work.touch(["pilot/1"])
    for delay in (1, 2, 4, 8):
        (task,) = work.due()
        work.put_off(task, "no route to host")
        clock.pass_(delay - 0.1)
        assert work.due() == []
        clock.pass_(0.1 + LOOK_EVERY.total_seconds())
    assert work.troubled() == [{"key": "pilot/1", "attempts": 4, "error": "no route to host"}]
    work.put_off(work.due()[0], "again")
    work.touch(["pilot/1"])
    assert len(work.due()) == 1
