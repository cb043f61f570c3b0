"""Makes the node's streams and consumers, or brings existing ones up to date. Safe to repeat.

Streams are never made by a service's start: what a stream promises (how long, how much, who reads) is the
operator's to decide, and a service that could create a stream could also replace one.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import Any, TypeVar

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import NotFoundError, ServiceUnavailableError

from deploy.nats.link import Link, link_of, readers_of
from deploy.nats.streams import CONSUMERS, STREAMS
from shared.bus.links import consumer_of
from shared.bus.subjects import ledger_in_filter
from shared.settings import Settings

PROVISIONER = "provisioner"


async def provision(settings: Settings, *, patience_seconds: float = 10) -> list[str]:
    """Provisions the NATS server at `settings.nats_url`; returns one line per change made, none if all stood.

    Raises `nats.errors.Error` when the server cannot be reached within `patience_seconds`, or refuses.
    """
    connection = await connect(settings, PROVISIONER, patience_seconds=patience_seconds)
    try:
        js = connection.jetstream(timeout=patience_seconds)
        await _has_leader(connection, patience_seconds)
        changes: list[str] = []
        for name, subject in STREAMS.items():
            changes += await _ensure_stream(js, stream_config(settings, name, subject))
            for service in CONSUMERS:
                changes += await _ensure_consumer(js, name, consumer_config(service))
        return changes + await _ensure_readers(js, settings, link_of(settings.home))
    finally:
        await connection.close()


async def _has_leader(connection: Client, patience_seconds: float) -> None:
    """Waits until a cluster that has just started has elected who decides; until then questions are answered by nobody.
    A server alone answers at once."""
    js = connection.jetstream(timeout=2)
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            await js.account_info()
        except (ServiceUnavailableError, nats.errors.Error):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.25)
        else:
            return


async def provision_readers(settings: Settings, link: Link, *, patience_seconds: float = 10) -> list[str]:
    """The consumers by which linked nodes read here; raises as `provision` does."""
    connection = await connect(settings, PROVISIONER, patience_seconds=patience_seconds)
    try:
        return await _ensure_readers(connection.jetstream(timeout=patience_seconds), settings, link)
    finally:
        await connection.close()


async def _ensure_readers(js: JetStreamContext, settings: Settings, link: Link) -> list[str]:
    changes: list[str] = []
    members = {leaf.domain for leaf in link.leaves}
    for reader, streams in readers_of(link).items():
        for stream in streams:
            wanted = reader_config(consumer_of(reader, settings.nats_domain), stream, is_member=reader in members)
            changes += await _ensure_consumer(js, stream, wanted)
    return changes


async def deviations(settings: Settings, *, patience_seconds: float = 3) -> list[str]:
    """What `provision` would change, one line each; changes nothing itself. Raises as `provision` does."""
    connection = await connect(settings, PROVISIONER, patience_seconds=patience_seconds)
    try:
        js = connection.jetstream(timeout=patience_seconds)
        found: list[str] = []
        for name, subject in STREAMS.items():
            try:
                stream = (await js.stream_info(name)).config
            except NotFoundError:
                found.append(f"stream {name} is missing")
                continue
            wanted = stream_config(settings, name, subject)
            wanted.num_replicas = max(stream.num_replicas or 1, wanted.num_replicas or 1)
            wrong = _differences(wanted, stream, ignore=set())
            found += [f"stream {name}: {', '.join(wrong)} not as provisioned"] if wrong else []
            for service in CONSUMERS:
                try:
                    consumer = (await js.consumer_info(name, service)).config
                except NotFoundError:
                    found.append(f"consumer {name}/{service} is missing")
                    continue
                wrong = _differences(consumer_config(service), consumer, ignore=set())
                found += [f"consumer {name}/{service}: {', '.join(wrong)} not as provisioned"] if wrong else []
        link = link_of(settings.home)
        for reader, streams in readers_of(link).items():
            for name in streams:
                consumer_name = consumer_of(reader, settings.nats_domain)
                try:
                    await js.consumer_info(name, consumer_name)
                except NotFoundError:
                    found.append(f"consumer {name}/{consumer_name}, by which {reader} reads here, is missing")
        return found
    finally:
        await connection.close()


async def connect(settings: Settings, service: str, *, patience_seconds: float = 10) -> Client:
    """A connection to the node's NATS as `service`, with that user's own inbox."""
    user, password = settings.nats_login(service)
    step = 0.25
    return await nats.connect(
        settings.nats_servers,
        user=user,
        password=password,
        name=f"pilotmesh-{service}",
        inbox_prefix=f"_INBOX.{user or service}",
        reconnect_time_wait=step,
        max_reconnect_attempts=max(1, int(patience_seconds / step)),
        connect_timeout=2,
        error_cb=_quiet,
    )


async def _quiet(_: Exception) -> None:
    """Attempts that fail while the server comes up are no news; the last one is raised."""


def stream_config(settings: Settings, name: str, subject: str) -> StreamConfig:
    """No deny flags: they could never be lifted again, and forgetting needs deletes. Permissions do that work."""
    return StreamConfig(
        name=name,
        subjects=[subject],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,  # a full stream refuses news; it never drops what others have yet to read
        max_age=settings.stream_max_age_days * 86_400.0,
        max_bytes=settings.stream_max_bytes,
        duplicate_window=120.0,
        allow_direct=True,
        allow_atomic=True,  # the relay publishes runs of facts, of which a stream takes all or none
        num_replicas=settings.stream_replicas,
    )


def consumer_config(service: str) -> ConsumerConfig:
    """A durable pull consumer: from the first message, acknowledged one by one, redelivered until acknowledged."""
    return ConsumerConfig(
        name=service,
        durable_name=service,
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=30.0,
        max_deliver=-1,
        max_ack_pending=4096,
        max_waiting=64,
    )


VERIFIED_FOR_MEMBERS = ("verified.*.*.*.*",)
"""Facts for the whole mesh: agency, service, kind, verb. What came for a circle has its uuid before these."""
NOTHING = "none"


def reader_config(consumer: str, stream: str, *, is_member: bool) -> ConsumerConfig:
    """Another node's consumer. A member is handed no circle's facts through the hub but those of its own circles."""
    wanted = consumer_config(consumer)
    if is_member and stream == "VERIFIED":
        wanted.filter_subjects = list(VERIFIED_FOR_MEMBERS)
    if is_member and stream == "CIRCLES":
        wanted.filter_subjects = [f"circle.{NOTHING}.>"]
    return wanted


async def _ensure_stream(js: JetStreamContext, wanted: StreamConfig) -> list[str]:
    assert wanted.name is not None
    try:
        found = (await js.stream_info(wanted.name)).config
    except NotFoundError:
        await js.add_stream(wanted)
        return [f"stream {wanted.name}: made"]
    # More replicas than the setting asks for are an operator's choice; everything else is ours.
    wanted.num_replicas = max(found.num_replicas or 1, wanted.num_replicas or 1)
    differing = _differences(wanted, found, ignore=set())
    if not differing:
        return []
    await js.update_stream(wanted)
    return [f"stream {wanted.name}: {', '.join(differing)} brought up to date"]


async def _ensure_consumer(js: JetStreamContext, stream: str, wanted: ConsumerConfig) -> list[str]:
    assert wanted.durable_name is not None
    try:
        found = (await js.consumer_info(stream, wanted.durable_name)).config
    except NotFoundError:
        await js.add_consumer(stream, wanted)
        return [f"consumer {stream}/{wanted.durable_name}: made"]
    if wanted.filter_subjects is not None:
        # What it hands out of circles is the mesh service's to say. It is read but once: were it read, then compared
        # with a later reading, a circle that was taken out in between would be handed back to who has left it.
        circles = [subject for subject in found.filter_subjects or () if ledger_in_filter(subject) is not None]
        wanted.filter_subjects = [*wanted.filter_subjects, *circles]
    differing = _differences(wanted, found, ignore=set())
    if not differing:
        return []
    await js.add_consumer(stream, wanted)  # on an existing durable this is an update
    return [f"consumer {stream}/{wanted.durable_name}: {', '.join(differing)} brought up to date"]


_Config = TypeVar("_Config", StreamConfig, ConsumerConfig)


def _differences(wanted: _Config, found: _Config, *, ignore: set[str]) -> list[str]:
    """Names of the settings that are wanted and stand otherwise; what is not said is the server's own affair."""
    there: dict[str, Any] = asdict(found)
    said = {name: value for name, value in asdict(wanted).items() if value is not None and name not in ignore}
    return [name for name, value in said.items() if there.get(name) != value]
