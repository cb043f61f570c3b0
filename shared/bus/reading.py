"""Reads a stream from end to end without a consumer: batches of direct gets (nats-server 2.11 and later)."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from nats.aio.client import Client
from nats.errors import Error
from nats.js.api import Header

BATCH = 256
BATCH_BYTES = 8 * 2**20
MOST_SUBJECTS = 1024
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
    following, more = first, True
    while more:
        more = False
        wanted = {"seq": following, "next_by_subj": subject, "batch": BATCH, "max_bytes": BATCH_BYTES}
        async with aclosing(_answers(connection, stream, wanted)) as answers:
            async for answer in answers:
                if isinstance(answer, Stored):
                    following = answer.number + 1
                    yield answer
                else:
                    more = answer > 0


async def last_of_each(connection: Client, stream: str, subject: str) -> AsyncGenerator[Stored, None]:
    """The last message of each subject that `subject` stands for. Raises like `read_stream`; StreamUnreadable also
    if these are more subjects (1,024) than the server answers in one go."""
    async with aclosing(_answers(connection, stream, {"multi_last": [subject], "batch": MOST_SUBJECTS})) as answers:
        async for answer in answers:
            if isinstance(answer, Stored):
                yield answer


async def _answers(connection: Client, stream: str, wanted: dict[str, object]) -> AsyncGenerator[Stored | int, None]:
    """What one direct get brings, and at its end how many more there are."""
    inbox = connection.new_inbox()
    answers = await connection.subscribe(inbox)
    try:
        await connection.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(wanted).encode(), reply=inbox)
        while True:
            message = await answers.next_msg(timeout=PATIENCE_SECONDS)
            headers = message.headers or {}
            if "Nats-Sequence" not in headers:
                break
            yield Stored(headers["Nats-Subject"], int(headers["Nats-Sequence"]), headers, message.data)
        status = headers.get("Status")
        if status not in ("204", "404"):
            raise StreamUnreadable(f"{stream}: {status} {headers.get(Header.DESCRIPTION, '')}")
        yield int(headers.get("Nats-Num-Pending", "0")) if status == "204" else 0
    finally:
        await answers.unsubscribe()
