"""The bare counterpart of a mesh: one message over the hops that a fact takes, stored at each, and nothing else.

Servers of their own with the configuration of a hub and two members (TLS, permissions, every message on disk at once);
the databases are the nodes' own. At each of the three: a journaled insert, and a publish that the stream has stored.
In the load generator's process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

import nats
from bson import ObjectId
from nats.aio.client import Client
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.errors import ServiceUnavailableError
from pymongo import MongoClient

from shared.bus.links import consumer_of, inbox_for
from shared.settings import Settings

from .bare import DATABASE, JOURNALED

Raw = dict[str, Any]
Insert = Callable[[], object]
SUBJECT = "bench.registry.pilot.registered"
PATIENCE_SECONDS = 10.0


def over_the_hops(
    settings: dict[str, Settings],
    uris: dict[str, str],
    way: tuple[str, str, str],
    body: bytes,
    times: int,
    pause: float,
) -> list[float]:
    """Seconds per message, one after the other: from the first insert until a subscriber at the third node has it.

    `way`: the domains; `uris`: their databases, none for messages that are stored in streams alone.
    """
    return asyncio.run(_over_the_hops(settings, uris, way, body, times, pause))


async def _over_the_hops(
    settings: dict[str, Settings],
    uris: dict[str, str],
    way: tuple[str, str, str],
    body: bytes,
    times: int,
    pause: float,
) -> list[float]:
    first, hub, last = way
    async with AsyncExitStack() as stack:
        inserts = {domain: _insert_into(stack, uris.get(domain), body) for domain in way}
        writer = await _connect(settings[first], "provisioner", "_INBOX.provisioner")
        reader = await _connect(settings[last], "provisioner", "_INBOX.provisioner")
        stack.push_async_callback(writer.close)
        stack.push_async_callback(reader.close)
        for source, target, stream in ((first, hub, "FACTS"), (hub, last, "VERIFIED")):
            intake = await _connect(settings[target], "intake", inbox_for(target, source))
            stack.push_async_callback(intake.close)
            carrying = asyncio.create_task(_carry(intake, source, target, stream, inserts[target]))
            stack.push_async_callback(_end, carrying)
        delivered = await reader.jetstream().subscribe(
            "verified.>",
            stream="VERIFIED",
            config=ConsumerConfig(deliver_policy=DeliverPolicy.NEW),
            ordered_consumer=True,
        )
        taken: list[float] = []
        for number in range(times + 1):
            began = time.perf_counter()
            inserts[first]()
            await writer.jetstream().publish(f"facts.{SUBJECT}", body, stream="FACTS", timeout=PATIENCE_SECONDS)
            await delivered.next_msg(timeout=PATIENCE_SECONDS)
            if number:  # the first one makes connections warm
                taken.append(time.perf_counter() - began)
            await asyncio.sleep(pause)
        await delivered.unsubscribe()
        return taken


async def _carry(client: Client, source: str, target: str, stream: str, insert: Insert) -> None:
    """Pulls from the source what comes there, stores it and hands it on; until cancelled."""
    durable = consumer_of(target, source)
    js = client.jetstream(domain=source)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await js.consumer_info(stream, durable)
                break
            except (ServiceUnavailableError, nats.errors.Error):  # the link is still coming up
                await asyncio.sleep(0.1)
    pulling = await js.pull_subscribe_bind(durable=durable, stream=stream)
    while True:
        try:
            messages = await pulling.fetch(256, timeout=1.0)
        except nats.errors.TimeoutError:
            continue
        for message in messages:
            insert()
            await client.jetstream().publish(f"verified.{SUBJECT}", message.data, stream="VERIFIED")
            await message.ack()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _insert_into(stack: AsyncExitStack, uri: str | None, body: bytes) -> Insert:
    if uri is None:
        return lambda: None
    client = stack.enter_context(MongoClient[Raw](uri))
    collection = client[DATABASE].get_collection("hops", write_concern=JOURNALED)
    stack.callback(collection.drop)
    return lambda: collection.insert_one({"_id": ObjectId(), "body": body})


async def _connect(settings: Settings, user: str, inbox: str) -> Client:
    name, password = settings.nats_login(user)
    return await nats.connect(settings.nats_url or "", user=name, password=password, inbox_prefix=inbox)
