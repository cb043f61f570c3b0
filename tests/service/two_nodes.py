"""Two or three whole nodes of one mesh, each with its own agencies, and a carrier that takes facts over by hand.

The mesh's id and anchor are made once; only the first node holds the anchor's key. The roster names every agency with
its node. What the intake does over NATS is done here by the test, when and in which order it says: the foreign fact is
checked, stored as foreign, published to `verified.…`, and the followers are told.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import nats
from pymongo import MongoClient
from pymongo.database import Database

from deploy.node.home import read_note
from services.pages.safety import SESSION
from shared.access.actors import Actors
from shared.bus.subjects import NUDGE, headers_of, subject_of
from shared.facts.fact import Fact, to_wire
from shared.facts.keys import SigningKey
from shared.facts.names import ANCHOR, ledger_name
from shared.facts.verify import check
from shared.ledger.appender import Appender
from shared.ledger.circles import CircleReaders
from shared.ledger.drafts import Author, Draft
from shared.ledger.identity import ROSTER_LEDGER, Identity, Member, Roster, ensure_identity, members_of, roster_state
from shared.ledger.keyring import Keyring
from shared.ledger.store import Document, LedgerStore

from .desk import Desk
from .running import RunningNode, until

LOOK_SECONDS = 0.03
"""How often a link that stands looks for what is to be carried."""
OPERATOR = Author("operator", "admin")
HOSTED = {"a": ("wfp", "who", "undp", "unhcr", "ilo"), "b": ("fao", "unicef", "itu", "unesco", "iom", "ifad")}
"""Which agencies the two nodes of the tests host. `ifad` only looks on: it is in no team."""


class Desks(NamedTuple):
    """What is done at either of two nodes."""

    a: Desk
    b: Desk


class MeshNode(RunningNode):
    """A running node of a mesh of several; what it stores is read and added to beside its own processes."""

    def __init__(self, mesh: Mesh, name: str, home: Path, **environment: str) -> None:
        super().__init__(home, PILOTMESH_NATS_DOMAIN=name, **environment)
        self.mesh = mesh
        self.name = name
        self._taking = threading.Lock()

    def host(self, agency: str) -> str:
        """The agency's keys are made here, the anchor's node puts them into the roster, everybody gets that."""
        if agency not in self._admins:
            self._admins[agency] = self.mesh.enter(agency, self)
        return self._admins[agency]

    def visiting(self, agency: str, *roles: str) -> str:
        """A token, with these roles, of an agency that another node hosts."""
        return Actors(self.database("node")).add(agency, roles)[1]

    def page(self, path: str, token: str) -> httpx.Response:
        """A page for people, as somebody who is signed in on this node sees it."""
        with self.client() as visitor:
            return visitor.get(path, headers={"Cookie": f"{SESSION}={token}"})

    @cached_property
    def _database(self) -> MongoClient[Document]:
        return MongoClient(self.mongodb_uri, tz_aware=True, serverSelectionTimeoutMS=5000)

    def database(self, service: str) -> Database[Document]:
        return self._database[f"pilotmesh_{service}"]

    @cached_property
    def store(self) -> LedgerStore:
        return LedgerStore(self._database, "pilotmesh_ledger")

    @cached_property
    def identity(self) -> Identity:
        return Identity.read(self.home)

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def keyring(self) -> Keyring:
        return Keyring(self.home / "keys")

    @property
    def roster(self) -> Roster:
        return Roster(self.store, self.identity)

    def takes(self, facts: Sequence[Fact]) -> None:
        """What the intake does with facts of one ledger, in their order. Raises Trouble."""
        if not facts:
            return
        ledger = str(facts[0].header.ledger)
        with self._taking:
            head, book = self.store.head(ledger), self.roster.book()
            new = [fact for fact in facts if fact.header.position > head.position]
            for fact in new:
                head = check(fact, mesh=self.identity.mesh, head=head, book=book)
            if new:
                self.store.insert(new, [None] * len(new), own=False)
                asyncio.run(self._tell(new))

    async def _tell(self, facts: Sequence[Fact]) -> None:
        passwords = json.loads((self.home / "nats" / "users.json").read_text())
        address, password = read_note(self.home)["nats_url"], passwords["provisioner"]
        connection = await nats.connect(address, user="provisioner", password=password, inbox_prefix="_INBOX.carrier")
        try:
            for fact in facts:
                subject = subject_of(fact, foreign=True)
                await connection.jetstream().publish(subject, to_wire(fact), headers=headers_of(fact))
            ledgers = sorted({str(fact.header.ledger) for fact in facts})
            await connection.publish(f"{NUDGE}.intake.by-hand", json.dumps(ledgers).encode())
            await connection.flush()
        finally:
            await connection.close()

    def stop(self) -> None:
        super().stop()
        if "_database" in self.__dict__:
            self._database.close()


class Mesh:
    """The nodes by name. The first holds the anchor's key."""

    def __init__(self, folder: Path, *names: str, **environment: str) -> None:
        self.nodes: dict[str, MeshNode] = {}
        for name in names:
            home = folder / name
            (home / "keys").mkdir(parents=True, mode=0o700)
            self.nodes[name] = MeshNode(self, name, home, **environment)
        first = self.nodes[names[0]]
        ensure_identity(first.home)
        for name in names[1:]:
            shutil.copy(first.home / "mesh.json", self.nodes[name].home / "mesh.json")
        self._anchor = first
        self._hosted_by: dict[str, MeshNode] = {}
        self._entering = threading.Lock()

    def __getitem__(self, name: str) -> MeshNode:
        return self.nodes[name]

    def start(self, *names: str) -> Mesh:
        starting = [threading.Thread(target=self.nodes[name].start) for name in names]
        for thread in starting:
            thread.start()
        for thread in starting:
            thread.join()
        return self

    def stop(self) -> None:
        for node in self.nodes.values():
            if node.is_running:
                node.stop()

    def enter(self, agency: str, node: MeshNode) -> str:
        """The agency enters the roster, hosted by this node; the token of its admin."""
        with self._entering:
            assert agency not in self._hosted_by, f"{agency} is hosted already, by {self._hosted_by[agency].name}"
            self._hosted_by[agency] = node
            key = node.keyring.make(agency)
            member = Member(agency, key.public, SigningKey.make().public, node.url)
            self._issue(member)
            for other in self.nodes.values():
                if other is not self._anchor and other.is_running:
                    carry(self._anchor, other, ROSTER_LEDGER)
        return Actors(node.database("node")).add(agency, ["admin"])[1]

    def _issue(self, member: Member) -> None:
        anchor = self._anchor
        newest = anchor.store.newest(ANCHOR, "mesh", "roster/mesh")
        before: dict[str, Any] = {} if newest is None else dict(newest.state or {})
        appender = Appender(anchor.store, anchor.keyring, anchor.identity.mesh)
        appender.start()
        try:
            appender.record(
                Draft(
                    agency=ANCHOR,
                    service="mesh",
                    kind="roster",
                    verb="issued",
                    id="mesh",
                    version=1 if newest is None else newest.header.version + 1,
                    state=roster_state([*members_of(before), member], before),
                    author=OPERATOR,
                )
            )
        finally:
            appender.stop()


def untaken(source: MeshNode, target: MeshNode) -> list[str]:
    """Ledgers of which the source has facts that the target lacks and may have; the roster first."""
    there = target.store.tails()
    ahead = [ledger for ledger, tail in source.store.tails().items() if there.get(ledger, (0, 0)) < tail]
    return sorted((one for one in ahead if may_have(source, target, one)), key=lambda one: (one != ROSTER_LEDGER, one))


def may_have(source: MeshNode, target: MeshNode, ledger: str) -> bool:
    """What the mesh shares goes everywhere, a circle's facts to nodes of agencies in it, private ones nowhere."""
    name = ledger_name(ledger)
    if name.is_private or target.keyring.hosts(name.agency):
        return False
    if name.circle is None:
        return True
    return any(target.keyring.hosts(agency) for agency in CircleReaders(source.store).of(ledger))


def carry(source: MeshNode, target: MeshNode, *ledgers: str, most: int = 512) -> int:
    """Takes at most `most` facts of each of these ledgers over (all there are, if none is named); how many."""
    carried = 0
    for ledger in ledgers or untaken(source, target):
        facts = source.store.after(ledger, target.store.head(ledger).position, most)
        target.takes(facts)
        carried += len(facts)
    return carried


def carry_shuffled(source: MeshNode, target: MeshNode, order: random.Random) -> int:
    """Takes everything over, a few facts at a time of a ledger drawn anew each time; within a ledger order stays."""
    carried = 0
    carry(source, target, ROSTER_LEDGER)
    while ledgers := untaken(source, target):
        carried += carry(source, target, order.choice(ledgers), most=order.randint(1, 3))
    return carried


class Link:
    """Carries both ways at once while it stands. `cut` returns when nothing is on its way any more."""

    def __init__(self, one: MeshNode, other: MeshNode) -> None:
        self.ends = (one, other)
        self.trouble: Exception | None = None
        self._stands = threading.Event()
        self._idle = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)
        self._thread.start()
        self.heal()

    def heal(self) -> None:
        self._stands.set()

    def cut(self) -> None:
        self._stands.clear()
        with self._idle:
            pass

    def close(self) -> None:
        self._over.set()
        self._stands.set()
        self._thread.join()
        assert self.trouble is None, f"the link failed: {self.trouble!r}"

    @contextmanager
    def down(self) -> Iterator[None]:
        """Cut, and healed in the end."""
        self.cut()
        try:
            yield
        finally:
            self.heal()

    def level(self) -> None:
        """Returns when either end has what the other has."""
        one, other = self.ends
        until(lambda: self.trouble or not (untaken(one, other) or untaken(other, one)), "both ends are level")
        assert self.trouble is None, f"the link failed: {self.trouble!r}"

    def _run(self) -> None:
        one, other = self.ends
        while self._stands.wait() and not self._over.is_set():
            with self._idle:
                if not self._stands.is_set():
                    continue
                try:
                    carried = carry(one, other) + carry(other, one)
                except Exception as error:  # shown to the test, which fails by it
                    self.trouble = error
                    return
            if not carried:
                self._over.wait(LOOK_SECONDS)
