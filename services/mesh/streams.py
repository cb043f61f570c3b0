"""Forgetting in the streams: what was redacted in the store is deleted from JetStream as well."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress

import nats
from nats.aio.client import Client

from shared.bus.reading import read_stream
from shared.bus.subjects import place_in, stream_of
from shared.facts.fact import Unreadable, from_wire
from shared.facts.names import ledger_name
from shared.settings import Settings


async def delete_from_streams(
    settings: Settings, ledger: str, epoch: int, sequence: int, *, first: Callable[[], Awaitable[None]] | None = None
) -> int:
    """Deletes every message of this place that holds its content, written here or accepted from others; returns how
    many there were. If there are any, `first` is awaited before: what shall stand in their place is there already
    when a crash cuts this off.

    Only the provisioner may delete. Raises nats.errors.Error.
    """
    connection = await connect_provisioner(settings)
    root = ledger_name(ledger).root
    copies = ((stream_of(ledger), f"{root}.>"), ("VERIFIED", f"verified.{root.split('.', 1)[1]}.>"))
    try:
        found = []
        for stream, subject in copies:
            async with aclosing(read_stream(connection, stream, subject)) as stored:
                async for message in stored:
                    with suppress(Unreadable):
                        named, head = place_in(message.subject, message.headers)
                        if (named, head.position) == (ledger, (epoch, sequence)) and _holds_content(message.data):
                            found.append((stream, message.number))
        if found and first is not None:
            await first()
        for stream, number in found:
            await connection.jetstream().delete_msg(stream, number)
        return len(found)
    finally:
        await connection.close()


async def connect_provisioner(settings: Settings, *, patient: bool = False) -> Client:
    """As the one who may delete messages and change consumers. Raises nats.errors.Error, OSError."""
    user, password = settings.nats_login("provisioner")
    return await nats.connect(
        settings.nats_servers,
        user=user,
        password=password,
        inbox_prefix=f"_INBOX.{user or 'provisioner'}",
        connect_timeout=5,
        reconnect_time_wait=0.5,
        max_reconnect_attempts=-1 if patient else 3,
        error_cb=_quiet,
    )


async def _quiet(_: Exception) -> None:
    """What goes wrong is raised where it is waited for."""


def _holds_content(message: bytes) -> bool:
    try:
        return from_wire(message).payload is not None
    except Unreadable:  # whatever it is, it is not the redacted fact
        return True
