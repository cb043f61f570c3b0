"""The world in memory: every step is taken by hand, so that chance decides what comes between any two."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from nats.errors import Error as NatsError
from pymongo.errors import PyMongoError

from services.mesh import attending, intake, relay
from shared.bus import recalling, recovery
from shared.bus.subjects import place_in
from shared.facts.fact import Fact
from shared.facts.keys import SigningKey
from shared.facts.names import ANCHOR, MESH_AUDIENCE, ledger_name
from shared.ledger.drafts import Author, Draft
from shared.ledger.identity import HubAddress, Identity, Member, roster_state
from shared.ledger.rows import digest_of_rows
from shared.ledger.verification import verify_node
from tests.federation.dishonest import as_delivered, lie_to
from tests.federation.memory import Crash, Snapshot
from tests.federation.model_node import ModelNode
from tests.federation.rows import shared_rows
from tests.federation.world import AGENCY_OF, DOMAINS, HUB, MEMBERS, Held

MESH = "0198c0de-0000-7000-8000-00000000f00d"
ROUNDS = 24
"""Within so many rounds of publishing, pulling, asking and folding all nodes are level."""
MANY = 10_000
IN_THREADS = (attending, intake, relay, recalling, recovery)
MEMORY = Path("/dev/shm")


async def at_once(act: Callable[..., Any], *args: Any, **more: Any) -> Any:
    """In the place of a thread: nothing here waits for a disk, and what happens next is decided by the machine."""
    return act(*args, **more)


class ModelWorld:
    def __init__(self) -> None:
        self._patch = pytest.MonkeyPatch()
        for module in IN_THREADS:
            self._patch.setattr(module, "run_in_threadpool", at_once)
        self._folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self._loop = asyncio.new_event_loop()
        self._cut: set[str] = set()
        self._copies: dict[str, dict[str, Snapshot]] = {}
        anchor = SigningKey.make()
        self.nodes: dict[str, ModelNode] = {}
        members = []
        for domain in DOMAINS:
            home = self._folder / domain
            hub = None if domain == HUB else HubAddress(HUB, "http://hub", ())
            node = ModelNode(home, Identity(MESH, anchor.public, hub, domain), domain, self._asked_by(domain))
            key = node.keyring.make(AGENCY_OF[domain])
            members.append(Member(AGENCY_OF[domain], key.public, SigningKey.make().public, domain=domain))
            self.nodes[domain] = node
        (self._folder / HUB / "keys" / f"{ANCHOR}.key").write_text(anchor.secret().hex())
        self.start(HUB)
        roster = Draft(
            ANCHOR, "mesh", "roster", "issued", "mesh", 1, roster_state(members), Author("operator", "admin")
        )
        assert self.record(HUB, [roster])[0] is not None
        for member in MEMBERS:
            self.start(member)
        self.converge()

    def close(self) -> None:
        self._loop.close()
        self._patch.undo()
        shutil.rmtree(self._folder)

    # -- links -----------------------------------------------------------------------------------------------

    def _asked_by(self, asking: str) -> Callable[[str, bytes], Awaitable[bytes | None]]:
        async def ask(subject: str, question: bytes) -> bytes | None:
            asked = subject.split(".")[1]
            if not self._linked(asking, asked) or not self.nodes[asked].up:
                return None
            try:
                return self.nodes[asked].answer(subject, question)
            except Crash:  # of whoever was asked
                self.nodes[asked].up = False
                return None

        return ask

    def _linked(self, one: str, other: str) -> bool:
        """A cut or a node that is down: its NATS server goes and comes with it."""
        return not self._cut.intersection((one, other)) and HUB in (one, other)

    def cut(self, member: str) -> None:
        self._cut.add(member)

    def heal(self, member: str) -> None:
        self._cut.discard(member)

    # -- nodes -----------------------------------------------------------------------------------------------

    def is_up(self, domain: str) -> bool:
        return self.nodes[domain].up

    def start(self, domain: str) -> None:
        node = self.nodes[domain]
        if not node.up:
            with self._living(node):
                self._run(node.start())

    def kill(self, domain: str) -> None:
        self.nodes[domain].up = False

    @contextmanager
    def _living(self, node: ModelNode) -> Iterator[None]:
        """A crash ends the node's processes; what the network or the database refused is tried again some day."""
        try:
            yield
        except Crash:
            node.up = False
        except (NatsError, PyMongoError):
            return

    def _run(self, act: Awaitable[Any]) -> Any:
        return self._loop.run_until_complete(_awaited(act))

    def record(self, domain: str, drafts: Sequence[Draft]) -> list[Fact | None]:
        node = self.nodes[domain]
        return node.record(drafts) if node.up else [None] * len(drafts)

    def version_of(self, domain: str, aggregate: tuple[str, str, str]) -> int:
        node = self.nodes[domain]
        return node.store.newest_versions([aggregate]).get(aggregate, 0) if node.up else 0

    def rotate(self, domain: str) -> None:
        node = self.nodes[domain]
        if node.up:
            with self._living(node):
                node.rotate(AGENCY_OF[domain])

    def publish(self, domain: str) -> None:
        node = self.nodes[domain]
        if node.up:
            with self._living(node):
                self._run(node.publish())

    def exchange(self, domain: str, most: int, *, acknowledged: bool = True) -> None:
        node = self.nodes[domain]
        if not node.up:
            return
        with self._living(node):
            for peer in node.peers():
                source = self.nodes[peer.domain]
                for stream in peer.outlets:
                    if self._linked(domain, peer.domain) and source.up:
                        self._run(node.pull(peer, stream, source.streams, most, acknowledged=acknowledged))

    def attend(self, domain: str) -> None:
        node = self.nodes[domain]
        if node.up:
            with self._living(node):
                for peer in node.peers():
                    self._run(node.attend(peer))

    def fold(self, domain: str) -> None:
        node = self.nodes[domain]
        if node.up:
            with self._living(node):
                node.fold()

    # -- faults ----------------------------------------------------------------------------------------------

    def crash_soon(self, domain: str, writes: int) -> None:
        self.nodes[domain].disk.crash_after(writes)

    def disturb(self, domain: str, fates: Sequence[str]) -> None:
        self.nodes[domain].streams.fails = list(fates)

    def lose_answers(self, domain: str, inserts: int) -> None:
        self.nodes[domain].disk.lose_answers(inserts)

    def wipe(self, domain: str, stream: str) -> None:
        self.nodes[domain].streams.wipe(stream)

    def lie(self, domain: str, liar: str, lie: str, number: int) -> bool:
        node, other = self.nodes[domain], self.nodes[liar]
        peer = next((one for one in node.peers() if one.domain == liar), None) if node.up and other.up else None
        if peer is None or not self._linked(domain, liar):
            return False
        fact = lie_to(node, other, lie, number)
        if fact is None:
            return False
        before = _facts(node)
        with self._living(node):
            outlet, message = as_delivered(fact, liar)
            self._run(node.intake.take_messages(peer, outlet, [message]))
        assert _facts(node) == before, f"{domain} believed a fact {lie}"
        return True

    def copy_disk(self, domain: str) -> None:
        self._copies[domain] = self.nodes[domain].disk.copy()

    def put_back_disk(self, domain: str) -> bool:
        node, kept = self.nodes[domain], self._copies.get(domain)
        if kept is None or not node.up or not self._is_elsewhere(node):
            return False
        node.up = False
        node.disk.crash_after(None)
        node.disk.put_back(kept)
        self.start(domain)
        return True

    def _is_elsewhere(self, node: ModelNode) -> bool:
        """Whether every fact of this node's own stands where it is asked for at the next start: in its streams, which
        are not put back with the database, or, if it is for all, at a peer that answers."""
        hashes = {place_in(one.subject, one.headers)[1].hash for one in _messages(node)}
        for peer in node.peers():
            other = self.nodes[peer.domain]
            if other.up and self._linked(node.domain, peer.domain):
                hashes |= {fact.hash for fact in _facts(other).values()}
        own = [fact for fact in _facts(node).values() if node.keyring.hosts(fact.header.agency)]
        return all(fact.hash in hashes for fact in own)

    # -- in the end ------------------------------------------------------------------------------------------

    def converge(self) -> None:
        self._cut.clear()
        for node in self.nodes.values():
            node.disk.crash_after(None)
            node.disk.lose_answers(0)
            node.streams.fails = []
        for domain, node in self.nodes.items():
            self.start(domain)
            assert node.up
            if node.keyring.next(AGENCY_OF[domain]) is not None:
                node.rotate(AGENCY_OF[domain])
        for number in range(ROUNDS):
            for node in self.nodes.values():
                self._run(node.publish(late=number % 8 == 7))
            for domain in self.nodes:
                self.exchange(domain, MANY)
            for node in self.nodes.values():
                for peer in node.peers():
                    self._run(node.attend(peer))
            folded = [node.fold() for node in self.nodes.values()]
            if not any(folded) and self._is_level():
                return
        told = {
            domain: {ledger: head.position for ledger, head in _heads(node).items()}
            for domain, node in self.nodes.items()
        }
        raise AssertionError(f"not level after {ROUNDS} rounds: {told}")

    def _is_level(self) -> bool:
        first, *others = (_heads(node) for node in self.nodes.values())
        return all(other == first for other in others)

    def held(self, domain: str) -> Held:
        node = self.nodes[domain]
        published: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for name, stream in node.streams.streams.items():
            for message in stream.messages:
                ledger, head = place_in(message.subject, message.headers)
                published.setdefault((name, ledger), []).append(head.position)
        folded = node.folded()
        return Held(
            facts=_facts(node),
            faults={one.ledger: one.fault for one in verify_node(node.store, node.identity) if one.fault},
            refused={entry["code"] for entry in node.quarantine.entries(1000)},
            folded=digest_of_rows(folded.values()),
            rebuilt=digest_of_rows(node.rebuilt().values()),
            shared=digest_of_rows(shared_rows(folded)),
            published=published,
        )


async def _awaited(act: Awaitable[Any]) -> Any:
    return await act


def _messages(node: ModelNode) -> list[Any]:
    return [one for stream in node.streams.streams.values() for one in stream.messages]


def _facts(node: ModelNode) -> dict[tuple[str, int, int], Fact]:
    found = [fact for ledger in node.store.ledgers() for fact in node.store._after(ledger, (1, 0), MANY)]
    return {(str(fact.header.ledger), epoch, sequence): fact for epoch, sequence, fact in found}


def _heads(node: ModelNode) -> dict[str, Any]:
    heads = node.store.heads().items()
    return {ledger: head for ledger, head in heads if ledger_name(ledger).audience == MESH_AUDIENCE and head.sequence}
