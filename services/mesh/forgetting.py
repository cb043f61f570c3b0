"""Carrying out redactions in the streams: the worker's step, and when it has to wait."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from shared.ledger.work import Work
from shared.settings import Settings

from .folds import place_of_task
from .relay import Relay
from .streams import delete_from_streams

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 300
"""For one redaction: the ledger's part of the stream is read once."""


class NotYetPublished(RuntimeError):  # noqa: N818 - why a redaction waits
    """The relay may still hold the fact as it was before; it is deleted once it is in the stream."""


class Forgetting:
    """Puts redacted copies of redacted facts into the streams and deletes the others. Its step runs in a worker."""

    def __init__(
        self,
        settings: Settings,
        work: Work,
        loop: asyncio.AbstractEventLoop,
        relay: Callable[[], Relay | None],
        forwarder: Callable[[], Relay | None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._work = work
        self._loop = loop
        self._relay = relay
        self._forwarder = forwarder

    def step(self) -> bool:
        for task in self._work.due():
            try:
                doing = asyncio.run_coroutine_threadsafe(self._forget(*place_of_task(task.key)), self._loop)
                doing.result(PATIENCE_SECONDS)
                self._work.done(task)
            except Exception as error:  # shown among the troubled tasks and tried again; the others go on
                log.warning("redaction %s: %r", task.key, error)
                self._work.put_off(task, f"{type(error).__name__}: {error}")
        return False

    async def _forget(self, ledger: str, epoch: int, sequence: int) -> None:
        relay, place = self._relay(), (epoch, sequence)
        if relay is None:
            raise NotYetPublished("the relay has not started yet")
        publisher = next((one for one in (relay, self._forwarder()) if one is not None and one.is_mine(ledger)), None)
        if publisher is not None and await publisher.position_in_stream(ledger) < place:
            raise NotYetPublished(f"{ledger} is not published up to {epoch}:{sequence}")
        redacted_copy = partial(publisher.fill, ledger, place) if publisher is not None else None
        await delete_from_streams(self._settings, ledger, *place, first=redacted_copy)
