"""One node in memory: the ledger's and the mesh service's own code over a database and streams that are stand-ins.

Nothing runs by itself: whoever holds the node says when it records, publishes, pulls, attends and folds. Its processes
may die at any write; its disk, its streams and its keys stay.
"""

from __future__ import annotations

import pickle
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from services.mesh.accepting import Accepting
from services.mesh.allowance import Allowance
from services.mesh.answering import Answering
from services.mesh.attending import Attending, Attention
from services.mesh.heads import HeadsKeeper
from services.mesh.intake import Intake
from services.mesh.relay import FULL_LOOK_SECONDS, Relay
from shared.bus.asking import Asking, Unanswered
from shared.bus.links import asked_by, consumer_of
from shared.bus.peers import Peer, peers_now
from shared.bus.recalling import Recalling
from shared.bus.recovery import Recovery
from shared.facts.fact import Fact
from shared.ledger.appender import Appender
from shared.ledger.drafts import Author, Draft
from shared.ledger.identity import Identity, Roster
from shared.ledger.keyring import Keyring
from shared.ledger.lease import Lease
from shared.ledger.quarantine import Quarantine
from shared.ledger.rekeying import Rekeying
from shared.ledger.rows import Key, Row, fold_all, redactions_in
from shared.ledger.store import LedgerStore
from shared.ledger.witness import Witness, foreign_heads
from tests.federation.bus import Connection, Message, Streams
from tests.federation.memory import Crash, Disk, MemoryClient

KINDS = frozenset({"pilot"})
SERVICES = ("mesh", "registry")
ADMIN = Author("0198c0de-0000-7000-8000-0000000000ad", "admin")
LONG_SECONDS = 1e6
"""A lease that nobody else wants; who holds it is tried elsewhere."""
FOLDED_AT_ONCE = 4
VERIFIED_FILTER = "verified.*.*.*.*"


async def no_other(domain: str) -> Any:
    """What peers deliver is handed over by whoever drives the node, without a connection of its own."""
    raise NotImplementedError(domain)


class HandDriven(Appender):
    """An appender without its thread."""

    def commit(self) -> None:
        """What was submitted, in one batch. Whoever waits is answered by the time that this returns, or dies."""
        self._commit_all([one for one in self._taken() if one is not None])


class ModelNode:
    """`up` says whether its processes run. `ask` carries its questions over its links."""

    def __init__(
        self, home: Path, identity: Identity, domain: str, ask: Callable[[str, bytes], Awaitable[bytes | None]]
    ) -> None:
        self.domain = domain
        self.identity = identity
        self.disk = Disk()
        self.streams = Streams()
        self.keyring = Keyring(home / "keys")
        self.witness = Witness(home)
        self.up = False
        self.lives = 0
        self._connection = cast(Any, Connection(self.streams, ask))
        self._client = cast(Any, MemoryClient(self.disk))

    # -- its life --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """As a node starts: what is missing is taken back before the first command, what was cut off is finished."""
        self.lives += 1
        client, keyring, identity, connection = self._client, self.keyring, self.identity, self._connection
        self.store = store = LedgerStore(client, "ledger")
        self.roster = roster = Roster(store, identity)
        self.quarantine = quarantine = Quarantine(client["node"]["quarantine"])
        asking = Asking(connection, self.domain)
        peers = peers_now(identity, roster, keyring, self.domain)
        recalling = Recalling(asking, [peer.domain for peer in peers])
        recovery = Recovery(connection, store, identity, roster, keyring, quarantine, self.witness, recalling)
        frozen: dict[str, str] = {}
        for service in SERVICES:
            frozen |= (await recovery.run(service)).frozen
        self.appender = HandDriven(store, keyring, identity.mesh)
        self.appender.frozen.update(frozen)
        mesh = client["mesh"]
        accepting = Accepting(store, identity, roster, keyring, quarantine, mesh)
        accepting.begin()
        heads = foreign_heads(store)
        self.intake = Intake(accepting, keyring, self._lease("intake"), connection, no_other, self.domain, heads)
        self.relays = [
            Relay(store, keyring, self._lease("relay"), connection),
            Relay(store, keyring, self._lease("forwarder"), connection, foreign=True),
        ]
        self.answering = Answering(store, keyring, identity, roster, accepting.forks, heads)
        self.answering._allowance = Allowance(1e9, 1e9)  # no clock runs here
        self.heads_keeper = HeadsKeeper(store, keyring, identity.mesh, self.witness)
        self._asking, self._heads = asking, heads
        self._attending: dict[str, Attending] = {}
        store.barrier()
        self.up = True

    def _lease(self, name: str) -> Lease:
        held = Lease(self._client["mesh"]["leases"], f"{name} of life {self.lives}", self.domain, LONG_SECONDS)
        assert held.try_hold()
        return held

    def peers(self) -> list[Peer]:
        return peers_now(self.identity, self.roster, self.keyring, self.domain)

    # -- what it does when told ------------------------------------------------------------------------------

    def record(self, drafts: Sequence[Draft]) -> list[Fact | None]:
        """For each draft the fact that its author was answered with; None for whom no answer reached, because the
        node died of it."""
        answers = [self.appender.submit(draft) for draft in drafts]
        try:
            self.appender.commit()
        except Crash:
            self.up = False
        return [one.result(0).fact if one.done() else None for one in answers]

    def rotate(self, agency: str) -> None:
        Rekeying(self.store, self.identity, self.keyring, ADMIN, lambda: datetime.now(UTC)).rotate(agency)

    async def publish(self, *, late: bool = False) -> None:
        """Both relays, as far as they come; `late`, when it is time to look at every ledger."""
        for relay in self.relays:
            if late:
                relay._scanned_at = -FULL_LOOK_SECONDS
            await relay._step()

    async def pull(self, peer: Peer, stream: str, source: Streams, most: int, *, acknowledged: bool) -> int:
        """Takes in what the peer's stream delivers next; how many messages that were."""
        pattern = VERIFIED_FILTER if stream == "VERIFIED" else ">"
        consumer = consumer_of(self.domain, peer.domain)
        messages = source.streams[stream].due(consumer, pattern, most)
        if messages:
            await self.intake.take_messages(peer, stream, cast(Any, [_as_delivered(one) for one in messages]))
            if acknowledged:
                source.streams[stream].acknowledged[consumer] |= {one.number for one in messages}
        return len(messages)

    async def attend(self, peer: Peer) -> None:
        """One round with a peer: heads, forks, and what is missing."""
        attending = self._attending.get(peer.domain)
        if attending is None:
            attending = self._attending[peer.domain] = Attending(
                Attention(peer),
                self._asking,
                self.intake.accepting,
                self._heads,
                self.intake.take_facts,
                self.intake.learn_of_forks,
            )
            self.intake._attending[peer.domain] = attending
        self.intake.accepting.roster_moved()  # rounds are so far apart that the roster is read again between them
        try:
            await attending._round()
            wanted, attending._wanted = attending._wanted, set()
            for ledger in sorted(wanted):
                await attending.fetch(ledger)
        except Unanswered:
            return

    def answer(self, subject: str, question: bytes) -> bytes:
        return self.answering.answer(asked_by(subject), question)

    # -- folding ---------------------------------------------------------------------------------------------

    def fold(self) -> bool:
        """Folds a few facts of every ledger, rows before cursors, and forgets what they redact. True if there were
        any."""
        store, rows, cursors = self.store, self._client["fold"]["rows"], self._client["fold"]["cursors"]
        store.tails()
        self.heads_keeper.step()
        moved = False
        for ledger in store.ledgers():
            known = cursors.find_one({"_id": ledger}) or {"epoch": 1, "sequence": 0}
            facts = store.after(ledger, (known["epoch"], known["sequence"]), FOLDED_AT_ONCE)
            if not facts:
                continue
            moved = True
            held: dict[Key, Row] = {}
            for one in rows.find({}):
                row: Row = pickle.loads(one["row"])
                held[row.key] = row
            for key, row in fold_all(held, facts, KINDS).items():
                rows.replace_one({"_id": repr(key)}, {"row": pickle.dumps(row)}, upsert=True)
            for fact in facts:
                for place in redactions_in(fact):
                    store.forget(ledger, place.epoch, place.sequence)
            epoch, sequence = facts[-1].header.position
            cursors.update_one({"_id": ledger}, {"$set": {"epoch": epoch, "sequence": sequence}}, upsert=True)
        return moved

    def folded(self) -> dict[Key, Row]:
        found = (pickle.loads(one["row"]) for one in self._client["fold"]["rows"].find({}))
        return {row.key: row for row in found}

    def rebuilt(self) -> dict[Key, Row]:
        """The rows as folding everything anew makes them."""
        rows: dict[Key, Row] = {}
        for ledger in self.store.ledgers():
            rows |= fold_all(rows, self.store.after(ledger, (1, 0), 100_000), KINDS)
        return rows


def _as_delivered(message: Message) -> Any:
    return SimpleNamespace(subject=message.subject, data=message.data, headers=message.headers)
