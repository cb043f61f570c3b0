"""Forgetting in the streams: what was redacted in the store is deleted from JetStream as well."""

from __future__ import annotations

import nats
from nats.js.errors import NotFoundError

from shared.bus.subjects import EPOCH, LEDGER, SEQUENCE
from shared.facts.names import ledger_name
from shared.settings import Settings

from .relay import stream_of


async def delete_from_stream(settings: Settings, ledger: str, epoch: int, sequence: int) -> int:
    """Deletes every message of this place; returns how many there were. Only the provisioner may delete."""
    user, password = settings.nats_login("provisioner")
    connection = await nats.connect(
        settings.nats_url or "nats://127.0.0.1:4222",
        user=user,
        password=password,
        inbox_prefix=f"_INBOX.{user or 'provisioner'}",
        max_reconnect_attempts=3,
    )
    try:
        js = connection.jetstream()
        stream, subject = stream_of(ledger), ledger_name(ledger).root + ".>"
        deleted, position = 0, 1
        while True:
            try:
                message = await js.get_msg(stream, seq=position, subject=subject, direct=True, next=True)
            except NotFoundError:
                return deleted
            position = (message.seq or position) + 1
            headers = message.headers or {}
            place = (headers.get(LEDGER), headers.get(EPOCH), headers.get(SEQUENCE))
            if place == (ledger, str(epoch), str(sequence)):
                await js.delete_msg(stream, position - 1)
                deleted += 1
    finally:
        await connection.close()
