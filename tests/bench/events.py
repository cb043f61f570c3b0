"""How long it takes from a POST until a client of the event stream has read the event; in a process of its own."""

from __future__ import annotations

import asyncio
import time

import uvloop

from .load import Answers, Template

PATIENCE_SECONDS = 60.0


def post_and_hear(
    port: int, stream: bytes, post: Template, times: int, pause: float, first: int, *, heard_at: int | None = None
) -> list[float]:
    """Seconds per post, one after the other: from the first byte written until the event was read.

    `heard_at`: the port of another node, at which the stream is listened to.
    """
    return uvloop.run(_post_and_hear(port, heard_at or port, stream, post, times, pause, first))


async def _post_and_hear(
    port: int, heard_at: int, stream: bytes, post: Template, times: int, pause: float, first: int
) -> list[float]:
    heard, listener = await asyncio.open_connection("127.0.0.1", heard_at, limit=2**22)
    listener.write(stream)
    await asyncio.wait_for(heard.readuntil(b"\nid: "), PATIENCE_SECONDS)  # the greeting: the stream is open
    taken = []
    for number in range(first, first + times):
        mark = b"%0*d" % (post.digits, number)
        # A connection of its own for each: one that was quiet for some seconds may just be about to be closed.
        answers, poster = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
        began = time.perf_counter()
        poster.write(post.numbered(number))
        await asyncio.wait_for(_until(heard, mark), PATIENCE_SECONDS)
        taken.append(time.perf_counter() - began)
        whole, answered = Answers(), list[tuple[int, bytes]]()
        while not answered:
            answered = whole.feed(await asyncio.wait_for(answers.read(2**16), PATIENCE_SECONDS))
        assert answered[0][0] == 201, answered
        poster.close()
        await asyncio.sleep(pause)
    listener.close()
    return taken


async def _until(heard: asyncio.StreamReader, mark: bytes) -> None:
    """Reads until the mark came; a number is in one event only, in its title."""
    held = b""
    while mark not in held:
        read = await heard.read(2**16)
        if not read:
            raise ConnectionError("the event stream ended")
        held = held[-64:] + read
