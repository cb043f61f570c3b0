"""What crosses a link between two NATS servers, and what does not: tried with a side that holds itself to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from deploy.nats.link import link_of
from deploy.nats.linking import linked, renew
from deploy.nats.streams import CONSUMERS, STREAMS
from tests.node.linked_servers import (
    HUB,
    Servers,
    eventually,
    intake_of,
    linked_servers,
    no_restraint,
    provisioner_of,
)

CALLS = ("CREATE", "DURABLE.CREATE", "DELETE", "INFO", "MSG.NEXT", "PAUSE", "LEADER.STEPDOWN", "UNPIN", "RESET")
STREAM_CALLS = ("CREATE", "UPDATE", "DELETE", "PURGE", "INFO", "MSG.GET", "MSG.DELETE", "SNAPSHOT", "RESTORE")


def never(sender: str, receiver: str, other: str) -> list[str]:
    """Subjects that `sender` must not get through to `receiver`; `other` is a third node."""
    api = f"$JS.{receiver}.API"
    subjects = ["facts.y.registry.pilot.registered", f"facts.{sender}.registry.pilot.registered"]
    subjects += ["verified.y.registry.pilot.registered", "private.y.metrics.observations.recorded"]
    subjects += ["circle.0197a1b2-0000-7000-8000-000000000000.y.registry.pilot.registered", "nudge.registry.0"]
    subjects += [f"ask.{receiver}.{other}", f"ask.{other}.{sender}"]
    subjects += [f"_INBOX.{other}.reply", *(f"_INBOX.{user}.reply" for user in ("provisioner", *CONSUMERS))]
    subjects += [f"_INBOX.{receiver}.{other}.reply", f"_INBOX.{receiver}.reply", f"_INBOX.{other}.{sender}.reply"]
    subjects.append(f"_INBOX.{receiver}.{receiver}.reply")
    for stream in STREAMS:
        subjects += [f"{api}.STREAM.{call}.{stream}" for call in STREAM_CALLS]
        subjects.append(f"{api}.DIRECT.GET.{stream}")
        for consumer in (f"intake_{sender}_{receiver}", "registry"):
            allowed = ("INFO", "MSG.NEXT") if consumer.startswith("intake") and stream != "PRIVATE" else ()
            subjects += [f"{api}.CONSUMER.{call}.{stream}.{consumer}" for call in CALLS if call not in allowed]
        subjects.append(f"$JS.ACK.{stream}.registry.1.1.1.1.1")
    subjects += [f"{api}.CONSUMER.MSG.NEXT.FACTS.registry", f"{api}.CONSUMER.INFO.PRIVATE.registry"]
    return [*subjects, f"{api}.ACCOUNT.PURGE.MESH", f"{api}.STREAM.NAMES", f"{api}.STREAM.LIST"]


def needed(reader: str, source: str, *streams: str) -> list[str]:
    """Subjects that the intake of `reader` needs at `source`."""
    consumer = f"intake_{reader}_{source}"
    subjects = [f"$JS.{source}.API.INFO", f"_INBOX.{source}.{reader}.reply", f"ask.{source}.{reader}"]
    for stream in streams:
        subjects += [f"$JS.{source}.API.CONSUMER.{call}.{stream}.{consumer}" for call in ("INFO", "MSG.NEXT")]
        subjects.append(f"$JS.ACK.{stream}.{consumer}.1.1.1.1.1")
    return subjects


async def passed(sender: Client, receiver: Client, domain: str, subjects: list[str], marker: str) -> set[str]:
    """Those of `subjects` that come out at the receiver, which listens to everything; `marker` is let through."""
    came: set[str] = set()
    done = asyncio.Event()

    async def heard(message: Msg) -> None:
        subject = message.subject.replace("$JS.API.", f"$JS.{domain}.API.")
        if message.data == b"marker":
            done.set()
        elif message.data == b"tried":
            came.add(subject)

    listening = await receiver.subscribe(">", cb=heard)
    await receiver.flush()

    async def comes_through() -> bool:
        await sender.publish(marker, b"marker")
        await sender.flush()
        await asyncio.sleep(0.05)
        return done.is_set()

    await eventually(comes_through, "the link carries what it should")
    done.clear()
    for subject in subjects:
        await sender.publish(subject, b"tried")
    await sender.publish(marker, b"marker")
    await sender.flush()
    async with asyncio.timeout(20):
        await done.wait()
    await listening.unsubscribe()
    return came


@pytest.fixture(scope="module")
def dishonest_member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with linked_servers(tmp_path_factory.mktemp("links"), "x", "y", dishonest="x") as servers:
        servers.admit("x", "y")
        yield servers


@pytest.fixture(scope="module")
def dishonest_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with linked_servers(tmp_path_factory.mktemp("links"), "x") as servers:
        with no_restraint():
            servers.admit("x")
        yield servers


def test_a_member_gets_through_to_the_hub_what_its_intake_needs_and_nothing_else(dishonest_member: Servers) -> None:
    async def story() -> None:
        x = await provisioner_of(dishonest_member.settings["x"])
        hub = await provisioner_of(dishonest_member.settings[HUB])
        try:
            wanted = needed("x", HUB, "FACTS", "VERIFIED", "CIRCLES")
            came = await passed(x, hub, HUB, [*never("x", HUB, "y"), *wanted], f"ask.{HUB}.x")
            assert came == set(wanted)
        finally:
            await x.drain()
            await hub.drain()

    asyncio.run(story())


def test_a_member_gets_nothing_through_to_another_member(dishonest_member: Servers) -> None:
    async def story() -> None:
        x, hub, y = [await provisioner_of(dishonest_member.settings[one]) for one in ("x", HUB, "y")]
        came: list[str] = []
        over = {HUB: asyncio.Event(), "y": asyncio.Event()}

        async def at_hub(_: Msg) -> None:
            over[HUB].set()

        async def at_y(message: Msg) -> None:
            if message.data == b"over":
                over["y"].set()
            elif message.data == b"tried":
                came.append(message.subject)

        try:
            await hub.subscribe(f"ask.{HUB}.x", cb=at_hub)
            await y.subscribe(">", cb=at_y)
            await asyncio.gather(hub.flush(), y.flush())

            async def both_are_linked() -> bool:
                await x.publish(f"ask.{HUB}.x", b"over")
                await hub.publish(f"ask.y.{HUB}", b"over")
                await asyncio.gather(x.flush(), hub.flush())
                await asyncio.sleep(0.05)
                return over[HUB].is_set() and over["y"].is_set()

            await eventually(both_are_linked, "the links carry what they should")
            to_hub = [*never("x", HUB, "y"), *needed("x", HUB, "FACTS", "VERIFIED", "CIRCLES")]
            to_y = [*never("x", "y", HUB), *needed("x", "y", "FACTS", "CIRCLES")]
            as_hub = [*needed(HUB, "y", "FACTS", "CIRCLES"), *needed("y", HUB, "FACTS", "VERIFIED", "CIRCLES")]
            for subject in {*to_hub, *to_y, *as_hub}:
                await x.publish(subject, b"tried")
            for sender, subject, at in ((x, f"ask.{HUB}.x", HUB), (hub, f"ask.y.{HUB}", "y")):
                over[at].clear()
                await sender.publish(subject, b"over")
                await sender.flush()
                async with asyncio.timeout(20):
                    await over[at].wait()
            assert came == []
        finally:
            for connection in (x, hub, y):
                await connection.drain()

    asyncio.run(story())


def test_a_hub_gets_through_to_a_member_what_its_intake_needs_and_nothing_else(dishonest_hub: Servers) -> None:
    async def story() -> None:
        x = await provisioner_of(dishonest_hub.settings["x"])
        hub = await provisioner_of(dishonest_hub.settings[HUB])
        try:
            wanted = needed(HUB, "x", "FACTS", "CIRCLES")
            # A member's server knows lists of what is denied only; nobody listens to these there.
            nobodys = ("ask.", "_INBOX.y", "_INBOX.x.y.", "_INBOX.x.reply")
            refused = [one for one in never(HUB, "x", "y") if not one.startswith(nobodys)]
            refused = [one for one in refused if not ("VERIFIED" in one and "intake" in one)]  # no such consumer there
            came = await passed(hub, x, "x", [*refused, *wanted], f"ask.x.{HUB}")
            assert came == set(wanted)
        finally:
            await x.drain()
            await hub.drain()

    asyncio.run(story())


def test_an_honest_hub_sends_a_member_what_is_meant_for_it_and_nothing_else(dishonest_member: Servers) -> None:
    async def story() -> None:
        x = await provisioner_of(dishonest_member.settings["x"])
        hub = await provisioner_of(dishonest_member.settings[HUB])
        try:
            wanted = needed(HUB, "x", "FACTS", "CIRCLES")
            refused = [one for one in never(HUB, "x", "y") if not ("VERIFIED" in one and "intake" in one)]
            assert await passed(hub, x, "x", [*refused, *wanted], f"ask.x.{HUB}") == set(wanted)
        finally:
            await x.drain()
            await hub.drain()

    asyncio.run(story())


def test_a_member_reads_the_hub_through_its_own_consumer_and_acknowledges_what_it_has(
    dishonest_member: Servers,
) -> None:
    async def story() -> None:
        hub = await provisioner_of(dishonest_member.settings[HUB])
        y = await intake_of(dishonest_member.settings["y"], HUB)
        try:
            await hub.jetstream().publish("facts.hub.mesh.roster.issued", b"a fact", stream="FACTS")
            js = y.jetstream(domain=HUB, timeout=2)

            async def told() -> bool:
                try:
                    return (await js.consumer_info("FACTS", f"intake_y_{HUB}")).num_pending > 0
                except (nats.errors.Error, NotFoundError):
                    return False

            await eventually(told, "the consumer tells of a message")
            reading = await js.pull_subscribe_bind(durable=f"intake_y_{HUB}", stream="FACTS")
            messages = await reading.fetch(256, timeout=5)
            for message in messages:
                await message.ack_sync(timeout=5)
            info = await js.consumer_info("FACTS", f"intake_y_{HUB}")
            assert (messages[-1].data, info.num_ack_pending, info.num_pending) == (b"a fact", 0, 0)
            assert (await hub.jetstream().consumer_info("FACTS", f"intake_x_{HUB}")).num_pending > 0
        finally:
            await hub.drain()
            await y.drain()

    asyncio.run(story())


def test_members_are_not_handed_the_facts_of_circles_through_the_hub(dishonest_member: Servers) -> None:
    async def story() -> None:
        hub = await provisioner_of(dishonest_member.settings[HUB])
        try:
            js = hub.jetstream()

            async def pending() -> list[int | None]:
                told = [await js.consumer_info(stream, f"intake_x_{HUB}") for stream in ("VERIFIED", "CIRCLES")]
                return [one.num_pending for one in told]

            verified, circles = await pending()
            assert verified is not None
            circle = "0197a1b2-0000-7000-8000-000000000001"
            await js.publish(f"verified.{circle}.y.registry.pilot.registered", b"secret", stream="VERIFIED")
            await js.publish(f"circle.{circle}.y.registry.pilot.registered", b"secret", stream="CIRCLES")
            await js.publish("verified.y.registry.pilot.registered", b"for all", stream="VERIFIED")
            assert await pending() == [verified + 1, circles]
        finally:
            await hub.drain()

    asyncio.run(story())


def test_what_was_refused_has_changed_nothing_at_the_hub(dishonest_member: Servers) -> None:
    async def story() -> None:
        hub = await provisioner_of(dishonest_member.settings[HUB])
        try:
            for stream in STREAMS:
                assert (await hub.jetstream().stream_info(stream)).config.name == stream
            with pytest.raises((JetStreamError, NotFoundError)):
                await hub.jetstream().get_last_msg("VERIFIED", "verified.x.>")
        finally:
            await hub.drain()

    asyncio.run(story())


def test_a_suspended_member_is_cut_off_at_once_and_others_stay(tmp_path_factory: pytest.TempPathFactory) -> None:
    async def linked_domains(servers: Servers) -> set[str]:
        return {leaf["name"] for leaf in await linked(servers.settings[HUB])}

    with linked_servers(tmp_path_factory.mktemp("links"), "x", "y") as servers:
        for expected in ({"x", "y"}, {"y"}, {"x", "y"}):
            servers.admit(*sorted(expected))

            async def as_expected(wanted: set[str] = expected) -> bool:
                return await linked_domains(servers) == wanted

            asyncio.run(eventually(as_expected, f"linked: {expected}"))


def test_a_member_is_admitted_while_the_server_runs_and_without_ending_other_connections(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with linked_servers(tmp_path_factory.mktemp("links"), "x", "y") as servers:
        servers.admit("x")

        async def story() -> None:
            hub = {domain: await intake_of(servers.settings[HUB], domain) for domain in ("x", "y")}

            async def answers(domain: str) -> bool:
                try:
                    await hub[domain].request(f"$JS.{domain}.API.INFO", timeout=1)
                except nats.errors.Error:
                    return False
                return True

            await eventually(lambda: answers("x"), "x is linked")
            before = {leaf["name"]: leaf["id"] for leaf in await linked(servers.settings[HUB])}
            await asyncio.to_thread(servers.admit, "x", "y")
            await eventually(lambda: answers("y"), "y is linked")
            after = {leaf["name"]: leaf["id"] for leaf in await linked(servers.settings[HUB])}
            assert after["x"] == before["x"]
            assert [connection.stats["reconnects"] for connection in hub.values()] == [0, 0]
            for connection in hub.values():
                await connection.drain()

        asyncio.run(story())


def test_renewing_without_a_change_reloads_and_cuts_nobody_off(dishonest_member: Servers) -> None:
    settings = dishonest_member.settings[HUB]
    before = {leaf["id"] for leaf in asyncio.run(linked(settings))}
    now = link_of(settings.home)
    assert asyncio.run(renew(settings, now)) == now
    assert {leaf["id"] for leaf in asyncio.run(linked(settings))} == before
