"""What the databases and the streams of real nodes hold, looked up beside their processes."""

from __future__ import annotations

import asyncio
from typing import Any

from deploy.nats.provision import PROVISIONER, connect
from shared.bus.reading import Stored, read_stream
from shared.bus.subjects import STREAMS, place_in
from shared.facts.fact import Fact
from shared.facts.names import MESH_AUDIENCE, ledger_name
from shared.ledger.store import LedgerStore
from tests.federation.world import Place
from tests.node.exchanging import Federation, Side

MANY = 100_000


class Looking:
    def __init__(self, mesh: Federation) -> None:
        self._mesh = mesh

    def side(self, domain: str) -> Side:
        return self._mesh[domain]

    def store(self, domain: str) -> LedgerStore:
        """Which remembers nothing of what a disk held before."""
        node = self.side(domain).ledgers
        return LedgerStore(node.client, node.settings.database("ledger"))

    def facts(self, domain: str) -> dict[Place, Fact]:
        store = self.store(domain)
        found = [fact for ledger in store.ledgers() for fact in store._after(ledger, (1, 0), MANY)]
        return {(str(fact.header.ledger), epoch, sequence): fact for epoch, sequence, fact in found}

    def heads(self, domain: str) -> dict[str, Any]:
        heads = self.store(domain).heads().items()
        return {ledger: one for ledger, one in heads if ledger_name(ledger).audience == MESH_AUDIENCE and one.sequence}

    def messages(self, domain: str) -> list[tuple[str, Stored, str]]:
        """Stream, message, and the hash of the fact that it carries."""

        async def read() -> list[tuple[str, Stored, str]]:
            connection = await connect(self.side(domain).ledgers.settings, PROVISIONER, patience_seconds=60)
            try:
                return [
                    (stream, one, place_in(one.subject, one.headers)[1].hash)
                    for stream in STREAMS
                    async for one in read_stream(connection, stream, ">")
                ]
            finally:
                await connection.close()

        return asyncio.run(read())

    def published(self, domain: str) -> dict[tuple[str, str], list[tuple[int, int]]]:
        found: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for stream, message, _ in self.messages(domain):
            ledger, head = place_in(message.subject, message.headers)
            found.setdefault((stream, ledger), []).append(head.position)
        return found
