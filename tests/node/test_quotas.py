"""A member that floods with authentic facts is slowed down; others feel nothing of it, and nothing is lost."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from services.mesh.quotas import DAY_SECONDS, Quota, Quotas, quotas_of
from shared.ledger.identity import Member
from shared.settings import Settings
from tests.node.exchanging import Federation, Side, eventually, federation
from tests.node.test_intake import leaves_sockets, write
from tests.unit.facts.chains import Chain

pytestmark = leaves_sockets


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def collection(database_settings: Settings) -> Iterator[Any]:
    with MongoClient[dict[str, Any]](str(database_settings.mongodb_uri)) as client:
        yield client[database_settings.database("mesh")]["quotas"]


@pytest.fixture
def mesh(tmp_path: Path, mongodb_uri: str) -> Iterator[Federation]:
    with federation(tmp_path, mongodb_uri, "wfp", "fao") as made:
        yield made
    gc.collect()  # the sockets that nats-py left are this test's, not the next one's


def facts(count: int) -> list[Any]:
    chain = Chain(ledger="fao.registry")
    return [chain.add({"lead_agency": "fao"}, subject=f"pilot/p{n}") for n in range(count)]


def allow(side: Side, **settings: Any) -> None:
    side.ledgers.settings = side.ledgers.settings.model_copy(update=settings)


def test_a_level_rises_with_what_is_taken_in_and_sinks_with_time(collection: Any) -> None:
    clock = Clock()
    quotas = Quotas(collection, [Quota("facts", 100, DAY_SECONDS, "PILOTMESH_QUOTA_FACTS", "facts a day")], clock)
    quotas.count("fao", facts(99))
    assert quotas.over("fao") is None
    quotas.count("fao", facts(1))
    why = quotas.over("fao")
    assert why is not None
    assert "PILOTMESH_QUOTA_FACTS" in why
    assert quotas.all_over() == {"fao": why}
    assert quotas.over("wfp") is None
    clock.now += DAY_SECONDS * 0.01
    assert quotas.over("fao") is not None, "whoever was over has to come down a little before it goes on"
    clock.now += DAY_SECONDS * 0.02
    assert quotas.over("fao") is None
    clock.now += DAY_SECONDS * 7
    quotas.count("fao", facts(99))
    assert quotas.over("fao") is None, "who was away for a week comes back with a day's quota, and no more"


def test_levels_outlive_a_restart_and_an_operator_lifts_them_on_any_replica(collection: Any) -> None:
    clock = Clock()
    told = [Quota("facts", 10, DAY_SECONDS, "PILOTMESH_QUOTA_FACTS", "facts a day")]
    first, second = Quotas(collection, told, clock), Quotas(collection, told, clock)
    first.count("fao", facts(10))
    second.reload()
    assert second.over("fao") is not None
    second.lift("fao")
    assert second.over("fao") is None
    first.notice_lifted()
    assert first.over("fao") is None


def test_the_defaults_let_a_hundred_thousand_facts_of_three_kibibytes_through_at_once() -> None:
    tops = {quota.name: quota.top for quota in quotas_of(Settings())}
    size = 3 * 2**10
    assert tops["facts"] > 100_000
    assert min(tops["bytes"], tops["kept"]) > 100_000 * size
    assert tops["kept"] <= Settings().stream_max_bytes / 4, "and one agency never fills what all share"


def test_a_flood_of_authentic_facts_stops_at_the_quota_while_others_go_on_until_an_operator_resumes(
    mesh: Federation,
) -> None:
    allow(mesh.hub, quota_facts=300)

    async def story() -> None:
        async with mesh.running("fao"):
            flood = await write(mesh["fao"], 1000)
            async with mesh.running("hub", "wfp"):
                accepting = mesh.hub.exchange.intake.accepting
                await eventually(lambda: accepting.over_quota("fao"), "the quota is reached")
                theirs = await write(mesh["wfp"], 400)  # as many as are allowed, and a few in the batch that reaches it
                await eventually(lambda: mesh.hub.holds(theirs[:300]), "another agency has a quota of its own")
                reached = mesh.hub.head("fao.registry").sequence
                assert 300 <= reached <= 300 + 256
                told = mesh.hub.standing().intake_told()
                assert told is not None
                assert "PILOTMESH_QUOTA_FACTS" in told["over_quota"]["fao"]
                outlets = {
                    (peer["domain"], one["stream"]): one["trouble"]
                    for peer in mesh.hub.standing().peers()
                    for one in peer["outlets"]
                }
                assert "PILOTMESH_QUOTA_FACTS" in (outlets["fao", "FACTS"] or "")
                assert mesh.hub.codes() == set(), "it is no forgery: nothing is refused"
                for _ in range(4):
                    await asyncio.to_thread(accepting.resume, "fao")
                    await asyncio.to_thread(accepting.resume, "wfp")
                    await eventually(
                        lambda: mesh.hub.holds(flood) or accepting.over_quota("fao"), "it goes on to the next quota"
                    )
                await eventually(lambda: mesh["wfp"].holds(flood), "in the end everything arrives everywhere")

    asyncio.run(story())


def test_of_two_agencies_on_one_node_only_the_one_that_floods_is_held(mesh: Federation) -> None:
    """Also where the other one has come to that node while its first one was already held."""
    key = mesh["fao"].ledgers.keyring.make("ifad")
    allow(mesh.hub, quota_facts=50)

    async def story() -> None:
        async with mesh.running("fao"):
            flood = await write(mesh["fao"], 600)
            async with mesh.running("hub", "wfp"):
                accepting = mesh.hub.exchange.intake.accepting
                await eventually(lambda: accepting.over_quota("fao"), "the quota is reached")
                mesh.members.append(Member("ifad", key.public, mesh["fao"].recovery.public[::-1], domain="fao"))
                await asyncio.to_thread(mesh.issue)
                neighbours = await write(mesh["fao"], 3, agency="ifad")
                await eventually(lambda: mesh["wfp"].holds(neighbours), "its neighbour's facts arrive everywhere")
                assert not mesh.hub.holds(flood[-1:])
                for _ in range(12):  # what was passed over is asked for
                    await asyncio.to_thread(accepting.resume, "fao")
                    if await eventually(lambda: mesh.hub.holds(flood) or accepting.over_quota("fao"), "on") is True:
                        break
                await eventually(lambda: mesh["wfp"].holds(flood), "what was passed over arrives as well")

    asyncio.run(story())


def test_another_agencys_fact_overtakes_a_flood_at_the_hub_and_on_the_way_to_others(mesh: Federation) -> None:
    """fao's whole flood lies in its stream when the hub begins to pull; wfp's fact is written after that."""

    async def story() -> None:
        async with mesh.running("fao", "wfp"):
            flood = await write(mesh["fao"], 4000)
            await eventually(
                lambda: mesh["fao"].relay.positions().get("fao.registry", (1, 0)) >= (1, 2000), "much of it waits"
            )
            async with mesh.running("hub"):
                await eventually(lambda: mesh["wfp"].head("fao.registry").sequence > 0, "the flood has come this far")
                (fact,) = await write(mesh.hub, 1, agency="unicc")
                (other,) = await write(mesh["wfp"], 1)
                await eventually(lambda: mesh.hub.holds([other]), "taken in at the hub")
                assert not mesh.hub.holds(flood[-1:])
                await eventually(lambda: mesh["wfp"].holds([fact]), "what the hub writes reaches a member")
                forwarder = mesh.hub.exchange.forwarder
                await eventually(lambda: forwarder.positions().get("wfp.registry") == (1, 1), "and is handed on")
                assert forwarder.positions().get("fao.registry", (1, 0)) < (1, 4000)

    asyncio.run(story())
