"""The journal's newest events in memory, so that a hundred open streams cost the database nothing.

Bounded by count and bytes. Who is behind what is held here reads pages from the journal instead, at his own pace.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from .domain.entries import Entry
from .journal import Journal

MOST_EVENTS = 2048
MOST_BYTES = 16 * 2**20
PAGE = 256


@dataclass(frozen=True, slots=True)
class Told:
    """An event as it goes out on a stream."""

    entry: Entry
    frame: bytes


def frame_of(epoch: str, entry: Entry, body: bytes) -> bytes:
    """One event of a `text/event-stream`; nothing where there is nothing to tell."""
    return body and b"id: %b.%d\ndata: %b\n\n" % (epoch.encode(), entry.position, body)


class Tail:
    """Fed by the fold in the process that leads, by reading the journal in the others; read by streams."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._held: deque[Told] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: set[asyncio.Event] = set()
        self.last = 0
        """The newest position that streams have been told of."""

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Streams begin after what is there now."""
        self.last = self._journal.durable_head()
        self._loop = loop

    @contextmanager
    def listening(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever there is news. Use it in the loop."""
        heard = asyncio.Event()
        self._listeners.add(heard)
        try:
            yield heard
        finally:
            self._listeners.discard(heard)

    def after(self, position: int, limit: int = PAGE) -> list[Told] | None:
        """What follows a position, oldest first; None if that is no longer all held here."""
        with self._lock:
            if position >= self.last:
                return []
            if not self._held or position + 1 < self._held[0].entry.position:
                return None
            skip = position + 1 - self._held[0].entry.position
            return [self._held[at] for at in range(skip, min(skip + limit, len(self._held)))]

    def extend(self, events: Sequence[tuple[Entry, bytes]]) -> None:
        """Adds what was just appended; should something be missing before it, all of it is read from the journal."""
        if not events:
            return
        if events[0][0].position == self.last + 1:
            self._add(events)
        else:
            self.catch_up()
        self._announce()

    def catch_up(self) -> bool:
        """Reads what the journal has beyond `last`. True if there was any."""
        began = self.last
        while True:
            entries, _ = self._journal.page(self.last, PAGE)
            if not entries:
                break
            self._add(self._journal.bodies(entries))
        if self.last == began:
            return False
        self._announce()
        return True

    def forget(self, events: Iterable[str]) -> None:
        """Lets go of everything up to the newest of these events: streams read it, redacted, from the journal."""
        gone = set(events)
        with self._lock:
            if gone and any(told.entry.new.event in gone for told in self._held):
                self._held.clear()
                self._bytes = 0

    def _add(self, events: Sequence[tuple[Entry, bytes]]) -> None:
        with self._lock:
            for entry, body in events:
                if entry.position != self.last + 1:
                    continue  # another thread was quicker
                told = Told(entry, frame_of(self._journal.epoch, entry, body))
                self._held.append(told)
                self._bytes += len(told.frame)
                self.last = entry.position
            while self._held and (len(self._held) > MOST_EVENTS or self._bytes > MOST_BYTES):
                self._bytes -= len(self._held.popleft().frame)

    def _announce(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for heard in self._listeners:
            heard.set()
