"""The relay: publishes durable facts to JetStream, in order, one replica at a time.

One publishes what the hosted agencies wrote. Another (`foreign`) publishes to VERIFIED what the intake accepted from
other nodes. Before a circle's facts, who is handed them by the stream is settled (`circulating`).

Its position is the stream's own last message of each ledger, so it never has to be stored and cannot disagree.
A fact published twice (an acknowledgement was lost) is folded once: followers go by ledger and sequence.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from contextlib import aclosing, suppress

from nats.aio.client import Client
from nats.js.errors import NotFoundError
from pymongo.errors import PyMongoError
from starlette.concurrency import run_in_threadpool

from shared.bus.reading import read_stream
from shared.bus.subjects import place_in, reached_in, stream_of
from shared.facts.fact import Fact, Unreadable
from shared.facts.names import ledger_name
from shared.facts.verify import Head
from shared.ledger.identity import ROSTER_LEDGER
from shared.ledger.keyring import Keyring
from shared.ledger.lease import Lease
from shared.ledger.store import LedgerStore

from .circulating import Circulation
from .links import end_if_cancelled
from .publishing import Publisher, runs

log = logging.getLogger(__name__)

BATCH = 256
FULL_LOOK_SECONDS = 30.0
"""However busy, all ledgers are looked at this often: a nudge may be lost."""
AT_ONCE = 16
"""Ledgers published side by side; within a ledger one run of facts goes after the other."""
TURN_SECONDS = 0.05
"""After this long, ledgers of which much is to be published let others have their turn."""
START = (1, 0)
"""The position before a ledger's first fact."""

Position = tuple[int, int]


class Relay:
    """Runs as one task in the mesh service's loop."""

    def __init__(
        self,
        store: LedgerStore,
        keyring: Keyring,
        lease: Lease,
        connection: Client,
        poll: float = 1.0,
        *,
        foreign: bool = False,
        circulation: Circulation | None = None,
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._lease = lease
        self._connection = connection
        self._js = connection.jetstream()
        self._publisher = Publisher(connection, foreign=foreign)
        self._poll = poll
        self._foreign = foreign
        self._circulation = circulation
        self._cuts = 0
        self._under_way: set[str] = set()
        self._step_began = 0.0
        self._positions: dict[str, Position] = {}
        self._hashes: dict[str, str] = {}
        """Of the fact published last, where it was published here."""
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

    def positions(self) -> dict[str, Position]:
        return dict(self._positions)

    def is_mine(self, ledger: str) -> bool:
        """Whether this relay publishes the ledger. False for what is no ledger's name."""
        try:
            name = ledger_name(ledger)
        except ValueError:
            return False
        # What was written until an agency was exported is published all the same.
        written_here = self._keyring.hosts(name.agency) or self._keyring.left(name.agency) is not None
        return not (written_here or name.is_private) if self._foreign else written_here

    def outlet(self, ledger: str) -> tuple[str, str]:
        """The stream to which the ledger is published, and the subjects it has there."""
        root = ledger_name(ledger).root
        return (
            ("VERIFIED", f"verified.{root.split('.', 1)[1]}.>") if self._foreign else (stream_of(ledger), f"{root}.>")
        )

    async def run(self) -> None:
        """Until cancelled."""
        renewal = asyncio.create_task(self._keep_lease())
        try:
            while True:
                end_if_cancelled()
                try:
                    if self._lease.is_held:
                        await self._step()
                    self.trouble = None
                except Exception as error:  # shown in the status and tried again; the relay never ends by itself
                    self.trouble = f"{type(error).__name__}: {error}"
                    log.warning("relay: %s", self.trouble)
                    self._scanned_at = -FULL_LOOK_SECONDS
                    await asyncio.sleep(0.5)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), self._poll)
                self._news.clear()
        finally:
            renewal.cancel()
            if self._circulation is not None:
                await self._circulation.close()
            await run_in_threadpool(self._lease.release)

    async def _keep_lease(self) -> None:
        while True:
            try:
                held = await run_in_threadpool(self._lease.try_hold)
                if held and self._fencing != self._lease.fencing:
                    await run_in_threadpool(self._store.barrier)
                    self._fencing = self._lease.fencing
                    self._positions.clear()
                    self._hashes.clear()
                    self._scanned_at = -FULL_LOOK_SECONDS
                    if self._circulation is not None:
                        self._circulation.forget()
                    self._news.set()
            except PyMongoError as error:  # the lease runs out by itself; until then and afterwards it is tried again
                log.warning("relay: lease: %s", error)
            await asyncio.sleep(min(0.8, self._lease.renewal_seconds))

    async def _step(self) -> None:
        hints, self._hints = self._hints, set()
        if self._circulation is not None and (not hints or ROSTER_LEDGER in hints):
            await self._circulation.look()
        if not hints:  # a quiet moment: has somebody appended without a nudge reaching us?
            tails = await run_in_threadpool(self._store.tails)
            if self._cuts != self._store.cuts:  # a ledger was taken back: where the streams end is looked up anew
                self._positions.clear()
                self._hashes.clear()
                self._cuts = self._store.cuts
            hints = {ledger for ledger, tail in tails.items() if self._positions.get(ledger, START) < tail}
        if time.monotonic() - self._scanned_at > FULL_LOOK_SECONDS:
            hints = hints.union(await run_in_threadpool(self._store.ledgers))
            self._scanned_at = time.monotonic()
        mine = [ledger for ledger in hints if self.is_mine(ledger)]
        self._under_way, self._step_began = set(mine), time.monotonic()
        outcomes = await asyncio.gather(*(self._relay_ledger(ledger) for ledger in mine), return_exceptions=True)
        for outcome in outcomes:  # only now: one ledger's trouble stops no other's facts
            if isinstance(outcome, BaseException):
                raise outcome

    async def _relay_ledger(self, ledger: str) -> None:
        async with self._gate:
            position = self._positions.get(ledger)
            try:
                if position is None:
                    position = await self.position_in_stream(ledger)
                while True:
                    facts = self._store.recent.after(ledger, position, BATCH)  # news of this process takes no waiting
                    if facts is None:
                        facts = await run_in_threadpool(self._store.after, ledger, position, BATCH)
                    if facts and facts[0].header.previous != self._hashes.get(ledger, facts[0].header.previous):
                        # The ledger was taken back meanwhile and went on from an earlier fact.
                        self._hashes.pop(ledger)
                        position = await self.position_in_stream(ledger)
                        continue
                    await self._settle(ledger)
                    for run in runs(facts):
                        if not self._lease.is_held:
                            return
                        await self._publisher.publish_run(self.outlet(ledger)[0], run)
                        position = run[-1].header.position
                        self._positions[ledger], self._hashes[ledger] = position, run[-1].hash
                        if self._turn_is_over():
                            self.nudge([ledger])
                            return
                    if len(facts) < BATCH:
                        self._positions[ledger] = position
                        return
            except BaseException:
                self._positions.pop(ledger, None)  # what was acknowledged is asked of the stream again
                self._hashes.pop(ledger, None)
                raise
            finally:
                self._under_way.discard(ledger)

    def _turn_is_over(self) -> bool:
        """Whether other ledgers have waited long enough by now. A turn is a run of facts at least."""
        if time.monotonic() - self._step_began < TURN_SECONDS:
            return False
        return any(self.is_mine(ledger) for ledger in self._hints - self._under_way)

    async def _settle(self, ledger: str) -> None:
        if self._circulation is not None and ledger_name(ledger).circle is not None:
            await self._circulation.settle(ledger)

    async def publish(self, fact: Fact, reached: Position | None = None) -> None:
        """Publishes one fact and waits until JetStream has it on disk. `reached`: again, and out of its turn."""
        await self._publisher.publish(self.outlet(str(fact.header.ledger))[0], fact, reached)

    async def position_in_stream(self, ledger: str) -> Position:
        """How far the stream holds a ledger; (1, 0) if not at all. What is not in the store does not count."""
        try:
            last = await self._js.get_last_msg(*self.outlet(ledger), direct=True)
        except NotFoundError:
            return START
        with suppress(Unreadable):
            _, head = place_in(last.subject or "", last.headers)
            if await self._is_held(ledger, head):
                return max(head.position, reached_in(last.headers) or START)
        return max(await self.places_in_stream(ledger), default=START)

    async def _is_held(self, ledger: str, head: Head) -> bool:
        fact = await run_in_threadpool(self._store.at, ledger, *head.position)
        return fact is not None and fact.hash == head.hash

    async def places_in_stream(self, ledger: str) -> set[Position]:
        """Every (epoch, sequence) of the ledger that both the stream and the store hold."""
        places: dict[str, Position] = {}
        async with aclosing(read_stream(self._connection, *self.outlet(ledger))) as stored:
            async for message in stored:
                with suppress(Unreadable):
                    named, head = place_in(message.subject, message.headers)
                    if named == ledger:
                        places[head.hash] = head.position
        hashes = list(places)
        present: set[str] = set()
        for start in range(0, len(hashes), BATCH):
            present |= await run_in_threadpool(self._store.hashes_present, hashes[start : start + BATCH])
        return {places[one] for one in present}

    async def republish(self, ledger: str, first: int) -> tuple[int, int]:
        """Publishes again what the stream lacks, from sequence `first` on. Returns (published, already there)."""
        there = await self.places_in_stream(ledger)
        reached = max(there, default=START)
        published = skipped = 0
        await self._settle(ledger)
        position = (1, max(first, 1) - 1)
        while facts := await run_in_threadpool(self._store.after, ledger, position, BATCH):
            for fact in facts:
                if fact.header.position in there:
                    skipped += 1
                    continue
                await self.publish(fact, reached if fact.header.position < reached else None)
                reached = max(reached, fact.header.position)
                published += 1
            position = facts[-1].header.position
        return published, skipped

    async def fill(self, ledger: str, place: Position) -> None:
        """Publishes one fact again as the store holds it now: in the place of one that was deleted."""
        fact = await run_in_threadpool(self._store.at, ledger, *place)
        if fact is not None:
            await self._settle(ledger)
            await self.publish(fact, max(await self.position_in_stream(ledger), place))
