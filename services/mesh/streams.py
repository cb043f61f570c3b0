"""Forgetting in the streams: what was redacted in the store is deleted from JetStream as well."""

from __future__ import annotations

from contextlib import aclosing, suppress

import nats

from shared.bus.reading import read_stream
from shared.bus.subjects import place_in, stream_of
from shared.facts.fact import Unreadable
from shared.facts.names import ledger_name
from shared.settings import Settings


async def delete_from_streams(settings: Settings, ledger: str, epoch: int, sequence: int) -> int:
    """Deletes every message of this place, written here or accepted from others; returns how many there were.

    Only the provisioner may delete. Raises nats.errors.Error.
    """
    user, password = settings.nats_login("provisioner")
    connection = await nats.connect(
        settings.nats_url or "nats://127.0.0.1:4222",
        user=user,
        password=password,
        inbox_prefix=f"_INBOX.{user or 'provisioner'}",
        max_reconnect_attempts=3,
    )
    root = ledger_name(ledger).root
    copies = ((stream_of(ledger), f"{root}.>"), ("VERIFIED", f"verified.{root.split('.', 1)[1]}.>"))
    try:
        deleted = 0
        for stream, subject in copies:
            numbers = []
            async with aclosing(read_stream(connection, stream, subject)) as stored:
                async for message in stored:
                    with suppress(Unreadable):
                        named, head = place_in(message.subject, message.headers)
                        if (named, head.position) == (ledger, (epoch, sequence)):
                            numbers.append(message.number)
            for number in numbers:
                await connection.jetstream().delete_msg(stream, number)
            deleted += len(numbers)
        return deleted
    finally:
        await connection.close()
