"""A hub and its members, each a node that can be killed, each member behind a wire that can be cut, with officers."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from deploy.demo.federation.levelling import Standing, standing_of
from deploy.nats.provision import PROVISIONER, connect
from deploy.node.embedded import LOOPBACK
from deploy.node.home import Home
from shared.facts.names import ledger_name
from tests.faults.faulty_node import FaultyNode
from tests.faults.officers import Office
from tests.faults.wire import FaultyWire
from tests.node.federation import Hub, Member, heads
from tests.service.running import until

SERVICES = ("registry", "notifier", "mesh")
QUICK = {"PILOTMESH_LEASE_SECONDS": "1", "PILOTMESH_HEADS_SECONDS": "1"}
"""Whoever takes over from a killed process waits for its lease; what a stream lost is asked for after two heads."""


class FaultyHub(Hub, FaultyNode):
    """The hub."""


class FaultyMember(Member, FaultyNode):
    """A member, with its wire and its officers."""

    def __init__(self, home: Path, agency: str, *services: str, **environment: str) -> None:
        super().__init__(home, agency, *services, **environment)
        self._wire: FaultyWire | None = None
        self._office: Office | None = None

    @property
    def wire(self) -> FaultyWire:
        assert self._wire is not None
        return self._wire

    @property
    def office(self) -> Office:
        assert self._office is not None
        return self._office

    def link(self, hub: FaultyHub) -> FaultyMember:
        """Joins over a wire of its own."""
        self._wire = FaultyWire(hub.leaf_port)
        return self.join(hub, leaf=f"tls://{LOOPBACK}:{self._wire.port}")

    def open_office(self, officers: int, seed: int, pace: float) -> None:
        self._office = Office(self, (self.agency,) * officers, seed, pace=pace)
        self._office.resume()

    def close(self) -> None:
        """Officers and wire are gone; the node still runs."""
        if self._office is not None:
            self._office.__exit__()
        if self._wire is not None:
            self._wire.close()


def copy_disk(node: FaultyNode) -> Path:
    """A copy of the node's database, as an operator keeps it; the node is stopped for it and started again."""
    kept = node.home.with_name(f"{node.home.name} kept")
    node.stop()
    shutil.copytree(node.home / "database", kept)
    node.start()
    return kept


def put_back_disk(node: FaultyNode, kept: Path) -> None:
    """The node is killed, and its database is what it was when it was copied; its streams stay."""
    node.kill()
    Home(node.home).close()  # its servers have ended when the folder can be had
    shutil.rmtree(node.home / "database")
    shutil.copytree(kept, node.home / "database")
    node.start()


def missing_of(author: FaultyMember, there: FaultyNode, here: FaultyNode) -> int:
    """How many facts of the author's for the whole mesh one node holds and the other lacks."""
    held, known = heads(there), heads(here)
    mine = [ledger for ledger in held if ledger_name(ledger).agency == author.agency]
    return sum(held[ledger][1] - known.get(ledger, (1, 0, ""))[1] for ledger in mine)


def wipe(node: FaultyNode, stream: str) -> None:
    """Everything in one of the node's streams is gone."""

    async def purge() -> None:
        connection = await connect(node.settings, PROVISIONER, patience_seconds=30)
        try:
            await connection.jetstream().purge_stream(stream)
        finally:
            await connection.close()

    asyncio.run(purge())


class FaultyMesh:
    """All nodes, and what is asked of all of them."""

    def __init__(self, folder: Path, agencies: Sequence[str], services: Sequence[str] = SERVICES) -> None:
        self.hub = FaultyHub(folder / "hub", *services, **QUICK)
        self.members = {agency: FaultyMember(folder / agency, agency, *services, **QUICK) for agency in agencies}
        self.wiped: set[FaultyNode] = set()
        """Nodes of which streams were emptied."""

    @property
    def nodes(self) -> list[FaultyNode]:
        return [self.hub, *self.members.values()]

    @property
    def offices(self) -> list[Office]:
        return [member.office for member in self.members.values()]

    @property
    def count(self) -> int:
        """Acknowledged commands so far."""
        return sum(office.count for office in self.offices)

    def start(self) -> None:
        self.hub.start()
        for member in self.members.values():
            member.link(self.hub)
        side_by_side(member.start for member in self.members.values())

    def open_offices(self, officers: int, seed: int, pace: float) -> None:
        for member in self.members.values():
            member.open_office(officers, seed, pace)

    def resume(self) -> None:
        for office in self.offices:
            office.resume()

    def finish(self) -> None:
        for office in self.offices:
            for officer in office.officers:
                officer.ask_to_stop()
        for office in self.offices:
            office.finish()

    def wait_for_more(self, commands: int) -> None:
        """Until every officer at every node had so many more commands acknowledged."""
        for office in self.offices:
            office.wait_for_more(commands)

    def hub_has_all_of(self, member: FaultyMember) -> bool:
        """Whether the member's own ledgers are published, and the hub holds those for the whole mesh."""
        with member.client(member.operator) as client:
            told = client.get("/mesh/v1/status").raise_for_status().json()["ledgers"]
        published = all(one["lag"] == 0 for one in told if ledger_name(one["ledger"]).agency == member.agency)
        return published and not missing_of(member, member, self.hub)

    def standings(self) -> list[Standing]:
        """What each node holds of what is for all."""
        found = []
        for node in self.nodes:
            with node.client(node.operator) as client:
                told = client.get("/mesh/v1/status").raise_for_status().json()["ledgers"]
            found.append(standing_of(told, node.mongodb_uri))
        return found

    def hold_the_same(self) -> bool:
        first, *others = (heads(node) for node in self.nodes)
        return bool(first) and all(other == first for other in others)

    def until_heads_agree(self, seconds: float) -> None:
        until(self.hold_the_same, "all nodes hold the same", seconds)

    def until_level(self, seconds: float) -> Standing:
        """What all nodes hold alike and have folded alike, once they do."""

        def level() -> Standing | None:
            if not self.hold_the_same():
                return None
            one, *rest = self.standings()
            return one if all(other == one for other in rest) else None

        found: Standing = until(level, "all nodes hold and have folded the same", seconds)
        return found

    def stop(self) -> None:
        for member in self.members.values():
            member.close()
        side_by_side(node.__exit__ for node in self.nodes)


def side_by_side(acts: Iterable[Callable[[], object]]) -> None:
    """All at once: each takes a moment."""
    with ThreadPoolExecutor() as threads:
        for done in [threads.submit(act) for act in acts]:
            done.result()


@contextmanager
def faulty_mesh(
    folder: Path, agencies: Sequence[str], *, officers: int, seed: int, pace: float
) -> Iterator[FaultyMesh]:
    """A hub and one member for each agency, running, with officers at work; all is stopped at the end."""
    mesh = FaultyMesh(folder, agencies)
    try:
        mesh.start()
        mesh.open_offices(officers, seed, pace)
        yield mesh
    finally:
        mesh.stop()
