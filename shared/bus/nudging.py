"""Nudges: whoever has committed facts says in which ledgers, so that others look at once.

Those in the same process are told directly. Those in others hear it over NATS: at once, and under load no more often
than every GATHER_SECONDS, with all ledgers that had news meanwhile. A nudge may be lost: everybody also looks alone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager

from shared.bus.subjects import NUDGE

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.02

Listener = Callable[[frozenset[str]], object]
Publish = Callable[[bytes, str], Awaitable[object]]


class Neighbours:
    """Who in this process wants to know of news. `origin` marks this process's nudges on NATS."""

    def __init__(self) -> None:
        self.origin = secrets.token_hex(6)
        self._listeners: tuple[Listener, ...] = ()
        self._ahead: tuple[Listener, ...] = ()
        self._lock = threading.Lock()

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """`listener` is called in whatever thread has committed; it must not wait."""
        with self._lock:
            self._listeners = (*self._listeners, listener)
        try:
            yield
        finally:
            with self._lock:
                self._listeners = tuple(one for one in self._listeners if one is not listener)

    @contextmanager
    def listening_ahead(self, listener: Listener) -> Iterator[None]:
        """As `listening`, for those who carry facts on: of what this process commits they are told at once, while it
        is still being folded and acknowledged here."""
        with self._lock:
            self._ahead = (*self._ahead, listener)
        try:
            yield
        finally:
            with self._lock:
                self._ahead = tuple(one for one in self._ahead if one is not listener)

    def tell_ahead(self, ledgers: frozenset[str]) -> None:
        for listener in self._ahead:
            listener(ledgers)

    def tell(self, ledgers: frozenset[str]) -> None:
        for listener in self._listeners:
            listener(ledgers)

    def sent(self, subject: str) -> bool:
        """Whether a nudge came from this process, whose services have heard of it."""
        return subject.endswith(f".{self.origin}")


class Nudges:
    """One service's nudges, from any thread."""

    def __init__(self, service: str, neighbours: Neighbours, publish: Publish) -> None:
        self._subject = f"{NUDGE}.{service}.{neighbours.origin}"
        self._neighbours = neighbours
        self._publish = publish
        self._lock = threading.Lock()
        self._untold: set[str] = set()
        self._telling = False

    def tell_ahead(self, ledgers: Iterable[str]) -> None:
        """What was committed in these ledgers is in the store: whoever carries it on need not wait for `tell`."""
        self._neighbours.tell_ahead(frozenset(ledgers))

    def tell(self, ledgers: Iterable[str], loop: asyncio.AbstractEventLoop | None, *, told_ahead: bool = False) -> None:
        """There is news in these ledgers. Without a running loop only this process is told."""
        told = frozenset(ledgers)
        if not told_ahead:
            self._neighbours.tell_ahead(told)
        self._neighbours.tell(told)
        if loop is None or loop.is_closed():
            return
        with self._lock:
            self._untold |= told
            if self._telling:
                return
            self._telling = True
        asyncio.run_coroutine_threadsafe(self._tell_others(), loop)

    async def _tell_others(self) -> None:
        while True:
            with self._lock:
                told, self._untold = self._untold, set()
                self._telling = bool(told)
            if not told:
                return
            try:
                await self._publish(json.dumps(sorted(told)).encode(), self._subject)
            except Exception as error:  # whoever waits for it also looks by itself
                log.info("nudge not sent: %s", error)
            await asyncio.sleep(GATHER_SECONDS)
