"""A hub and nodes that agencies move between, with real stores, keys on disk and the hub's own rules; no NATS, no HTTP.

A crash is an exception out of the n-th thing that is done to the disk, to the database or to the hub.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deploy.cli.store import Ledgers
from deploy.node.exporting import packed
from deploy.node.importing import Arrived, import_agency, take_back
from deploy.node.taking_over import TakenOver, take_over
from services.mesh.accepting import Accepting, Taken
from services.mesh.heads import signed_heads
from services.mesh.keys import KeyCare
from services.mesh.members import RosterWriter
from services.mesh.moving import Moving
from shared.bus import nkey
from shared.bus.homing import Homes, stand_aside
from shared.facts.fact import Fact
from shared.facts.ids import new_id
from shared.facts.keys import SigningKey
from shared.facts.names import ANCHOR
from shared.ledger import carrying
from shared.ledger.carrying import Contents
from shared.ledger.departing import Departing
from shared.ledger.drafts import Author
from shared.ledger.identity import ROSTER_LEDGER, HubAddress, Identity, Member, members_of, roster_state
from shared.ledger.quarantine import Quarantine
from shared.ledger.store import LedgerStore
from shared.ledger.witness import foreign_heads
from shared.problems import Conflict, Misdirected
from shared.settings import Settings
from tests.node.ledgers import LedgerNode, pilot

WORDS = "correct horse battery staple"
OPERATOR = Author("operator", "admin")


class Crash(BaseException):
    """Nothing after this is done, and nobody tidies up."""


class MovingNode:
    """One node, as the commands and the services see it."""

    def __init__(self, mesh: MovingMesh, domain: str, ledgers: LedgerNode) -> None:
        self.mesh, self.domain, self.ledgers = mesh, domain, ledgers
        self.homes = Homes(ledgers.store, ledgers.identity, ledgers.roster, ledgers.keyring, mesh.post)

    @property
    def ground(self) -> Ledgers:
        node = self.ledgers
        return Ledgers(node.settings, node.store, node.identity, node.keyring)

    def exports(self, agency: str) -> bytes:
        """The file's bytes."""
        return packed(self.ground, self.departing, agency, WORDS)[1]

    @property
    def departing(self) -> Departing:
        now, ground = datetime.now(UTC), self.ground
        return Departing(ground.store, ground.identity, ground.keyring, OPERATOR, lambda: now, lambda _: None)

    def imports(self, file: bytes) -> Arrived:
        return self.imports_contents(carrying.opened(file, WORDS))

    def imports_contents(self, contents: Contents) -> Arrived:
        return import_agency(self.ground.settings, contents, self.mesh.post, lambda: nullcontext(self.ground))

    def takes_back(self, agency: str) -> None:
        take_back(self.ground, agency, self.mesh.post)

    def takes_over(self, agency: str, recovery: SigningKey, *, backup: MovingNode | None = None) -> TakenOver:
        """The roster reaches the node while the command waits for it."""
        self.mesh.answered = self.hears_the_roster
        old = None if backup is None else backup.ground
        try:
            return take_over(
                self.ground, agency, recovery, self.mesh.post, lambda: datetime.now(UTC), backup=old, patience_seconds=1
            )
        finally:
            self.mesh.answered = lambda: None

    def takes_in(self, facts: Sequence[Fact]) -> Taken:
        """As the intake takes what its hub hands out."""
        node = self.ledgers
        database = node.client[node.settings.database("mesh")]
        accepting = Accepting(node.store, node.identity, node.roster, node.keyring, self.quarantine, database)
        accepting.begin()
        return accepting.take("peer hub", facts)

    @property
    def quarantine(self) -> Quarantine:
        return Quarantine(self.ledgers.client[self.ledgers.settings.database("node")]["quarantine"])

    def hears_heads(self, other: MovingNode, agency: str) -> None:
        """Signed heads of what another node holds, private ledgers' too."""
        heads = signed_heads(other.ledgers.store, other.ledgers.keyring, other.ledgers.identity.mesh)
        mine = [head for head in heads if head["ledger"].startswith(f"{agency}.")]
        foreign_heads(self.ledgers.store).keep(mine, other.domain)

    def is_put_back(self, agency: str, count: int, keys: Path) -> None:
        """Only the first `count` facts of the agency are left, and the keys of that day."""
        node = self.ledgers
        node.store.facts.delete_many({"agency": agency, "sequence": {"$gt": count}})
        node.store.forget_memory()
        shutil.rmtree(node.settings.home / "keys")
        shutil.copytree(keys, node.settings.home / "keys")

    def writes(self, agency: str, audience: str = "mesh") -> Fact | None:
        """A fact of the agency that this node acknowledged; None if it refused."""
        appender = self.ledgers.appender()
        try:
            return appender.record(pilot(agency=agency, audience=audience)).fact
        except (Misdirected, Conflict):
            return None
        finally:
            appender.stop()

    def hears_the_roster(self) -> None:
        """As the intake brings it, and what the node does then."""
        hub, store = self.mesh.hub.ledgers.store, self.ledgers.store
        held = store.head(ROSTER_LEDGER)
        new = hub.after(ROSTER_LEDGER, held.position)
        if new and store is not hub:
            store.insert(new, [None] * len(new), own=False)
        stand_aside(self.ledgers.keyring, self.ledgers.roster.newest(), self.domain)

    def chain(self, agency: str) -> list[str]:
        return [fact.hash for fact in self.ledgers.store.after(f"{agency}.registry", (1, 0), 10_000)]


class MovingMesh:
    """The nodes by domain; `hub` is one of them."""

    def __init__(self, folder: Path, mongodb_uri: str, settings: Settings, *domains: str) -> None:
        self.before_post: Callable[[], None] = lambda: None
        self.after_post: Callable[[], None] = lambda: None
        self.answered: Callable[[], None] = lambda: None
        anchor, mesh = SigningKey.make(), new_id()
        self.nodes: dict[str, MovingNode] = {}
        for domain in ("hub", *domains):
            home = folder / domain
            (home / "keys").mkdir(parents=True)
            (home / "nats").mkdir()
            if domain == "hub":
                (home / "keys" / f"{ANCHOR}.key").write_text(anchor.secret().hex())
                (home / "nats" / "hub.json").write_text(json.dumps({"leaf": ["tls://hub:1"], "authority": None}))
            else:
                remote = {"domain": "hub", "urls": ["tls://hub:1"], "seed": nkey.make()[0], "authority": None}
                (home / "nats" / "link.json").write_text(json.dumps({"remote": remote}))
            hub = None if domain == "hub" else HubAddress("hub", "http://hub", ("tls://hub:1",))
            Identity(mesh, anchor.public, hub, domain).write(home)
            own = {"home": home, "nats_domain": domain, "mongodb_uri": mongodb_uri, "public_url": f"http://{domain}"}
            prefix = f"test_{secrets.token_hex(5)}"
            given = settings.model_copy(update={**own, "database_prefix": prefix})
            self.nodes[domain] = MovingNode(self, domain, LedgerNode(given, mongodb_uri))
        node = self.hub.ledgers
        self.writer = RosterWriter(node.ledger("mesh"), node.keyring, node.identity)
        care = KeyCare(node.store, node.identity, node.roster, node.keyring, self.writer, lambda: True, lambda: True)
        self.moving = Moving(self.writer, node.roster, node.identity, node.settings, care.last_word)

    @property
    def hub(self) -> MovingNode:
        return self.nodes["hub"]

    def post(self, address: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """What the hub answers over HTTP."""
        self.before_post()
        path = address.partition("/mesh/v1/")[2].split("/")
        told = self.moving.homes(document) if path == ["homes"] else self.moving.move(path[1], document)
        self.after_post()
        self.answered()
        return json.loads(json.dumps(told))  # type: ignore[no-any-return]

    def joins(self, agency: str, domain: str) -> SigningKey:
        """The agency becomes a member, hosted there. Its recovery key."""
        node, recovery = self.nodes[domain].ledgers, SigningKey.make()
        key = node.keyring.make(agency)
        seed = None if domain == "hub" else json.loads((node.settings.home / "nats" / "link.json").read_text())
        leaf = None if seed is None else nkey.public_of(seed["remote"]["seed"])
        entry = Member(agency, key.public, recovery.public, f"http://{domain}", domain=domain, leaf=leaf)
        self.writer.change(OPERATOR, lambda state: roster_state([*members_of(state), entry], state))
        self.tell()
        return recovery

    def tell(self) -> None:
        for node in self.nodes.values():
            node.hears_the_roster()

    def shares(self, agency: str, domain: str) -> None:
        """What the agency has written for the mesh reaches every other node."""
        facts = self.nodes[domain].ledgers.store.after(f"{agency}.registry", (1, 0), 10_000)
        for node in self.nodes.values():
            if node.domain != domain:
                node.takes_in(facts)

    def home_of(self, agency: str) -> str | None:
        return next(one.domain for one in self.hub.ledgers.roster.members() if one.agency == agency)

    def writers(self, agency: str) -> dict[str, Fact]:
        """By domain what each node acknowledges when it is asked to write for the agency just now."""
        tried = {domain: node.writes(agency) for domain, node in self.nodes.items()}
        return {domain: fact for domain, fact in tried.items() if fact is not None}

    def close(self) -> None:
        for node in self.nodes.values():
            client, prefix = node.ledgers.client, node.ledgers.settings.database_prefix
            for name in client.list_database_names():
                if name.startswith(prefix):
                    client.drop_database(name)
            node.ledgers.close()


class Crashing:
    """Lets the n-th step be the last. `steps` is how many there were."""

    def __init__(self, at: int | None) -> None:
        self.at = at
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        if self.at is not None and self.steps >= self.at:
            raise Crash


@contextmanager
def crashing(mesh: MovingMesh, at: int | None) -> Iterator[Crashing]:
    """Whatever this thread does meanwhile to files, to the store and to the hub is a step; the one numbered `at` (from
    1) and all that would come after it are not done."""
    count, here = Crashing(at), threading.get_ident()

    def stepping(done: Callable[..., Any]) -> Callable[..., Any]:
        def do(*args: Any, **named: Any) -> Any:
            if threading.get_ident() == here:
                count.step()
            return done(*args, **named)

        return do

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", stepping(Path.replace))
        patch.setattr(Path, "unlink", stepping(Path.unlink))
        patch.setattr(os, "link", stepping(os.link))
        patch.setattr(LedgerStore, "insert", stepping(LedgerStore.insert))
        patch.setattr(mesh, "before_post", count.step)
        patch.setattr(mesh, "after_post", count.step)
        yield count
