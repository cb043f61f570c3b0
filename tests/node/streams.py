"""The streams of a node for tests: a relay that runs, what lies in a stream, and somebody who tampers with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from nats.aio.client import Client

from deploy.nats.provision import connect
from services.mesh.relay import Relay
from shared.bus.reading import Stored, read_stream
from shared.bus.recovery import Recovered, Recovery
from shared.ledger.lease import Lease, replica_name
from shared.ledger.quarantine import Quarantine
from shared.ledger.witness import Witness
from tests.node.ledgers import LedgerNode

PATIENCE_SECONDS = 30


async def eventually(condition: Callable[[], Awaitable[object]], what: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():  # noqa: ASYNC110 - what is waited for is in servers, not in this loop
            await asyncio.sleep(0.02)


@dataclass
class Bus:
    """A node's ledgers and its NATS, under the logins of the mesh service and of the provisioner."""

    node: LedgerNode
    mesh: Client
    provisioner: Client

    def relay(self, seconds: float = 3.0) -> Relay:
        leases = self.node.client[self.node.settings.database("mesh")]["leases"]
        lease = Lease(leases, "relay", replica_name(), seconds)
        return Relay(self.node.store, self.node.keyring, lease, self.mesh, 0.05)

    @asynccontextmanager
    async def relaying(self) -> AsyncIterator[Relay]:
        relay = self.relay()
        task = asyncio.create_task(relay.run())
        try:
            yield relay
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def published(self, *ledgers: str) -> None:
        """Relays until the streams hold what the store holds of these ledgers."""
        async with self.relaying() as relay:
            for ledger in ledgers:
                await self.level(relay, ledger)

    async def level(self, relay: Relay, ledger: str) -> None:
        head = await asyncio.to_thread(self.node.store.head, ledger)

        async def is_level() -> bool:
            return await relay.position_in_stream(ledger) >= head.position

        await eventually(is_level, f"{ledger} is published")

    async def messages(self, stream: str = "FACTS", subject: str = ">") -> list[Stored]:
        return [message async for message in read_stream(self.provisioner, stream, subject)]

    async def sequences(self, ledger: str, stream: str = "FACTS") -> list[int]:
        """What the stream holds of a ledger, in the stream's order."""
        found = [message.headers for message in await self.messages(stream)]
        return [int(one["Pilotmesh-Sequence"]) for one in found if one.get("Pilotmesh-Ledger") == ledger]

    @property
    def quarantine(self) -> Quarantine:
        return Quarantine(self.node.client[self.node.settings.database("node")]["quarantine"])

    async def recover(self, service: str = "registry") -> Recovered:
        node = self.node
        recovery = Recovery(
            self.mesh,
            node.store,
            node.identity,
            node.roster,
            node.keyring,
            self.quarantine,
            Witness(node.settings.home),
        )
        return await recovery.run(service)


async def with_bus(node: LedgerNode, story: Callable[[Bus], Awaitable[None]]) -> None:
    mesh, provisioner = await connect(node.settings, "mesh"), await connect(node.settings, "provisioner")
    try:
        await story(Bus(node, mesh, provisioner))
    finally:
        await mesh.close()
        await provisioner.close()


def tell(node: LedgerNode, story: Callable[[Bus], Awaitable[None]]) -> None:
    """Runs a test's story with the bus at hand."""
    asyncio.run(with_bus(node, story))
