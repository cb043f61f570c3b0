"""Carrying out redactions in the streams: the worker's step, and when it has to wait; and when nothing is left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from pymongo.collection import Collection

from shared.facts.names import ledger_name
from shared.ledger.cutting import Cutting
from shared.ledger.store import Document, LedgerStore
from shared.ledger.work import Work
from shared.settings import Settings

from .confirming import DOING, NEW, Confirming, Redacted, named_places
from .folds import key_of_place, place_of_task
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


class Completing:
    """Notes who is to carry a redaction out, and says that this node has, once nothing of it is left here: not in the
    store, not among what was given up or waits, not in the streams, and no service that had folded the fact stands
    before the redaction. Its step runs in a worker."""

    def __init__(
        self,
        confirming: Confirming,
        store: LedgerStore,
        work: Work,
        waiting: Collection[Document],
        cursors: Sequence[Collection[Document]],
    ) -> None:
        self._confirming = confirming
        self._confirmations = confirming.confirmations
        self._store = store
        self._cutting = Cutting(store)
        self._work = work
        self._waiting = waiting
        self._cursors = cursors

    def step(self) -> bool:
        for one in self._confirmations.standing(NEW):
            self._confirmations.expect(one.hash, self._confirming.expected(ledger_name(one.ledger)))
        for one in self._confirmations.standing(DOING):
            fact = self._store.by_hash(one.hash)
            if fact is None:
                self._confirmations.drop(one.hash)  # given up: its key was revoked, or its history
            elif self._nothing_left(one, named_places(fact)):
                self._confirming.confirm(one)
        return False

    def _nothing_left(self, one: Redacted, places: Sequence[tuple[str, int, int]]) -> bool:
        if self._work.unfinished(key_of_place(*place) for place in places):
            return False
        if any(self._is_here(*place) for place in places):
            return False
        return all(self._is_folded(cursors, one) for cursors in self._cursors)

    def _is_here(self, ledger: str, epoch: int, sequence: int) -> bool:
        place = {"ledger": ledger, "epoch": epoch, "sequence": sequence}
        return (
            self._store.holds_content(ledger, epoch, sequence)
            or any(fact.payload is not None for fact in self._cutting.at(ledger, epoch, sequence))
            or self._waiting.find_one(place, {"_id": 1}) is not None
        )

    def _is_folded(self, cursors: Collection[Document], one: Redacted) -> bool:
        """A service without a cursor for the ledger has folded nothing of it; what it folds from now on is empty."""
        at = cursors.find_one({"_id": one.ledger})
        return at is None or (at["epoch"], at["sequence"]) >= (one.epoch, one.sequence)
