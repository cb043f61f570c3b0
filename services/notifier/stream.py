"""One open stream: what its actor may see and asked for, in the journal's order, without loss or repetition.

A stream holds its position and nothing else. What comes out goes as fast as the client reads: while it does not,
nothing is read for it and nothing piles up.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from shared.access.actors import Actor
from shared.facts.names import MESH_AUDIENCE
from shared.problems import Unauthenticated

from .domain.filters import Filters
from .domain.places import told_place
from .domain.visibility import Sight
from .journal import Journal
from .memory import CircleBook
from .tail import Tail, Told, frame_of

HEARTBEAT_SECONDS = 15.0
WELCOME_SECONDS = 5.0
"""A revoked token ends its streams within this time (and what other replicas cache)."""
RETRY_MILLISECONDS = 1000
PAGE = 200


@dataclass(frozen=True, slots=True)
class Start:
    """Where a stream begins: after `position`. `reset` says why it is not where the client wanted."""

    position: int
    reset: str | None = None


class Streams:
    """Makes streams. `whose` answers the token's actor, or raises Unauthenticated."""

    def __init__(self, journal: Journal, tail: Tail, circles: CircleBook, whose: Callable[[str], Actor]) -> None:
        self._journal = journal
        self._tail = tail
        self._circles = circles
        self._whose = whose
        self.open_now = 0
        self.open_by_agency: Counter[str] = Counter()

    async def frames(self, actor: Actor, token: str, filters: Filters, start: Start) -> AsyncIterator[bytes]:
        """Bytes of a `text/event-stream`, until the token is no longer good."""
        self.open_now += 1
        self.open_by_agency[actor.agency] += 1
        try:
            yield self._greeting(start)
            with self._tail.listening() as heard:
                async for chunk in self._follow(actor, token, filters, start.position, heard):
                    yield chunk
        finally:
            self.open_now -= 1
            self.open_by_agency[actor.agency] -= 1

    def _greeting(self, start: Start) -> bytes:
        """Says at once that the stream is open, and where: also who heard nothing yet can resume."""
        place = told_place(self._journal.epoch, start.position)
        greeting = f": PilotMesh\nretry: {RETRY_MILLISECONDS}\nid: {place}\n\n"
        if start.reset is not None:
            told = {"reason": start.reset, "journal": self._journal.epoch, "begins_after": start.position}
            greeting += f"event: reset\nid: {place}\ndata: {json.dumps(told)}\n\n"
        return greeting.encode()

    async def _follow(
        self, actor: Actor, token: str, filters: Filters, position: int, heard: asyncio.Event
    ) -> AsyncIterator[bytes]:
        told_at = asked_at = time.monotonic()
        silent_from = position
        while True:
            if time.monotonic() - asked_at > WELCOME_SECONDS:
                try:
                    actor = await run_in_threadpool(self._whose, token)
                except Unauthenticated as gone:
                    yield f"event: end\ndata: {json.dumps({'reason': gone.detail})}\n\n".encode()
                    return
                asked_at = time.monotonic()
            heard.clear()
            held = self._tail.after(position)
            if held is None:
                chunk, position = await run_in_threadpool(self._read, actor.agency, filters, position)
            else:
                chunk = await self._chosen(held, actor.agency, filters)
                position = held[-1].entry.position if held else position
            now = time.monotonic()
            if not chunk and now - told_at >= HEARTBEAT_SECONDS:
                chunk = b": heartbeat\n\n"
                if position > silent_from:  # what was passed over need not be looked through again
                    chunk = f": heartbeat\nid: {told_place(self._journal.epoch, position)}\n\n".encode()
            if chunk:
                yield chunk
                told_at, silent_from = time.monotonic(), position
            if position >= self._tail.last:
                due = min(told_at + HEARTBEAT_SECONDS, asked_at + WELCOME_SECONDS) - now
                with suppress(TimeoutError):
                    await asyncio.wait_for(heard.wait(), max(due, 0.05))

    async def _chosen(self, held: list[Told], agency: str, filters: Filters) -> bytes:
        wanted = [told for told in held if filters.admit(told.entry.new.about)]
        sight = Sight(agency)
        if any(told.entry.new.audience != MESH_AUDIENCE for told in wanted):
            sight = await run_in_threadpool(self._circles.sight, agency)
        return b"".join(told.frame for told in wanted if sight.sees(told.entry.new.agency, told.entry.new.audience))

    def _read(self, agency: str, filters: Filters, position: int) -> tuple[bytes, int]:
        """A page from the journal, and the position it reaches."""
        clauses = [self._circles.sight(agency).as_query(), *filters.as_query()]
        entries, upto = self._journal.page(position, PAGE, clauses)
        bodies = self._journal.bodies(entries)
        if len(bodies) < len(entries):
            upto = bodies[-1][0].position
        return b"".join(frame_of(self._journal.epoch, entry, body) for entry, body in bodies), upto
