"""A circle's facts are handed by the hub's streams to the nodes of its agencies, and to nobody else."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nats.errors
import pytest
from nats.js import JetStreamContext

from deploy.nats.provision import provision
from services.mesh import circulating
from shared.bus.asking import Asking, Unanswered
from shared.bus.peers import connect_intake
from shared.bus.subjects import circle_filter
from shared.facts.fact import Fact
from shared.ledger.drafts import Draft
from tests.node.exchanging import Federation, Side, eventually, federation
from tests.node.ledgers import OFFICER
from tests.node.three_nodes import leaves_sockets, write

CIRCLE = "0198c0de-0000-7000-8000-00000000c1c1"
LEDGER = f"wfp.matching.{CIRCLE}"
pytestmark = leaves_sockets


async def is_taken_out_while_provisioning(mesh: Federation) -> None:
    """fao's consumer loses its circles just after provisioning has read it."""
    settings, read = mesh.hub.ledgers.settings, JetStreamContext.consumer_info

    async def read_and_change(js: JetStreamContext, stream: str, consumer: str, **more: Any) -> Any:
        told = await read(js, stream, consumer, **more)
        if (stream, consumer) == ("VERIFIED", "intake_fao_hub"):
            now = replace(told.config, filter_subjects=["verified.*.*.*.*"])
            await js.add_consumer(stream, now)
        return told

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JetStreamContext, "consumer_info", read_and_change)
        await provision(settings)


@pytest.fixture
def quiet_mesh(tmp_path: Path, mongodb_uri: str) -> Iterator[Federation]:
    """Its nodes exchange heads once, at their start: what arrives afterwards came through streams."""
    with federation(tmp_path, mongodb_uri, "wfp", "fao", "itu", heads_seconds=3600) as made:
        yield made
    gc.collect()  # the sockets that nats-py left are this test's, not the next one's


@pytest.fixture
def mesh(tmp_path: Path, mongodb_uri: str) -> Iterator[Federation]:
    with federation(tmp_path, mongodb_uri, "wfp", "fao", "itu") as made:
        yield made
    gc.collect()


async def asks(side: Side, agency: str, *agencies: str, circle: str = CIRCLE, id_: str = "q1") -> Fact:
    """A question of `agency` within the circle of these; the ledger's first fact says who they are."""

    def record() -> Fact:
        state = {"id": id_, "agency": agency, "question": {"en": "Who pays?"}, "agencies": list(agencies)}
        appender = side.ledgers.appender()
        fact = appender.record(Draft(agency, "matching", "question", "asked", id_, 1, state, OFFICER, circle)).fact
        appender.stop()
        side.nudge({str(fact.header.ledger)})
        return fact

    return await asyncio.to_thread(record)


async def handed(mesh: Federation, domain: str, stream: str = "VERIFIED") -> list[str]:
    """What the member's consumer at the hub hands out of circles."""
    async with mesh.hub.user("provisioner") as connection:
        config = (await connection.jetstream().consumer_info(stream, f"intake_{domain}_hub")).config
    return [subject for subject in config.filter_subjects or [] if subject.count(".") == 5]


async def until_linked(mesh: Federation) -> None:
    await mesh.level()  # everybody has the roster: a fact that came before it would be one of an unknown agency
    await write(mesh["wfp"], 1)
    await mesh.level()


def test_a_circles_facts_come_through_the_streams_of_the_hub_to_its_agencies_alone(quiet_mesh: Federation) -> None:
    mesh = quiet_mesh

    async def story() -> None:
        async with mesh.running():
            await until_linked(mesh)
            first = await asks(mesh["wfp"], "wfp", "wfp", "fao")
            await eventually(lambda: mesh["fao"].holds([first]), "the first fact of a new circle came by itself")
            later = [await asks(mesh["wfp"], "wfp", "wfp", "fao", id_=f"q{n}") for n in range(2, 5)]
            await eventually(lambda: mesh["fao"].holds(later), "and those that follow")
            by_hub = await asks(mesh.hub, "unicc", "unicc", "fao")
            await eventually(lambda: mesh["fao"].holds([by_hub]), "what the hub's own agency writes comes as well")
            assert await handed(mesh, "fao") == [circle_filter(LEDGER, "VERIFIED")]
            assert await handed(mesh, "fao", "CIRCLES") == [circle_filter(f"unicc.matching.{CIRCLE}", "CIRCLES")]
            for stream in ("VERIFIED", "CIRCLES"):
                assert await handed(mesh, "itu", stream) == []
                assert await handed(mesh, "wfp", stream) == [], "who wrote a ledger is not handed it back"
            # What the hub publishes later reaches itu: what it published before would have been there already.
            after = await write(mesh["wfp"], 1)
            await eventually(lambda: mesh["itu"].holds(after), "facts for all reach all")
            assert [one for one in mesh["itu"].store.ledgers() if CIRCLE in one] == []
            # At the start a fact may come before the roster that names its agency: it waits.
            assert [side.codes() - {"agency"} for side in mesh.sides.values()] == [set()] * 4
            assert await provision(mesh.hub.ledgers.settings) == [], "provisioning anew leaves circles as they are"
            assert await handed(mesh, "fao") == [circle_filter(LEDGER, "VERIFIED")]
            await is_taken_out_while_provisioning(mesh)
            assert await handed(mesh, "fao") == [], "and hands no circle back that was taken out meanwhile"

    asyncio.run(story())


def test_who_leaves_a_circle_is_handed_nothing_more_and_who_comes_gets_it_from_its_first_fact(
    mesh: Federation,
) -> None:
    def circle(*agencies: str) -> dict[str, Any]:
        return {"circles": [{"id": CIRCLE, "agencies": list(agencies)}]}

    async def story() -> None:
        async with mesh.running():
            await until_linked(mesh)
            await asyncio.to_thread(mesh.issue, more=circle("wfp", "fao"))
            early = await write(mesh["wfp"], 3, audience=CIRCLE)
            await eventually(lambda: mesh["fao"].holds(early), "a member of the circle has them")
            await asyncio.to_thread(mesh.issue, more=circle("wfp", "itu"))
            late = await write(mesh["wfp"], 3, audience=CIRCLE)
            await eventually(lambda: mesh["itu"].holds([*early, *late]), "who came has all of them")
            after = await write(mesh["wfp"], 1)
            await eventually(lambda: mesh["fao"].holds(after), "who left still gets what is for all")
            assert not mesh["fao"].holds(late[:1])
            assert await handed(mesh, "fao") == []
            assert await handed(mesh, "itu") == [circle_filter(f"wfp.registry.{CIRCLE}", "VERIFIED")]
            await asyncio.to_thread(mesh.issue, itu={"status": "suspended"})

            async def itu_is_handed_nothing() -> None:
                while await handed(mesh, "itu"):  # noqa: ASYNC110 - what is waited for is in servers
                    await asyncio.sleep(0.05)

            await asyncio.wait_for(itu_is_handed_nothing(), 60)

    asyncio.run(story())


def test_an_outsider_gets_at_a_circles_facts_in_no_way(mesh: Federation) -> None:
    """itu is a member of the mesh, with all the credentials of its node, and does as it likes there."""

    async def story() -> None:
        async with mesh.running():
            await until_linked(mesh)
            fact = await asks(mesh["wfp"], "wfp", "wfp", "fao")
            await eventually(lambda: mesh["fao"].holds([fact]), "there is something to get at")
            intake = await connect_intake(mesh["itu"].ledgers.settings, "hub")
            for asked in ("hub", "wfp", "fao"):  # of the hub, of the origin, and of a member of the circle
                with pytest.raises(Unanswered, match=r"not in the audience|does not answer"):
                    await Asking(intake, "itu").facts(asked, LEDGER, (1, 0))
            assert [one for one in await Asking(intake, "itu").heads("hub") if CIRCLE in one["ledger"]] == []
            await intake.close()
            async with mesh["itu"].user("provisioner") as connection:
                heard: list[str] = []
                guessed = [f"{root}.{CIRCLE}.>" for root in ("circle", "verified")]
                for subject in (*guessed, "verified.>", "circle.>", "_INBOX.hub.>", "_INBOX.fao.>", "$JS.ACK.>"):
                    await connection.subscribe(subject, cb=_noting(heard))
                js = connection.jetstream(domain="hub", timeout=0.5)
                wanted = circulating.ConsumerConfig(
                    name="intake_itu_hub",
                    durable_name="intake_itu_hub",
                    filter_subjects=["verified.*.*.*.*", circle_filter(LEDGER, "VERIFIED")],
                )
                with pytest.raises((nats.errors.Error, TimeoutError)):
                    await js.add_consumer("VERIFIED", wanted)
                with pytest.raises((nats.errors.Error, TimeoutError)):
                    await js.pull_subscribe(circle_filter(LEDGER, "VERIFIED"), durable="intake_fao_hub")
                with pytest.raises((nats.errors.Error, TimeoutError)):
                    await js.get_last_msg("VERIFIED", f"verified.{CIRCLE}.>", direct=True)
                theirs = await js.pull_subscribe_bind(durable="intake_fao_hub", stream="VERIFIED")
                with pytest.raises((nats.errors.Error, TimeoutError)):
                    await theirs.fetch(1, timeout=0.5)
                more = await asks(mesh["wfp"], "wfp", "wfp", "fao", id_="q2")
                await eventually(lambda: mesh["fao"].holds([more]), "the circle goes on")
                after = await write(mesh["wfp"], 1)
                await eventually(lambda: mesh["itu"].holds(after), "facts for all reach itu")
                assert [one for one in heard if CIRCLE in one and not one.startswith("verified.itu")] == []
            assert await handed(mesh, "itu") == []
            assert [one for one in mesh["itu"].store.ledgers() if CIRCLE in one] == []

    asyncio.run(story())


def _noting(heard: list[str]) -> Any:
    async def note(message: Any) -> None:
        heard.append(message.subject)

    return note


def test_an_agency_with_very_many_circles_pushes_out_its_own_and_all_of_them_arrive(
    mesh: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circulating, "MOST_OF_AN_AGENCY", 3)

    async def story() -> None:
        async with mesh.running():
            await until_linked(mesh)
            theirs = await asks(mesh["itu"], "itu", "itu", "fao")
            await eventually(lambda: mesh["fao"].holds([theirs]), "another's circle")
            circles = [f"0198c0de-0000-7000-8000-00000000000{n}" for n in range(6)]
            facts = [await asks(mesh["wfp"], "wfp", "wfp", "fao", circle=one, id_=one) for one in circles]
            await eventually(lambda: mesh["fao"].holds(facts), "all arrive")
            there = await handed(mesh, "fao")
            assert len(there) == 4
            assert circle_filter(f"itu.matching.{CIRCLE}", "VERIFIED") in there
            again = await asks(mesh["wfp"], "wfp", "wfp", "fao", circle=circles[0], id_="q2")
            await eventually(lambda: mesh["fao"].holds([again]), "a circle that was quiet goes on")
            assert circle_filter(f"wfp.matching.{circles[0]}", "VERIFIED") in await handed(mesh, "fao")

    asyncio.run(story())
