"""The relay: publishes durable facts of the hosted agencies to JetStream, in order, one replica at a time.

Its position is the stream's own last message of each ledger, so it never has to be stored and cannot disagree.
A fact published twice (an acknowledgement was lost) is folded once: followers go by ledger and sequence.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from contextlib import suppress

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from pymongo.errors import PyMongoError
from starlette.concurrency import run_in_threadpool

from shared.bus.recovery import STREAM_OF
from shared.bus.subjects import EPOCH, LEDGER, SEQUENCE, headers_of, place_in, subject_of
from shared.facts.fact import Fact, to_wire
from shared.facts.names import ANCHOR, ledger_name
from shared.ledger.keyring import Keyring
from shared.ledger.lease import Lease
from shared.ledger.store import LedgerStore
from shared.telemetry import counter, span

log = logging.getLogger(__name__)

BATCH = 256
FULL_LOOK_SECONDS = 30.0
"""However busy, all ledgers are looked at this often: a nudge may be lost."""
AT_ONCE = 16
"""Ledgers published side by side; within a ledger facts go one after the other."""


def stream_of(ledger: str) -> str:
    return STREAM_OF[ledger_name(ledger).root.split(".", 1)[0]]


class Relay:
    """Runs as one task in the mesh service's loop."""

    def __init__(
        self, store: LedgerStore, keyring: Keyring, lease: Lease, js: JetStreamContext, poll: float = 1.0
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._lease = lease
        self._js = js
        self._poll = poll
        self._positions: dict[str, tuple[int, int]] = {}
        self._fencing = 0
        self._scanned_at = -FULL_LOOK_SECONDS
        self._news = asyncio.Event()
        self._hints: set[str] = set()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self.trouble: str | None = None

    def nudge(self, ledgers: Iterable[str]) -> None:
        """There may be new facts in these ledgers. Call it in the loop."""
        self._hints.update(ledgers)
        self._news.set()

    @property
    def leads(self) -> bool:
        return self._lease.is_held

    def positions(self) -> dict[str, tuple[int, int]]:
        return dict(self._positions)

    async def run(self) -> None:
        """Until cancelled."""
        renewal = asyncio.create_task(self._keep_lease())
        try:
            while True:
                try:
                    if self._lease.is_held:
                        await self._step()
                    self.trouble = None
                except (NatsError, PyMongoError, TimeoutError, OSError) as error:
                    self.trouble = f"{type(error).__name__}: {error}"
                    log.warning("relay: %s", self.trouble)
                    self._scanned_at = -FULL_LOOK_SECONDS
                    self._positions.clear()  # what was acknowledged is asked of the stream again
                    await asyncio.sleep(0.5)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), self._poll)
                self._news.clear()
        finally:
            renewal.cancel()
            await run_in_threadpool(self._lease.release)

    async def _keep_lease(self) -> None:
        while True:
            held = await run_in_threadpool(self._lease.try_hold)
            if held and self._fencing != self._lease.fencing:
                await run_in_threadpool(self._store.barrier)
                self._fencing = self._lease.fencing
                self._positions.clear()
                self._scanned_at = -FULL_LOOK_SECONDS
                self._news.set()
            await asyncio.sleep(0.8)

    async def _step(self) -> None:
        hints, self._hints = self._hints, set()
        if not hints:  # a quiet moment: has somebody appended without a nudge reaching us?
            tails = await run_in_threadpool(self._store.tails)
            hints = {ledger for ledger, tail in tails.items() if self._positions.get(ledger, (1, 0)) < tail}
        if time.monotonic() - self._scanned_at > FULL_LOOK_SECONDS:
            hints = hints.union(await run_in_threadpool(self._store.ledgers))
            self._scanned_at = time.monotonic()
        mine = [ledger for ledger in hints if self._is_mine(ledger)]
        await asyncio.gather(*(self._relay_ledger(ledger) for ledger in mine))

    def _is_mine(self, ledger: str) -> bool:
        agency = ledger_name(ledger).agency
        return agency == ANCHOR or self._keyring.hosts(agency)

    async def _relay_ledger(self, ledger: str) -> None:
        async with self._gate:
            position = self._positions.get(ledger)
            if position is None:
                position = await self.position_in_stream(ledger)
            while True:
                facts = await run_in_threadpool(self._store.after, ledger, position, BATCH)
                for fact in facts:
                    if not self._lease.is_held:
                        return
                    await self.publish(fact)
                    position = fact.header.position
                    self._positions[ledger] = position
                if len(facts) < BATCH:
                    self._positions[ledger] = position
                    return

    async def publish(self, fact: Fact) -> None:
        """Publishes one fact and waits until JetStream has it on disk."""
        with span("relay", fact.trace, ledger=str(fact.header.ledger), sequence=fact.header.sequence):
            await self._js.publish(
                subject_of(fact),
                to_wire(fact),
                timeout=5.0,
                stream=stream_of(str(fact.header.ledger)),
                headers=headers_of(fact),
            )
        counter("pilotmesh.relay.published").add(1)

    async def position_in_stream(self, ledger: str) -> tuple[int, int]:
        """How far the stream holds a ledger; (1, 0) if not at all."""
        try:
            last = await self._js.get_last_msg(stream_of(ledger), ledger_name(ledger).root + ".>", direct=True)
        except NotFoundError:
            return (1, 0)
        return place_in(last.subject or "", last.headers)[1].position

    async def places_in_stream(self, ledger: str) -> set[tuple[int, int]]:
        """Every (epoch, sequence) of the ledger that the stream still holds."""
        places: set[tuple[int, int]] = set()
        position = 1
        while True:
            try:
                message = await self._js.get_msg(
                    stream_of(ledger), seq=position, subject=ledger_name(ledger).root + ".>", direct=True, next=True
                )
            except NotFoundError:
                return places
            headers = message.headers or {}
            if headers.get(LEDGER) == ledger:
                places.add((int(headers[EPOCH]), int(headers[SEQUENCE])))
            position = (message.seq or position) + 1

    async def republish(self, ledger: str, first: int) -> tuple[int, int]:
        """Publishes again what the stream lacks, from sequence `first` on. Returns (published, already there)."""
        there = await self.places_in_stream(ledger)
        published = skipped = 0
        position = (1, max(first, 1) - 1)
        while facts := await run_in_threadpool(self._store.after, ledger, position, BATCH):
            for fact in facts:
                if fact.header.position in there:
                    skipped += 1
                else:
                    await self.publish(fact)
                    published += 1
            position = facts[-1].header.position
        return published, skipped
