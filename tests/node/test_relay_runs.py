"""Runs of facts: a stream takes all of one or none, so that it never holds a fact without those before it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from nats.errors import TimeoutError as NatsTimeout
from nats.js.errors import APIError

from services.mesh import publishing
from services.mesh.publishing import BATCH_ID, Publisher, runs
from shared.facts.fact import Fact, from_wire
from shared.settings import Settings
from tests.node.ledgers import LedgerNode, ledger_node, pilot
from tests.node.streams import Bus, tell
from tests.unit.facts.chains import Chain

LEDGER = "wfp.registry"


@pytest.fixture
def node(settings: Settings) -> Iterator[LedgerNode]:
    with ledger_node(settings) as made:
        yield made.host("wfp")


def written(node: LedgerNode, count: int) -> list[Fact]:
    appender = node.appender()
    return [done.result(60).fact for done in [appender.submit(pilot()) for _ in range(count)]]


def test_what_waits_is_published_in_one_run_in_order_and_as_it_was_signed(node: LedgerNode) -> None:
    facts = written(node, 40)

    async def story(bus: Bus) -> None:
        await bus.published(LEDGER)
        messages = await bus.messages("FACTS", "facts.wfp.>")
        assert [from_wire(message.data) for message in messages] == facts
        assert len({message.headers[BATCH_ID] for message in messages}) == 1

    tell(node, story)


def test_a_run_that_does_not_arrive_whole_is_not_stored_and_published_again(
    node: LedgerNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = written(node, 6)

    async def story(bus: Bus) -> None:
        publish, lost = bus.mesh.publish, []

        async def lose_the_third(subject: str, *arguments: Any, **more: Any) -> None:
            if (more.get("headers") or {}).get("Pilotmesh-Sequence") == "3" and not lost:
                lost.append(subject)
                return
            await publish(subject, *arguments, **more)

        monkeypatch.setattr(bus.mesh, "publish", lose_the_third)
        with pytest.raises(APIError):
            await Publisher(bus.mesh, foreign=False).publish_run("FACTS", facts)
        assert await bus.sequences(LEDGER) == []
        lost.clear()
        await bus.published(LEDGER)
        assert lost
        assert await bus.sequences(LEDGER) == [1, 2, 3, 4, 5, 6]

    tell(node, story)


def test_a_run_whose_acknowledgement_is_lost_is_not_published_twice(
    node: LedgerNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(node, 6)

    async def story(bus: Bus) -> None:
        request, lost = bus.mesh.request, []

        async def lose_the_answer(*arguments: Any, **more: Any) -> object:
            answer = await request(*arguments, **more)
            if BATCH_ID in (more.get("headers") or {}) and not lost:
                lost.append(answer)
                raise NatsTimeout
            return answer

        monkeypatch.setattr(bus.mesh, "request", lose_the_answer)
        await bus.published(LEDGER)
        await asyncio.to_thread(written, node, 1)
        await bus.published(LEDGER)
        assert lost
        assert await bus.sequences(LEDGER) == [1, 2, 3, 4, 5, 6, 7]

    tell(node, story)


def test_a_stream_that_takes_no_runs_yet_is_given_facts_one_by_one(node: LedgerNode) -> None:
    written(node, 5)

    async def story(bus: Bus) -> None:
        js = bus.provisioner.jetstream()
        before = (await js.stream_info("FACTS")).config
        await js.update_stream(replace(before, allow_atomic=False))
        await bus.published(LEDGER)
        assert await bus.sequences(LEDGER) == [1, 2, 3, 4, 5]

    tell(node, story)


def test_runs_hold_every_fact_in_order_and_are_not_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain()
    facts = [chain.add({"text": "x" * size}) for size in (10, 10, 10, 5_000, 10, 10, 10, 10)]
    monkeypatch.setattr(publishing, "MOST_FACTS", 3)
    monkeypatch.setattr(publishing, "MOST_BYTES", 4_000)
    found = list(runs(facts))
    assert [fact for run in found for fact in run] == facts
    assert [len(run) for run in found] == [3, 1, 3, 1]
    assert list(runs([])) == []
