"""One node against real servers, as a process of its own: the mesh service whole, and a registry that keeps pilots.

It is forked from a process that has everything loaded, so that it is there at once; it is killed as by `kill -9`, also
right before a write that it was told to be the last. What to do it hears through a pipe, and ends when nobody holds
that any more.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection

from pymongo import monitoring
from pymongo.errors import PyMongoError

from services.mesh.app import create_app
from shared.bus.asking import Unanswered
from shared.bus.broker import make_broker
from shared.bus.news import subscribe_to_news
from shared.bus.recalling import recalling
from shared.facts.fact import Fact
from shared.ledger.documents import Rows
from shared.ledger.drafts import Author, Draft
from shared.ledger.folding import RowsFold
from shared.ledger.rekeying import Rekeying
from shared.ledger.rows import digest_of_rows
from shared.problems import Unavailable
from shared.service import Ground, Parts, assemble, open_ground, running, use_database
from shared.settings import Settings
from tests.federation.rows import shared_rows
from tests.node.following import SERVICE, PilotRow, columns

ADMIN = Author("0198c0de-0000-7000-8000-0000000000ad", "admin")
REGISTRY = "registry"
WRITES = {"insert", "update", "delete", "findAndModify", "bulkWrite"}
ANSWERED_SECONDS = 30.0


class LastWrite(monitoring.CommandListener):
    """Ends the process before the write that follows so many."""

    def __init__(self) -> None:
        self.left: int | None = None

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if self.left is None or event.command_name not in WRITES:
            return
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Of no interest."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Of no interest."""


@dataclass
class RealNode:
    """What the process is told to do."""

    ground: Ground
    registry: Parts
    rows: Rows
    last_write: LastWrite

    async def record(self, drafts: Sequence[Draft]) -> list[Fact | None]:
        appender = self.registry.appender
        assert appender is not None
        answers = [asyncio.wrap_future(appender.submit(draft)) for draft in drafts]
        done = await asyncio.wait_for(asyncio.gather(*answers, return_exceptions=True), ANSWERED_SECONDS)
        for one in done:
            if isinstance(one, BaseException) and not isinstance(one, Unavailable):
                raise one
        return [None if isinstance(one, BaseException) else one.fact for one in done]

    async def version_of(self, aggregate: tuple[str, str, str]) -> int:
        found = await asyncio.to_thread(self.ground.store.newest_versions, [aggregate])
        return found.get(aggregate, 0)

    async def rotate(self, agency: str) -> None:
        ground = self.ground
        care = Rekeying(ground.store, ground.identity, ground.keyring, ADMIN, lambda: datetime.now(UTC))
        with suppress(PyMongoError):  # what was begun is carried on by the mesh service, or with the next rotation
            await asyncio.to_thread(care.rotate, agency)

    async def crash_after(self, writes: int | None) -> None:
        self.last_write.left = writes

    async def reached(self) -> set[str]:
        """The peers that answer."""
        ground, found = self.ground, set()
        async with recalling(ground.settings, ground.identity, ground.roster, ground.keyring) as others:
            for domain in others.domains if others is not None else ():
                with suppress(Unanswered):
                    await others.asking.heads(domain)  # type: ignore[union-attr]  # or there are no domains
                    found.add(domain)
        return found

    async def digests(self) -> tuple[str, str, str]:
        """Of the rows as they were folded, as folding everything anew makes them, and as all nodes may know them."""
        return await asyncio.to_thread(self._digests)

    def _digests(self) -> tuple[str, str, str]:
        rows = {row.key: row for row in self.rows.all()}
        fresh = self.rows.beside("__proof")
        fresh.drop()
        for ledger in self.ground.store.ledgers():
            fresh.fold(self.ground.store.after(ledger, (1, 0), 100_000))
        return (
            digest_of_rows(rows.values()),
            digest_of_rows(fresh.all()),
            digest_of_rows(shared_rows(rows)),
        )


@asynccontextmanager
async def real_node(settings: Settings) -> AsyncIterator[RealNode]:
    last_write = LastWrite()
    monitoring.register(last_write)
    mesh = create_app(settings)
    broker = make_broker(settings, REGISTRY)
    subscribe_to_news(broker, settings, REGISTRY, lambda: parts.news)
    ground = await asyncio.to_thread(open_ground, settings)
    use_database(settings, SERVICE)
    rows = Rows({"pilot": PilotRow}, {"pilot": columns})
    await asyncio.to_thread(rows.ensure_indexes)
    parts = assemble(ground, REGISTRY, broker, fold=RowsFold(REGISTRY, 1, rows, {REGISTRY}), writes=True, inline=True)
    async with mesh.router.lifespan_context(mesh), running(parts):
        yield RealNode(ground, parts, rows, last_write)


async def _live(settings: Settings, told: Connection) -> None:
    async with real_node(settings) as node:
        told.send((True, "up"))
        while True:
            name, arguments = await asyncio.to_thread(told.recv)
            try:
                told.send((True, await getattr(node, name)(*arguments)))
            except Exception as error:  # whoever asked raises it
                logging.getLogger(__name__).exception(name)
                told.send((False, repr(error)))


def live(settings: Settings, told: Connection) -> None:
    """What the process runs."""
    logging.basicConfig(filename=settings.home / "node.log", format="%(asctime)s %(name)s %(message)s")
    try:
        asyncio.run(_live(settings, told))
    except EOFError:
        os._exit(0)
    except BaseException:
        logging.getLogger(__name__).exception("the node ended")
        os._exit(1)
