"""A load generator for HTTP/1.1 that is not the bottleneck: prebuilt bytes, kept-alive connections, one thread.

Runs in a process of its own. It reads no more of an answer than it needs: the status, the length, and the body
where it is wanted. Answers must carry Content-Length, as the node's do.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import uvloop


@dataclass(frozen=True, slots=True)
class Template:
    """A request whose number is filled in anew each time it is sent, so that no two are the same.

    `before` and `after` are the bytes around it; the number is written with `digits` digits, so that
    Content-Length holds for all of them.
    """

    before: bytes
    after: bytes = b""
    digits: int = 9

    def numbered(self, number: int) -> bytes:
        return self.before + b"%0*d" % (self.digits, number) + self.after


@dataclass
class Load:
    """What a load did. `seconds` is from the first byte sent to the last answer; latencies are in seconds."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    last_body: bytes = b""

    @property
    def answered(self) -> int:
        return self.statuses.total()

    @property
    def per_second(self) -> float:
        return self.answered / self.seconds

    def must_all_be(self, status: int) -> Load:
        """Raises AssertionError with the last answer when any request was answered otherwise."""
        assert set(self.statuses) == {status}, f"answers {dict(self.statuses)}: {self.last_body[:500]!r}"
        return self


class Answers:
    """Takes bytes as they come; answers (status, body) as often as an answer is whole."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._needed = 0

    def feed(self, received: bytes) -> list[tuple[int, bytes]]:
        held = self._held
        held += received
        whole: list[tuple[int, bytes]] = []
        while len(held) >= self._needed:
            ends = held.find(b"\r\n\r\n")
            if ends < 0:
                break
            head = bytes(held[:ends]).lower()
            at = head.find(b"\r\ncontent-length:")
            assert at >= 0, f"an answer without Content-Length: {head!r}"
            until = head.find(b"\r\n", at + 2)
            length = int(head[at + 17 : until if until > 0 else len(head)])
            self._needed = ends + 4 + length
            if len(held) < self._needed:
                break
            whole.append((int(head[9:12]), bytes(held[ends + 4 : self._needed])))
            del held[: self._needed]
            self._needed = 0
        return whole


class _Client(asyncio.Protocol):
    """One connection: sends the next request as soon as an answer is whole."""

    def __init__(self, next_request: Callable[[], bytes | None], load: Load) -> None:
        self._next = next_request
        self._load = load
        self._answers = Answers()
        self._sent_at = 0.0
        self._transport: asyncio.WriteTransport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is one in deed, not in name

    def go_on(self) -> None:
        request = self._next()
        assert self._transport is not None
        if request is None:
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        for status, body in self._answers.feed(data):
            self._load.latencies.append(time.perf_counter() - self._sent_at)
            self._load.statuses[status] += 1
            self._load.last_body = body
            self.go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            if exc is not None or (self._sent_at and not self._load.statuses):
                self.done.set_exception(exc or ConnectionError("the server closed the connection"))
            else:
                self.done.set_result(None)


def send_for(port: int, templates: Sequence[Template], clients: int, seconds: float, first: int) -> Load:
    """Each of `clients` sends one request after another for so long. Numbers go up from `first`."""
    until = 0.0
    number = first

    def next_request() -> bytes | None:
        nonlocal number, until
        now = time.perf_counter()
        if not until:
            until = now + seconds
        if now >= until:
            return None
        number += 1
        return templates[number % len(templates)].numbered(number)

    return uvloop.run(_run(port, next_request, clients))


def send_all(port: int, requests: Sequence[bytes], clients: int) -> Load:
    """Sends every request once, `clients` at a time."""
    remaining = iter(requests)
    return uvloop.run(_run(port, lambda: next(remaining, None), min(clients, len(requests))))


async def _run(port: int, next_request: Callable[[], bytes | None], clients: int) -> Load:
    load = Load()
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(lambda: _Client(next_request, load), "127.0.0.1", port))[1]
        for _ in range(clients)
    ]
    began = time.perf_counter()
    for connection in connections:
        connection.go_on()
    await asyncio.gather(*(connection.done for connection in connections))
    load.seconds = time.perf_counter() - began
    return load


class _Empty(asyncio.Protocol):
    """The least that answers HTTP: what the generator reaches against it is the generator's own ceiling."""

    ANSWER = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._missing = 0

    def data_received(self, data: bytes) -> None:
        if self._missing == 0:
            ends = data.index(b"\r\n\r\n")
            at = data.lower().index(b"\r\ncontent-length:")
            self._missing = ends + 4 + int(data[at + 17 : data.index(b"\r\n", at + 2)])
        self._missing -= len(data)
        if self._missing <= 0:
            self._missing = 0
            self._transport.write(self.ANSWER)


def serve_nothing(port: int) -> None:
    """An endpoint that does nothing, until the process is ended."""

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_Empty, "127.0.0.1", port)
        await server.serve_forever()

    uvloop.run(serve())
