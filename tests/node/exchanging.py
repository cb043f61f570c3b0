"""A hub and members for tests of the intake: linked NATS servers as the real configuration has them, a store each, and
the exchange of the mesh service running in one loop. No HTTP, no other services."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from deploy.nats.provision import connect
from deploy.node.home import read_note
from services.mesh.circulating import Circulation
from services.mesh.exchange import Exchange, NodeSide, exchanging
from services.mesh.relay import Relay
from services.mesh.status import Standing
from shared.bus import nkey
from shared.bus.subjects import headers_of, subject_of
from shared.facts.fact import Fact, to_wire
from shared.facts.keys import SigningKey
from shared.facts.names import ANCHOR
from shared.facts.verify import Head
from shared.ledger.cutting import Forks
from shared.ledger.drafts import Author, Draft
from shared.ledger.identity import HubAddress, Identity, Member, roster_state
from shared.ledger.lease import Lease, replica_name
from shared.ledger.quarantine import Quarantine
from shared.ledger.rows import Key, Row, digest_of_rows, fold_all
from shared.ledger.witness import foreign_heads
from tests.node.ledgers import LedgerNode, pilot
from tests.node.linked_servers import Servers, linked_servers, seed_of
from tests.unit.facts.chains import Chain

MESH = "0198c0de-0000-7000-8000-00000000f00d"
PATIENCE_SECONDS = 60
KINDS = frozenset({"pilot"})


async def eventually(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """What `condition` answers once that is true; it is asked in a thread, because it reads the store."""
    async with asyncio.timeout(seconds):
        while True:
            found = await asyncio.to_thread(condition)
            if found:
                return found
            await asyncio.sleep(0.02)
    raise AssertionError(what)


@dataclass
class Side:
    """One node."""

    domain: str
    ledgers: LedgerNode
    recovery: SigningKey = field(default_factory=SigningKey.make)
    exchange: Exchange | None = None
    relay: Relay | None = None

    @property
    def store(self) -> Any:
        return self.ledgers.store

    @property
    def quarantine(self) -> Quarantine:
        return Quarantine(self.ledgers.client[self.ledgers.settings.database("node")]["quarantine"])

    def codes(self) -> set[str]:
        """Which checks refused something here."""
        return {entry["code"] for entry in self.quarantine.entries(1000)}

    def write(self, count: int, agency: str | None = None, **more: Any) -> list[Fact]:
        appender = self.ledgers.appender()
        drafts = [pilot(agency=agency or self.domain, **more) for _ in range(count)]
        facts = [done.result(60).fact for done in [appender.submit(draft) for draft in drafts]]
        appender.stop()
        self.nudge({str(fact.header.ledger) for fact in facts})
        return facts

    def nudge(self, ledgers: set[str]) -> None:
        for part in (self.relay, self.exchange):
            if part is not None:
                part.nudge(ledgers)

    def head(self, ledger: str) -> Head:
        head: Head = self.store.head(ledger)
        return head

    def holds(self, facts: Sequence[Fact]) -> bool:
        present: set[str] = self.store.hashes_present([fact.hash for fact in facts])
        return present == {fact.hash for fact in facts}

    def chain(self, ledger: str | None = None, key: SigningKey | None = None) -> Chain:
        """Writes on after the head of a ledger of this node's agency, without the appender."""
        name = ledger or f"{self.domain}.registry"
        mine = key or self.ledgers.keyring.key(name.split(".", 1)[0])
        return Chain(ledger=name, key=mine, mesh=MESH, head=self.store.head(name))

    def put(self, *facts: Fact) -> None:
        """Into the store as this node's own."""
        self.store.insert(list(facts), [None] * len(facts), own=True)
        self.nudge({str(fact.header.ledger) for fact in facts})

    def digest(self) -> str:
        """Of the rows that the mesh-wide ledgers held here fold to."""
        rows: dict[Key, Row] = {}
        for ledger in self.store.ledgers():
            if not ledger.endswith(".private"):
                rows |= fold_all(rows, self.store.after(ledger, (1, 0), 100_000), KINDS)
        return digest_of_rows(rows.values())

    def standing(self) -> Standing:
        node = self.ledgers
        return Standing(
            node.store,
            node.keyring,
            self.quarantine,
            node.client[node.settings.database("mesh")],
            foreign_heads(node.store),
            self.relay,
            None if self.exchange is None else self.exchange.intake,
        )

    def frozen(self) -> dict[str, tuple[int, int]]:
        self.store.tails()
        return dict(self.store.frozen)

    def forks(self) -> int:
        return len(Forks(self.store).pairs())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Exchange]:
        """Relay and exchange, as the mesh service runs them."""
        node = self.ledgers
        database = node.client[node.settings.database("mesh")]
        mesh = await connect(node.settings, "mesh", patience_seconds=60)
        lease = Lease(database["leases"], "relay", replica_name(), 1.0)
        circulation = Circulation(node.settings, node.store, node.roster, "CIRCLES")
        self.relay = Relay(node.store, node.keyring, lease, mesh, 0.2, circulation=circulation)
        task = asyncio.create_task(self.relay.run())
        loop = asyncio.get_running_loop()

        def nudge(ledgers: Any) -> None:
            loop.call_soon_threadsafe(self.nudge, set(ledgers))

        side = NodeSide(
            node.settings, node.store, node.identity, node.roster, node.keyring, self.quarantine, database, nudge
        )
        try:
            async with exchanging(side) as exchange:
                self.exchange = exchange
                yield exchange
        finally:
            self.exchange = None
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self.relay = None
            await mesh.close()

    @asynccontextmanager
    async def user(self, name: str = "mesh") -> AsyncIterator[Client]:
        """Signed in at this node's NATS: whoever has broken into the node, or is dishonest."""
        connection = await connect(self.ledgers.settings, name)
        try:
            yield connection
        finally:
            await connection.close()

    async def publish(self, fact: Fact, *, subject: str | None = None, data: bytes | None = None, **more: str) -> None:
        """Puts a message into this node's streams, past its store."""
        async with self.user("provisioner") as connection:
            headers = {**headers_of(fact), **more}
            await connection.jetstream().publish(
                subject or subject_of(fact), data or to_wire(fact), headers=headers, timeout=10
            )


@dataclass
class Federation:
    """The hub and its members, by domain; each hosts one agency that is called as its domain."""

    servers: Servers
    sides: dict[str, Side]
    members: list[Member]

    @property
    def hub(self) -> Side:
        return self.sides["hub"]

    def __getitem__(self, domain: str) -> Side:
        return self.sides[domain]

    def issue(self, *, more: dict[str, Any] | None = None, **changes: dict[str, Any]) -> Fact:
        """A new roster; `changes` are by agency what changes of its entry."""
        self.members = [replace(member, **changes.get(member.agency.replace("-", "_"), {})) for member in self.members]
        newest = self.hub.store.newest(ANCHOR, "mesh", "roster/mesh")
        before = {} if newest is None else dict(newest.state or {})
        appender = self.hub.ledgers.appender()
        version = 1 if newest is None else newest.header.version + 1
        state = roster_state(self.members, {**before, **(more or {})})
        author = Author("operator", "admin")
        fact = appender.record(Draft(ANCHOR, "mesh", "roster", "issued", "mesh", version, state, author)).fact
        appender.stop()
        self.hub.nudge({"hub.mesh"})
        return fact

    def admit(self, *domains: str) -> Awaitable[None]:
        """Exactly these members may link from now on."""
        return asyncio.to_thread(self.servers.admit, *domains)

    def kill_nats(self, domain: str) -> None:
        """As kill -9 does; it is started again by whoever watches it."""
        note = read_note(self.sides[domain].ledgers.settings.home)
        os.kill(note["servers"]["nats-server"]["pid"], signal.SIGKILL)

    @asynccontextmanager
    async def running(self, *domains: str) -> AsyncIterator[Federation]:
        async with AsyncExitStack() as stack:
            for domain in domains or list(self.sides):
                await stack.enter_async_context(self.sides[domain].running())
            yield self

    async def level(self, *domains: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Waits until these (or all) hold the same facts of mesh-wide ledgers."""
        sides = [self.sides[domain] for domain in domains or self.sides]

        def heads(side: Side) -> dict[str, Head]:
            found = side.store.heads()
            return {ledger: head for ledger, head in found.items() if ledger.count(".") == 1 and head.sequence}

        async with asyncio.timeout(seconds):
            while True:
                told = [await asyncio.to_thread(heads, side) for side in sides]
                if all(one == told[0] for one in told):
                    return
                await asyncio.sleep(0.02)


@contextmanager
def federation(
    folder: Path,
    mongodb_uri: str,
    *domains: str,
    heads_seconds: float = 0.4,
    **links: Any,
) -> Iterator[Federation]:
    """A hub and these members, linked (`links` as `linked_servers` takes them), with a roster that names them; nothing
    of ours runs yet."""
    with linked_servers(folder, *domains, **links) as servers:
        anchor = SigningKey.make()
        sides: dict[str, Side] = {}
        for domain, given in servers.settings.items():
            settings = given.model_copy(
                update={
                    "mongodb_uri": mongodb_uri,
                    "database_prefix": f"test_{secrets.token_hex(5)}",
                    "heads_seconds": heads_seconds,
                    "lease_seconds": 1.0,
                    "poll_seconds": 0.2,
                }
            )
            hub = None if domain == "hub" else HubAddress("hub", "http://hub", ())
            identity = Identity(MESH, anchor.public, hub, domain)
            (settings.home / "mesh.json").write_text(json.dumps(identity.as_json()))
            keys = settings.home / "keys"
            keys.mkdir(exist_ok=True)
            if domain == "hub":
                (keys / f"{ANCHOR}.key").write_text(anchor.secret().hex())
            made = LedgerNode(settings, mongodb_uri)
            agency = "unicc" if domain == "hub" else domain
            made.keyring.make(agency)
            sides[domain] = Side(domain, made)
        members = [
            Member(
                "unicc" if domain == "hub" else domain,
                side.ledgers.keyring.key("unicc" if domain == "hub" else domain).public,
                side.recovery.public,
                domain=domain,
                leaf=None if domain == "hub" else nkey.public_of(seed_of(side.ledgers.settings.home)),
            )
            for domain, side in sides.items()
        ]
        made_federation = Federation(servers, sides, members)
        try:
            made_federation.issue()
            servers.admit(*domains)
            yield made_federation
        finally:
            for side in sides.values():
                client, prefix = side.ledgers.client, side.ledgers.settings.database_prefix
                for name in client.list_database_names():
                    if name.startswith(prefix):
                        client.drop_database(name)
                side.ledgers.close()
