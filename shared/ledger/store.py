"""The node's ledger store: one MongoDB collection of facts, own and foreign, bytes as signed. It is the record.

Three unique indexes carry the guarantees: (ledger, epoch, sequence) - one fact a place; (agency, service,
aggregate, version) - one change a version; the idempotency key - one fact a command. Every insert is journaled
on a majority before anybody is told of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bson import Binary
from pymongo import ASCENDING, DESCENDING, MongoClient, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern

from shared.facts.fact import Fact
from shared.facts.verify import Head

JOURNALED = WriteConcern(w="majority", j=True)

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Command:
    """What a client may repeat: the key it sent, the digest of what it sent, and the id it was answered with."""

    key: str
    digest: str
    answer: str

    def as_document(self) -> Document:
        return {"key": self.key, "digest": self.digest, "answer": self.answer}


class LedgerStore:
    """Reads and inserts facts. Knows places and bytes; what a fact means is the fold's business."""

    def __init__(self, client: MongoClient[Document], database: str) -> None:
        db = client.get_database(database, write_concern=JOURNALED)
        self.client = client
        self.database = db
        self._is_replica_set = bool(client.admin.command("hello").get("setName"))
        concern = ReadConcern("majority") if self._is_replica_set else ReadConcern()
        self.facts: Collection[Document] = db.get_collection("facts", read_concern=concern)
        self._barriers: Collection[Document] = db.get_collection("barriers")
        self._durable: dict[str, tuple[int, int]] = {}
        self.ensure_indexes()

    def ensure_indexes(self) -> None:
        self.facts.create_index(
            [("ledger", ASCENDING), ("epoch", ASCENDING), ("sequence", ASCENDING)], unique=True, name="place"
        )
        self.facts.create_index(
            [("agency", ASCENDING), ("service", ASCENDING), ("aggregate", ASCENDING), ("version", ASCENDING)],
            unique=True,
            name="version",
        )
        self.facts.create_index(
            [("command.key", ASCENDING)],
            unique=True,
            name="command",
            partialFilterExpression={"command.key": {"$exists": True}},
        )

    # -- what is there ---------------------------------------------------------------------------------------

    def head(self, ledger: str) -> Head:
        found = self.facts.find_one(
            {"ledger": ledger},
            {"epoch": 1, "sequence": 1},
            sort=[("epoch", DESCENDING), ("sequence", DESCENDING)],
        )
        return Head() if found is None else Head(found["epoch"], found["sequence"], found["_id"])

    def ledgers(self) -> list[str]:
        return sorted(self.facts.distinct("ledger"))

    def heads(self) -> dict[str, Head]:
        return {ledger: self.head(ledger) for ledger in self.ledgers()}

    def mark_durable(self, ledger: str, position: tuple[int, int]) -> None:
        """Whoever says so saw the journaled insert of this place acknowledged."""
        if self._durable.get(ledger, (0, 0)) < position:
            self._durable[ledger] = position

    def after(self, ledger: str, position: tuple[int, int], limit: int = 512) -> list[Fact]:
        """The durable facts of a ledger that come after `position`, in order, at most `limit`.

        A reader may see a write before it is on disk, and such a write may be rolled back. What is not known to
        be journaled is therefore followed by a journaled write of our own before it is handed out.
        """
        facts = self._after(ledger, position, limit)
        if facts and not self._is_replica_set:
            last = facts[-1].header.position
            if self._durable.get(ledger, (0, 0)) < last:
                self.barrier()
                self.mark_durable(ledger, last)
        return facts

    def _after(self, ledger: str, position: tuple[int, int], limit: int) -> list[Fact]:
        epoch, sequence = position
        facts = self._page({"ledger": ledger, "epoch": epoch, "sequence": {"$gt": sequence}}, limit)
        if len(facts) < limit:
            later = self._page({"ledger": ledger, "epoch": {"$gt": epoch}}, limit - len(facts))
            facts.extend(later)
        return facts

    def _page(self, query: Document, limit: int) -> list[Fact]:
        cursor = self.facts.find(query).sort([("epoch", ASCENDING), ("sequence", ASCENDING)]).limit(limit)
        return [fact_of(document) for document in cursor]

    def walk(self, ledger: str, start: tuple[int, int] = (1, 0), page: int = 512) -> Iterator[Fact]:
        position = start
        while facts := self.after(ledger, position, page):
            yield from facts
            position = facts[-1].header.position

    def newest(self, agency: str, service: str, aggregate: str) -> Fact | None:
        """The newest fact about an aggregate: what a command decides on."""
        found = self.facts.find_one(
            {"agency": agency, "service": service, "aggregate": aggregate}, sort=[("version", DESCENDING)]
        )
        return None if found is None else fact_of(found)

    def versions(self, agency: str, service: str, aggregate: str) -> list[Fact]:
        cursor = self.facts.find({"agency": agency, "service": service, "aggregate": aggregate})
        return [fact_of(document) for document in cursor.sort("version", ASCENDING)]

    def newest_versions(self, aggregates: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str, str], int]:
        """Highest version per (agency, service, aggregate) of those asked for that exist."""
        clauses = [{"agency": a, "service": s, "aggregate": g} for a, s, g in set(aggregates)]
        if not clauses:
            return {}
        versions: dict[tuple[str, str, str], int] = {}
        fields = {"agency": 1, "service": 1, "aggregate": 1, "version": 1, "_id": 0}
        for clause in clauses:  # one indexed look-up each: a union of them is not planned well everywhere
            found = self.facts.find_one(clause, fields, sort=[("version", DESCENDING)])
            if found is not None:
                versions[(found["agency"], found["service"], found["aggregate"])] = found["version"]
        return versions

    def by_command(self, keys: Sequence[str]) -> dict[str, tuple[Command, Fact]]:
        if not keys:
            return {}
        found = {}
        for document in self.facts.find({"command.key": {"$in": list(keys)}}):
            raw = document["command"]
            found[raw["key"]] = (Command(raw["key"], raw["digest"], raw["answer"]), fact_of(document))
        return found

    def by_hash(self, hash_hex: str) -> Fact | None:
        found = self.facts.find_one({"_id": hash_hex})
        return None if found is None else fact_of(found)

    def hashes_present(self, hashes: Sequence[str]) -> set[str]:
        return {found["_id"] for found in self.facts.find({"_id": {"$in": list(hashes)}}, {"_id": 1})}

    def at(self, ledger: str, epoch: int, sequence: int) -> Fact | None:
        found = self.facts.find_one({"ledger": ledger, "epoch": epoch, "sequence": sequence})
        return None if found is None else fact_of(found)

    # -- what is added ---------------------------------------------------------------------------------------

    def insert(self, facts: Sequence[Fact], commands: Sequence[Command | None], *, own: bool) -> None:
        """One ordered, journaled insert. Raises what pymongo raises: the appender knows what each error means."""
        now = datetime.now(UTC)
        documents = [document_of(f, c, own=own, at=now) for f, c in zip(facts, commands, strict=True)]
        self.facts.insert_many(documents, ordered=True)
        for fact in facts:
            self.mark_durable(str(fact.header.ledger), fact.header.position)

    def barrier(self) -> None:
        """A journaled no-op: after it, everything read before is known to be on a majority's disk."""
        self._barriers.update_one({"_id": "barrier"}, {"$inc": {"count": 1}}, upsert=True)

    def forget(self, ledger: str, epoch: int, sequence: int) -> bool:
        """Overwrites payload and salt; `protected` stays, so the chain still proves. True if it was there."""
        answer = self.facts.update_one(
            {"ledger": ledger, "epoch": epoch, "sequence": sequence, "payload": {"$ne": None}},
            {"$set": {"payload": None, "salt": None, "redacted": True}},
        )
        return answer.modified_count == 1

    def is_alive(self) -> bool:
        try:
            self.client.admin.command("ping")
        except OperationFailure:
            return False
        return True


def document_of(fact: Fact, command: Command | None, *, own: bool, at: datetime) -> Document:
    header = fact.header
    document: Document = {
        "_id": fact.hash,
        "ledger": str(header.ledger),
        "epoch": header.epoch,
        "sequence": header.sequence,
        "agency": header.agency,
        "service": header.service,
        "aggregate": header.subject,
        "version": header.version,
        "type": header.type,
        "protected": Binary(fact.protected),
        "payload": None if fact.payload is None else Binary(fact.payload),
        "salt": None if fact.salt is None else Binary(fact.salt),
        "signature": Binary(fact.signature),
        "own": own,
        "stored_at": at,
    }
    if command is not None:
        document["command"] = command.as_document()
    if fact.trace is not None:
        document["trace"] = fact.trace
    return document


def fact_of(document: Document) -> Fact:
    payload, salt = document["payload"], document["salt"]
    return Fact(
        protected=bytes(document["protected"]),
        payload=None if payload is None else bytes(payload),
        salt=None if salt is None else bytes(salt),
        signature=bytes(document["signature"]),
        trace=document.get("trace"),
    )
