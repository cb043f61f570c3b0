"""The world of real servers: linked NATS servers, a database behind a wire, and each node a process.

Nodes exchange and fold by themselves here; chance decides what is done to them meanwhile. To publish, to exchange, to
attend and to fold is to wait a moment until they did, so that what follows meets now a node that is level, now one that
is not.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from deploy.demo.federation.severing import Wire
from deploy.nats.provision import PROVISIONER, connect
from shared.facts.fact import Fact
from shared.facts.names import ledger_name
from shared.ledger.drafts import Draft
from shared.ledger.identity import HubAddress, Identity
from shared.ledger.rows import redactions_in
from shared.ledger.store import Document
from shared.ledger.verification import verify_node
from tests.federation.life import PATIENCE_SECONDS, Gone, Life, load_ahead
from tests.federation.looking import Looking
from tests.federation.world import AGENCY_OF, DOMAINS, HUB, MEMBERS, Held
from tests.node import ledgers
from tests.node.exchanging import Federation, federation

MOMENT_SECONDS = 1.0
LOOK_SECONDS = 0.05
NOWHERE = "http://127.0.0.1:9"
"""In the place of the hub's API: nobody takes connections there."""


class RealWorld:
    """Made by `real_world`."""

    def __init__(self, mesh: Federation, links: dict[str, Wire], databases: dict[str, ledgers.Wire]) -> None:
        self._mesh = mesh
        self._look = Looking(mesh)
        self._links = links
        self._databases = databases
        self._lives: dict[str, Life] = {}
        self._copies: dict[str, dict[str, dict[str, list[Document]]]] = {}
        self._cut: set[str] = set()
        self.faults = 0
        """How many nodes died, links were cut, streams emptied and disks put back."""
        self._start_all()
        self.converge()

    def close(self) -> None:
        for life in self._lives.values():
            life.kill()

    # -- processes -------------------------------------------------------------------------------------------

    def is_up(self, domain: str) -> bool:
        life = self._lives.get(domain)
        return life is not None and life.is_alive()

    def start(self, domain: str) -> None:
        if not self.is_up(domain):
            self._begin(domain)
            self._ask(domain, None)

    def _start_all(self) -> None:
        """Side by side: a start waits for leases of the life before."""
        down = [domain for domain in DOMAINS if not self.is_up(domain)]
        for domain in down:
            self._begin(domain)
        for domain in down:
            self._ask(domain, None)

    def _begin(self, domain: str) -> None:
        settings = self._look.side(domain).ledgers.settings
        self._lives[domain] = Life(settings.model_copy(update={"mongodb_uri": self._databases[domain].uri}))

    def kill(self, domain: str) -> None:
        """With its NATS server, which is started again at once by whoever watches it."""
        if self.is_up(domain):
            self._die(domain)
            self._mesh.kill_nats(domain)

    def _die(self, domain: str) -> None:
        self._lives.pop(domain).kill()
        self.faults += 1

    def _ask(self, domain: str, name: str | None, *arguments: Any) -> Any:
        """What the node answers, or to begin with (no name) that it is up; None if it is down, or died of it."""
        life = self._lives.get(domain)
        if life is None:
            return None
        try:
            return life.answer() if name is None else life.ask(name, *arguments)
        except Gone:
            self._die(domain)
            return None

    def record(self, domain: str, drafts: Sequence[Draft]) -> list[Fact | None]:
        return self._ask(domain, "record", drafts) or [None] * len(drafts)

    def version_of(self, domain: str, aggregate: tuple[str, str, str]) -> int:
        return self._ask(domain, "version_of", aggregate) or 0

    def rotate(self, domain: str) -> None:
        self._ask(domain, "rotate", AGENCY_OF[domain])

    # -- what nodes do by themselves -------------------------------------------------------------------------

    def publish(self, domain: str) -> None:
        """Until its streams hold what its store holds of its own, or for a moment."""
        own = {place for place in self._look.facts(domain) if ledger_name(place[0]).agency == AGENCY_OF[domain]}
        self._wait_a_moment(
            lambda: own <= {place for places in self._look.published(domain).values() for place in places}
        )

    def exchange(self, domain: str, most: int, *, acknowledged: bool) -> None:
        self.attend(domain)

    def attend(self, domain: str) -> None:
        """Until it holds what those hold that it is linked with, or for a moment."""
        others = [one for one in DOMAINS if one != domain and HUB in (one, domain) and not {one, domain} & self._cut]
        self._wait_a_moment(lambda: all(self._look.heads(one) == self._look.heads(domain) for one in others))

    def fold(self, domain: str) -> None:
        self._wait_a_moment(lambda: not (told := self._ask(domain, "digests")) or told[0] == told[1])

    def _wait_a_moment(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + MOMENT_SECONDS
        while not condition() and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)

    # -- faults ----------------------------------------------------------------------------------------------

    def cut(self, member: str) -> None:
        self._links[member].cut()
        self._cut.add(member)
        self.faults += 1

    def heal(self, member: str) -> None:
        self._links[member].heal()
        self._cut.discard(member)

    def crash_soon(self, domain: str, writes: int) -> None:
        self._ask(domain, "crash_after", writes)

    def disturb(self, domain: str, fates: Sequence[str]) -> None:
        """Here a publish or its acknowledgement is lost because the NATS server dies."""
        if set(fates) - {"fine"}:
            self._mesh.kill_nats(domain)
            self.faults += 1

    def lose_answers(self, domain: str, inserts: int) -> None:
        self._databases[domain].cut_answers_to(b"insert", inserts)

    def wipe(self, domain: str, stream: str) -> None:
        async def purge() -> None:
            connection = await connect(self._look.side(domain).ledgers.settings, PROVISIONER, patience_seconds=60)
            try:
                await connection.jetstream().purge_stream(stream)
            finally:
                await connection.close()

        asyncio.run(purge())
        self.faults += 1

    def lie(self, domain: str, liar: str, lie: str, number: int) -> bool:
        return False  # here nodes are honest; attacks on real nodes are in tests/node

    def copy_disk(self, domain: str) -> None:
        """As an operator does it: the node is stopped for it."""
        if not self.is_up(domain):
            return
        self._die(domain)
        client, prefix = (
            self._look.side(domain).ledgers.client,
            self._look.side(domain).ledgers.settings.database_prefix,
        )
        self._copies[domain] = {
            name: {one: list(client[name][one].find({})) for one in client[name].list_collection_names()}
            for name in client.list_database_names()
            if name.startswith(prefix)
        }
        self.start(domain)

    def put_back_disk(self, domain: str) -> bool:
        kept = self._copies.get(domain)
        if kept is None or not self.is_up(domain):
            return False
        self.publish(domain)  # or it would seldom be allowed
        reached = self._ask(domain, "reached") or ()
        if not self.is_up(domain):
            return False
        self._die(domain)
        may = self._is_elsewhere(domain, reached)
        if may:
            node = self._look.side(domain).ledgers
            client = node.client
            for name in client.list_database_names():
                if name.startswith(node.settings.database_prefix):
                    for one in client[name].list_collection_names():
                        client[name][one].delete_many({})
                        if documents := kept.get(name, {}).get(one):
                            client[name][one].insert_many(documents)
        self.start(domain)
        return may

    def _is_elsewhere(self, domain: str, reached: Sequence[str]) -> bool:
        hashes = {head for _, _, head in self._look.messages(domain)}
        for peer in reached:
            hashes |= {fact.hash for fact in self._look.facts(peer).values()}
        own = [fact for fact in self._look.facts(domain).values() if self._hosts(domain, fact)]
        return all(fact.hash in hashes for fact in own)

    def _hosts(self, domain: str, fact: Fact) -> bool:
        return self._look.side(domain).ledgers.keyring.hosts(fact.header.agency)

    # -- in the end ------------------------------------------------------------------------------------------

    def converge(self) -> None:
        for member in MEMBERS:
            self.heal(member)
        for domain in DOMAINS:
            self._databases[domain].cut_answers_to(b"", 0)
            self._ask(domain, "crash_after", None)
        self._start_all()
        for domain in DOMAINS:
            assert self.is_up(domain)
            if self._look.side(domain).ledgers.keyring.next(AGENCY_OF[domain]) is not None:
                self.rotate(domain)
        until = time.monotonic() + PATIENCE_SECONDS
        while (missing := self._missing()) is not None:
            assert time.monotonic() < until, f"not level after {PATIENCE_SECONDS} s: {missing}"
            time.sleep(LOOK_SECONDS)

    def _missing(self) -> str | None:
        """What is not level yet."""
        heads = {domain: self._look.heads(domain) for domain in DOMAINS}
        if any(one != heads[HUB] for one in heads.values()):
            return f"heads: {heads}"
        for domain in DOMAINS:
            facts = self._look.facts(domain)
            for (ledger, _, _), fact in facts.items():
                for named in redactions_in(fact):
                    if facts[ledger, named.epoch, named.sequence].payload is not None:
                        return f"{domain}: {fact.place} is not carried out"
        digests = {domain: self._ask(domain, "digests") for domain in DOMAINS}
        assert all(digests.values()), "a node died although nothing befell it"
        if any(one[0] != one[1] for one in digests.values()) or len({one[2] for one in digests.values()}) > 1:
            return f"folds: {digests}"
        return None

    def held(self, domain: str) -> Held:
        side, facts = self._look.side(domain), self._look.facts(domain)
        folded, rebuilt, shared = self._ask(domain, "digests")
        return Held(
            facts=facts,
            faults={one.ledger: one.fault for one in verify_node(side.store, side.ledgers.identity) if one.fault},
            refused=side.codes(),
            folded=folded,
            rebuilt=rebuilt,
            shared=shared,
            published=self._look.published(domain),
        )


@contextmanager
def real_world(folder: Path, mongodb_uri: str) -> Iterator[RealWorld]:
    load_ahead()
    with ExitStack() as stack:
        links: dict[str, Wire] = {}

        def through(member: str, port: int) -> int:
            links[member] = Wire(port)
            stack.callback(links[member].close)
            return links[member].port

        mesh = stack.enter_context(federation(folder, mongodb_uri, *MEMBERS, through=through))
        databases = {domain: ledgers.Wire(mongodb_uri) for domain in DOMAINS}
        for wire in databases.values():
            stack.callback(wire.close)
        for domain in MEMBERS:
            node = mesh[domain].ledgers
            here = Identity(node.identity.mesh, node.identity.anchor, HubAddress(HUB, NOWHERE, ()), domain)
            (node.settings.home / "mesh.json").write_text(json.dumps(here.as_json()))
        world = RealWorld(mesh, links, databases)
        try:
            yield world
        finally:
            world.close()
