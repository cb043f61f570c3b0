"""What a node with peers runs besides: the intake, the relay of what it accepted, and the answers to its peers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

from nats.aio.client import Client
from nats.errors import Error as NatsError
from pymongo.database import Database
from starlette.concurrency import run_in_threadpool

from shared.bus.peers import connect_intake, takes_links
from shared.ledger.identity import Identity, Roster
from shared.ledger.keyring import Keyring
from shared.ledger.lease import Lease, replica_name
from shared.ledger.quarantine import Quarantine
from shared.ledger.store import Document, LedgerStore
from shared.ledger.witness import foreign_heads
from shared.settings import Settings

from .accepting import Accepting
from .answering import Answering, answer_questions
from .circulating import Circulation
from .confirming import Confirming
from .intake import Intake
from .quotas import Quotas, quotas_of
from .relay import Relay

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exchange:
    """The running parts."""

    intake: Intake
    forwarder: Relay
    """Publishes to VERIFIED what other nodes wrote and the intake accepted."""

    def nudge(self, ledgers: Iterable[str]) -> None:
        """There is news in these ledgers. Call it in the loop."""
        told = frozenset(ledgers)
        self.intake.heard(told)
        self.forwarder.nudge(told)


@dataclass(frozen=True)
class NodeSide:
    """What an exchange stands on."""

    settings: Settings
    store: LedgerStore
    identity: Identity
    roster: Roster
    keyring: Keyring
    quarantine: Quarantine
    database: Database[Document]
    nudge: Callable[[Iterable[str]], None]

    @property
    def has_peers(self) -> bool:
        """A node that joined a hub, or became one; a node alone starts nothing."""
        return self.identity.hub is not None or self.identity.domain is not None


@asynccontextmanager
async def exchanging(side: NodeSide) -> AsyncIterator[Exchange]:
    """Runs the exchange with the node's peers for as long as the context lasts."""
    settings, leases = side.settings, side.database["leases"]

    def lease(name: str) -> Lease:
        return Lease(leases, name, replica_name(), settings.lease_seconds)

    # What a member's hub carries has passed the hub's quotas: a new member catches up at full speed.
    quotas = Quotas(side.database["quotas"], quotas_of(settings)) if side.identity.hub is None else None
    accepting = await run_in_threadpool(
        partial(Accepting, nudge=side.nudge, quotas=quotas),
        side.store,
        side.identity,
        side.roster,
        side.keyring,
        side.quarantine,
        side.database,
    )
    heads = foreign_heads(side.store)
    confirming = await run_in_threadpool(
        Confirming,
        side.store,
        side.keyring,
        side.identity,
        side.roster,
        settings.nats_domain,
        side.database,
        side.quarantine,
    )
    connection = await _connected(settings)
    intake = Intake(
        accepting,
        side.keyring,
        lease("intake"),
        connection,
        partial(_connected, settings),
        settings.nats_domain,
        heads,
        heads_every=settings.heads_seconds,
        takes_links=takes_links(settings.home),
        confirming=confirming,
    )
    forwarder = Relay(
        side.store,
        side.keyring,
        lease("forwarder"),
        connection,
        settings.poll_seconds,
        foreign=True,
        circulation=Circulation(settings, side.store, side.roster, "VERIFIED"),
    )
    answering = Answering(side.store, side.keyring, side.identity, side.roster, accepting.forks, heads, confirming)
    tasks = [
        asyncio.create_task(intake.run()),
        asyncio.create_task(forwarder.run()),
        asyncio.create_task(answer_questions(connection, settings.nats_domain, answering)),
    ]
    try:
        yield Exchange(intake, forwarder)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(NatsError, OSError):  # a server that has just gone needs no farewell
            await connection.close()


async def _connected(settings: Settings, peer: str | None = None) -> Client:
    while True:
        try:
            return await connect_intake(settings, peer)
        except (NatsError, OSError) as error:
            log.warning("intake: NATS: %r", error)
            await asyncio.sleep(0.5)
