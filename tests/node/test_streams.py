"""What the node's NATS lets each service do, tried against the real server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.js.api import ConsumerConfig, StreamConfig
from nats.js.errors import NoStreamResponseError

from deploy.nats.config import credentials, permissions
from deploy.nats.provision import connect, consumer_config, provision, stream_config
from deploy.nats.streams import CONSUMERS, STREAMS
from shared.settings import Settings

READERS = [service for service in CONSUMERS if service != "mesh"]


def one_of(subjects: str) -> str:
    return subjects.replace(">", "wfp.registry.pilot.registered")


def run(settings: Settings, user: str, act: Callable[[Client], Awaitable[None]]) -> None:
    async def connected() -> None:
        connection = await connect(settings, user)
        try:
            await act(connection)
        finally:
            await connection.close()

    asyncio.run(connected())


async def refused(settings: Settings, user: str, act: Callable[[Client], Awaitable[object]]) -> bool:
    """Whether the server answers `act` with a permissions violation."""
    violations: list[Exception] = []
    heard = asyncio.Event()

    async def hear(error: Exception) -> None:
        violations.append(error)
        heard.set()

    _, password = settings.nats_login(user)
    connection = await nats.connect(
        settings.nats_url or "", user=user, password=password, inbox_prefix=f"_INBOX.{user}", error_cb=hear
    )
    acting = asyncio.ensure_future(act(connection))
    hearing = asyncio.ensure_future(heard.wait())
    try:
        await asyncio.wait({acting, hearing}, return_when=asyncio.FIRST_COMPLETED)
        await connection.flush()
    finally:
        acting.cancel()
        hearing.cancel()
        await asyncio.gather(acting, hearing, return_exceptions=True)
        await connection.close()
    return any("permissions violation" in str(error).lower() for error in violations)


def test_provisioning_twice_changes_nothing_the_second_time(settings: Settings) -> None:
    assert asyncio.run(provision(settings)) == []


def test_a_setting_that_was_raised_reaches_the_streams(settings: Settings) -> None:
    raised = settings.model_copy(update={"stream_max_age_days": 120})
    changes = asyncio.run(provision(raised))
    assert changes == [f"stream {name}: max_age brought up to date" for name in STREAMS]
    assert asyncio.run(provision(raised)) == []


def test_a_stream_that_was_lost_is_made_again_with_its_consumers(settings: Settings) -> None:
    async def lose(connection: Client) -> None:
        await connection.jetstream().delete_stream("PRIVATE")

    run(settings, "provisioner", lose)
    made = asyncio.run(provision(settings))
    assert made == ["stream PRIVATE: made", *(f"consumer PRIVATE/{name}: made" for name in CONSUMERS)]


def test_a_changed_consumer_is_put_right(settings: Settings) -> None:
    async def change(connection: Client) -> None:
        await connection.jetstream().add_consumer("FACTS", replace(consumer_config("registry"), max_ack_pending=7))

    run(settings, "provisioner", change)
    assert asyncio.run(provision(settings)) == ["consumer FACTS/registry: max_ack_pending brought up to date"]


def test_streams_keep_what_was_read_and_can_forget_when_told(settings: Settings) -> None:
    found = stream_config(settings, "FACTS", STREAMS["FACTS"])
    assert (found.retention, found.discard, found.storage) == ("limits", "new", "file")
    assert found.allow_atomic
    assert not found.deny_delete
    assert not found.deny_purge


@pytest.mark.parametrize("reader", CONSUMERS)
def test_what_mesh_publishes_every_service_reads_and_acknowledges(settings: Settings, reader: str) -> None:
    async def publish(connection: Client) -> None:
        for stream, subject in STREAMS.items():
            await connection.jetstream().publish(one_of(subject), b"a fact", stream=stream)

    async def read(connection: Client) -> None:
        for stream, subject in STREAMS.items():
            # As FastStream does it: by subject, stream and durable name, nothing declared.
            subscription = await connection.jetstream().pull_subscribe(subject, durable=reader, stream=stream)
            (message,) = await subscription.fetch(1, timeout=5)
            assert message.data == b"a fact"
            await message.ack_sync(timeout=5)
            assert (await subscription.consumer_info()).num_ack_pending == 0

    run(settings, "mesh", publish)
    run(settings, reader, read)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "subject", [subject.replace(">", "wfp.registry.pilot.registered") for subject in STREAMS.values()]
)
def test_no_service_but_mesh_publishes_to_a_stream(settings: Settings, reader: str, subject: str) -> None:
    async def forge(connection: Client) -> object:
        return await connection.jetstream().publish(one_of(subject), b"forged")

    assert asyncio.run(refused(settings, reader, forge))


@pytest.mark.parametrize("user", CONSUMERS)
def test_nobody_but_the_provisioner_empties_or_changes_a_stream(settings: Settings, user: str) -> None:
    acts: list[Callable[[Client], Awaitable[object]]] = [
        lambda connection: connection.jetstream().purge_stream("FACTS"),
        lambda connection: connection.jetstream().delete_stream("FACTS"),
        lambda connection: connection.jetstream().delete_msg("FACTS", 1),
        lambda connection: connection.jetstream().delete_consumer("FACTS", user),
        lambda connection: connection.jetstream().add_stream(StreamConfig(name="MINE", subjects=["mine.>"])),
        lambda connection: connection.jetstream().update_stream(stream_config(settings, "FACTS", "facts.>")),
        lambda connection: connection.jetstream().add_consumer("FACTS", ConsumerConfig(name="other")),
    ]

    async def all_refused() -> list[bool]:
        return [await refused(settings, user, act) for act in acts]

    assert all(asyncio.run(all_refused()))


def test_a_service_can_not_read_through_anothers_consumer_or_inbox(settings: Settings) -> None:
    async def pull(connection: Client) -> object:
        return await connection.jetstream().pull_subscribe("facts.>", durable="registry", stream="FACTS")

    async def listen(connection: Client) -> object:
        return await connection.subscribe("_INBOX.registry.>")

    async def overhear(connection: Client) -> object:
        return await connection.subscribe("facts.>")

    for act in (pull, listen, overhear):
        assert asyncio.run(refused(settings, "matching", act))


def test_services_nudge_each_other(settings: Settings) -> None:
    async def nudge() -> bytes:
        matching, registry = await connect(settings, "matching"), await connect(settings, "registry")
        try:
            subscription = await matching.subscribe("nudge.>")
            await matching.flush()
            await registry.publish("nudge.registry", b"new")
            return (await subscription.next_msg(timeout=5)).data
        finally:
            await matching.close()
            await registry.close()

    assert asyncio.run(nudge()) == b"new"


def test_the_relay_finds_its_position_in_the_stream(settings: Settings) -> None:
    async def look(connection: Client) -> None:
        js = connection.jetstream()
        await publish_three(connection)
        last = await js.get_last_msg("FACTS", "facts.wfp.registry.>")
        assert (last.data, last.seq) == (b"2", 3)
        assert (await js.stream_info("FACTS")).state.messages == 3

    run(settings, "mesh", look)


@pytest.mark.parametrize("service", CONSUMERS)
def test_a_service_looks_up_its_own_facts_in_the_streams(settings: Settings, service: str) -> None:
    async def look(connection: Client) -> None:
        js = connection.jetstream()
        last = await js.get_last_msg("FACTS", "facts.wfp.registry.>", direct=True)
        assert (last.data, last.seq) == (b"2", 3)
        second = await js.get_msg("FACTS", seq=2, subject="facts.wfp.registry.>", direct=True, next=True)
        assert second.data == b"1"

    run(settings, "mesh", publish_three)
    run(settings, service, look)


async def publish_three(connection: Client) -> None:
    for number in range(3):
        await connection.jetstream().publish(one_of("facts.>"), str(number).encode(), stream="FACTS")


def test_the_system_account_sees_no_fact(settings: Settings) -> None:
    async def publish(connection: Client) -> None:
        with pytest.raises((NoStreamResponseError, nats.errors.Error)):
            await connection.jetstream(timeout=1).publish("facts.wfp.registry.pilot.registered", b"forged")

    run(settings, "system", publish)


def test_passwords_are_kept_and_read_by_their_owner_alone(tmp_path: Path) -> None:
    first = credentials(tmp_path)
    assert credentials(tmp_path) == first
    assert len(set(first.values())) == len(first)
    assert (tmp_path / "nats" / "users.json").stat().st_mode & 0o777 == 0o600


def test_permissions_name_no_wildcard_over_the_stream_api() -> None:
    for user in CONSUMERS:
        for subject in permissions(user, "node").publish:
            assert not any(word in subject for word in ("CREATE", "DELETE", "PURGE", "UPDATE", "$JS.API.>"))
