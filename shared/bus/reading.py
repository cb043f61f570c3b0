"""Reads a stream from end to end without a consumer: batches of direct gets (nats-server 2.11 and later)."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from nats.aio.client import Client
from nats.errors import Error
from nats.js.api import Header

BATCH = 256
BATCH_BYTES = 8 * 2**20
PATIENCE_SECONDS = 5.0


class StreamUnreadable(Error):  # noqa: N818 - says what the stream is
    """The server does not hand out this stream; the text is its answer."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One message as the stream holds it, `number` being its place there."""

    subject: str
    number: int
    headers: dict[str, str]
    data: bytes


async def read_stream(connection: Client, stream: str, subject: str, first: int = 1) -> AsyncGenerator[Stored, None]:
    """Every message under `subject` (wildcards allowed) from place `first` on, in the stream's order.

    Raises nats.errors.Error if the stream cannot be read, TimeoutError if the server stops answering.
    """
    inbox = connection.new_inbox()
    answers = await connection.subscribe(inbox)
    try:
        following, more = first, True
        while more:
            wanted = {"seq": following, "next_by_subj": subject, "batch": BATCH, "max_bytes": BATCH_BYTES}
            await connection.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(wanted).encode(), reply=inbox)
            while True:
                message = await answers.next_msg(timeout=PATIENCE_SECONDS)
                headers = message.headers or {}
                if "Nats-Sequence" not in headers:
                    break
                number = int(headers["Nats-Sequence"])
                following = number + 1
                yield Stored(headers["Nats-Subject"], number, headers, message.data)
            status = headers.get("Status")
            if status not in ("204", "404"):
                raise StreamUnreadable(f"{stream}: {status} {headers.get(Header.DESCRIPTION, '')}")
            more = status == "204" and int(headers.get("Nats-Num-Pending", "0")) > 0
    finally:
        await answers.unsubscribe()
