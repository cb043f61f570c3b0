"""Who is handed a circle's facts by a stream: the members' consumers on it, kept to the circles that they may read.

A consumer names every ledger of a circle that it hands out. It is set before a fact of that ledger is published, so
that no fact of a circle ever lies in a stream with a consumer that hands it to somebody outside. Whoever is not handed
a ledger here (new in its circle, or the ledger long quiet) asks for it: its signed head says that it goes on.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import ConsumerConfig
from starlette.concurrency import run_in_threadpool

from shared.bus.links import reader_in
from shared.bus.subjects import circle_filter, ledger_in_filter
from shared.facts.names import ledger_name
from shared.ledger.circles import CircleReaders
from shared.ledger.identity import ROSTER_LEDGER, SUSPENDED, Roster, members_of
from shared.ledger.store import LedgerStore
from shared.settings import Settings

from .allowance import Allowance
from .streams import connect_provisioner

log = logging.getLogger(__name__)

MOST_OF_AN_AGENCY = 40
"""Ledgers of one agency's circles that one member's consumer hands out at a time; the newest push out the oldest, so
that an agency with very many fills nobody's consumer but with its own."""
CHANGES_A_SECOND, CHANGES_AT_ONCE = 10.0, 100.0
"""Ledgers that one agency may bring into consumers; those beyond are asked for."""
LOOK_SECONDS = 30.0
"""Consumers are looked up this often: a member's is made when it is admitted."""


@dataclass
class Reader:
    """A member's consumer as it stands."""

    config: ConsumerConfig
    everywhere: list[str]
    """What it is handed whatever the circles."""
    ledgers: list[str]
    """Of circles, in the order in which they came."""


class Circulation:
    """For one stream; used by whoever publishes to it, and by nobody else at the time."""

    def __init__(
        self,
        settings: Settings,
        store: LedgerStore,
        roster: Roster,
        stream: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._store = store
        self._roster = roster
        self._stream = stream
        self._clock = clock
        self._circles = CircleReaders(store)
        self._allowance = Allowance(CHANGES_A_SECOND, CHANGES_AT_ONCE, clock)
        self._gate = asyncio.Lock()
        self._connection: Client | None = None
        self._readers: dict[str, Reader] = {}
        self._state: Mapping[str, Any] = {}
        self._roster_at: str | None = None
        self._looked_at: float | None = None
        self._settled: set[str] = set()

    async def settle(self, ledger: str) -> None:
        """Before facts of a circle's ledger are published: exactly its readers' consumers hand them out, as the roster
        stands now. Raises nats.errors.Error, OSError, PyMongoError; then they must not be published."""
        async with self._gate:
            await self._catch_up()
            if ledger in self._settled or not self._readers:
                return
            readers = self._readers.keys() & await run_in_threadpool(self._domains, ledger)
            handed = {domain for domain, reader in self._readers.items() if ledger in reader.ledgers}
            for domain in handed - readers:
                await self._set(domain, ledger, wanted=False)
            if readers - handed and not self._allowance.take(ledger_name(ledger).agency):
                return
            for domain in readers - handed:
                await self._set(domain, ledger, wanted=True)
            self._settled.add(ledger)

    async def look(self) -> None:
        """Whoever left a circle is handed nothing more of it, as soon as may be. What stands in the way is told: it
        holds up nothing but the facts of circles, which are settled one by one."""
        try:
            async with self._gate:
                await self._catch_up()
        except (NatsError, OSError, KeyError, ValueError) as error:
            log.warning("who is handed circles' facts cannot be looked up: %r", error)

    def forget(self) -> None:
        """Somebody else may have set the consumers meanwhile: they are looked up again."""
        self._roster_at = self._looked_at = None

    async def close(self) -> None:
        if self._connection is not None:
            with suppress(NatsError, OSError):
                await self._connection.close()

    async def _catch_up(self) -> None:
        """Reads the roster and the consumers again where they may have moved."""
        head = (await run_in_threadpool(self._store.head, ROSTER_LEDGER)).hash
        due = self._looked_at is None or self._clock() - self._looked_at > LOOK_SECONDS
        if head == self._roster_at and not due:
            return
        self._state = await run_in_threadpool(self._roster.state)
        before, self._readers = self._handed(), await self._looked_up()
        if head != self._roster_at or self._handed() != before:
            ledgers = self._settled.union(*(reader.ledgers for reader in self._readers.values()))
            for ledger in sorted(ledgers):
                readers = await run_in_threadpool(self._domains, ledger)
                for domain in self._readers:
                    await self._set(domain, ledger, wanted=domain in readers)
        self._roster_at, self._looked_at = head, self._clock()

    async def _looked_up(self) -> dict[str, Reader]:
        """The members' consumers, by domain. A consumer without a filter is a hub's, which reads everything."""
        if self._connection is None:
            self._connection = await connect_provisioner(self._settings, patient=True)
        js, found = self._connection.jetstream(), {}
        for consumer in await self._consumers(self._connection):
            domain = reader_in(consumer, self._settings.nats_domain)
            if domain is None:
                continue
            config = (await js.consumer_info(self._stream, consumer)).config
            named = {subject: ledger_in_filter(subject) for subject in config.filter_subjects or ()}
            if named:
                everywhere = [subject for subject, ledger in named.items() if ledger is None]
                found[domain] = Reader(config, everywhere, [ledger for ledger in named.values() if ledger is not None])
        return found

    async def _consumers(self, connection: Client) -> list[str]:
        names: list[str] = []
        while True:
            asked = json.dumps({"offset": len(names)}).encode()
            answer = await connection.request(f"$JS.API.CONSUMER.NAMES.{self._stream}", asked, timeout=5)
            told = json.loads(answer.data)
            names += told.get("consumers") or []
            if not told.get("consumers") or len(names) >= told["total"]:
                return names

    def _handed(self) -> dict[str, list[str]]:
        return {domain: reader.ledgers for domain, reader in self._readers.items()}

    def _domains(self, ledger: str) -> set[str]:
        """Nodes that are handed the ledger: of its circle's agencies, without the one that wrote it."""
        name = ledger_name(ledger)
        agencies = self._circles.now(name, self._state)
        members = members_of(self._state)
        reading = {one.domain for one in members if one.agency in agencies and one.status != SUSPENDED and one.domain}
        return reading - {one.domain for one in members if one.agency == name.agency}

    async def _set(self, domain: str, ledger: str, *, wanted: bool) -> None:
        reader = self._readers[domain]
        if (ledger in reader.ledgers) == wanted:
            return
        ledgers = [one for one in reader.ledgers if one != ledger]
        if wanted:
            agency = ledger_name(ledger).agency
            of_agency = [one for one in ledgers if ledger_name(one).agency == agency]
            pushed_out = of_agency[: max(0, len(of_agency) + 1 - MOST_OF_AN_AGENCY)]
            self._settled.difference_update(pushed_out)
            ledgers = [one for one in ledgers if one not in pushed_out] + [ledger]
        reader.config.filter_subjects = [*reader.everywhere, *self._filters(ledgers)]
        assert self._connection is not None
        await self._connection.jetstream().add_consumer(self._stream, reader.config)  # it stands: this is an update
        reader.ledgers = ledgers

    def _filters(self, ledgers: Iterable[str]) -> list[str]:
        return [circle_filter(ledger, self._stream) for ledger in ledgers]
