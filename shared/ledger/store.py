"""The node's ledger store: one MongoDB collection of facts, own and foreign, bytes as signed. It is the record.

Three unique indexes carry the guarantees: (ledger, epoch, sequence) - one fact a place; (agency, service,
aggregate, version) - one change a version; the idempotency key - one fact a command. Every insert is journaled
on a majority before anybody is told of it.

Queries ask for bounded ranges of an index (a window of sequences, never "the last by sort"): a planner that
reads a whole range before it sorts and limits, as the embedded server's does, then costs no more than one that
does not. The collection `ledgers` remembers which ledgers there are and about how far they reach; it is a hint,
and what it says is checked against the facts.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bson import Binary
from pymongo import ASCENDING, DESCENDING, MongoClient, UpdateOne, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from shared.facts.fact import Fact
from shared.facts.names import LedgerName
from shared.facts.verify import REDACTED, REKEYED, REOPENED, Head
from shared.ledger.recent import RecentFacts

log = logging.getLogger(__name__)

WINDOW = 512
"""Facts per look when a head is searched for."""
PROOF_WINDOW = 64
"""Whole documents per look when a ledger is proven: of the largest facts, 16 MiB."""

JOURNALED = WriteConcern(w="majority", j=True)

UNFORGETTABLE = (REDACTED, REKEYED, REOPENED)
"""Types whose content stays: without it, what they explain could not be proven."""

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
        self._ledgers: Collection[Document] = db.get_collection("ledgers")
        self._tails: Collection[Document] = db.get_collection("ledgers", write_concern=WriteConcern(w=1))
        self._listed: set[tuple[str, int]] = set()
        self._durable: dict[str, tuple[int, int]] = {}
        self.recent = RecentFacts()
        self.cuts = 0
        """How often ledgers were taken back to an earlier fact, as of the last `tails`."""
        self.frozen: dict[str, tuple[int, int]] = {}
        """Forked ledgers and their last common place, as of the last `tails`: they are read, not written."""
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
        self.facts.create_index([("command.key", ASCENDING)], unique=True, name="command", sparse=True)
        self.facts.create_index([("rekeys", ASCENDING)], name="rekeys", sparse=True)
        if self._ledgers.find_one({}, {"_id": 1}) is None:
            self.relist()

    def relist(self) -> dict[str, int]:
        """Lists every ledger of which there is a fact, whatever the list said; how many facts each holds.

        Reads the whole collection once: for proving it, and for a store whose list was lost.
        """
        group = {"_id": {"ledger": "$ledger", "epoch": "$epoch"}, "count": {"$sum": 1}}
        counted: dict[str, int] = {}
        epochs: set[tuple[str, object]] = set()
        for found in self.facts.aggregate([{"$group": group}]):
            ledger = str(found["_id"].get("ledger"))
            counted[ledger] = counted.get(ledger, 0) + found["count"]
            epochs.add((ledger, found["_id"].get("epoch")))
        for ledger in counted:
            last = next(epoch for epoch in itertools.count(1) if (ledger, epoch + 1) not in epochs)
            self._ledgers.update_one({"_id": ledger}, {"$max": {"epoch": last, "tail": 0}}, upsert=True)
        return counted

    # -- what is there ---------------------------------------------------------------------------------------

    def head(self, ledger: str) -> Head:
        """The newest fact of a ledger; an empty head if there is none."""
        known = self._ledgers.find_one({"_id": ledger})
        if known is None:
            return Head()
        for epoch in range(known["epoch"], 0, -1):
            tail_epoch, tail = position_of(known.get("tail", 0))
            found = self._head_within(ledger, epoch, tail if tail_epoch == epoch else 0)
            if found is not None:
                return found
        return Head()

    def _head_within(self, ledger: str, epoch: int, hint: int) -> Head | None:
        """Walks on from `hint`, a sequence that is probably close to the last, in bounded windows."""
        query = {"ledger": ledger, "epoch": epoch}
        if hint and self.facts.find_one({**query, "sequence": hint}, {"_id": 1}) is None:
            hint = 0  # the hint outlived the facts (a restored disk): look from the beginning
        last: Head | None = None
        start = max(hint - 1, 0)
        while True:
            window = {"$gt": start, "$lte": start + WINDOW}
            found = max(
                self.facts.find({**query, "sequence": window}, {"sequence": 1}),
                key=lambda document: document["sequence"],
                default=None,
            )
            if found is None:
                return last
            start = found["sequence"]
            last = Head(epoch, start, found["_id"])

    def ledgers(self) -> list[str]:
        return sorted(found["_id"] for found in self._ledgers.find({}, {"_id": 1}))

    def tails(self) -> dict[str, tuple[int, int]]:
        """About how far each ledger reaches, in one small read; may lag behind by what was appended just now."""
        found = list(self._ledgers.find({}))
        frozen = {one["_id"]: (position_of(one["frozen"]), one.get("epoch", 1)) for one in found if "frozen" in one}
        self.frozen = {ledger: place for ledger, (place, epoch) in frozen.items() if epoch <= place[0]}
        self.cuts = sum(one.get("cuts", 0) for one in found)
        return {one["_id"]: position_of(one.get("tail", 0)) for one in found}

    def forget_memory(self) -> None:
        """Facts were taken out of the store: nothing that was remembered of them counts any more."""
        self.recent.clear()
        self._listed.clear()
        self._durable.clear()

    def heads(self) -> dict[str, Head]:
        return {ledger: self.head(ledger) for ledger in self.ledgers()}

    def durable_heads(self, ledgers: Iterable[str] | None = None) -> dict[str, Head]:
        """Heads that nothing takes back any more: what may be signed and shown to others; of all ledgers, or some."""
        found = {ledger: self.head(ledger) for ledger in (self.ledgers() if ledgers is None else ledgers)}
        heads = {ledger: head for ledger, head in found.items() if head.sequence}
        self._ensure_durable({ledger: head.position for ledger, head in heads.items()})
        return heads

    def mark_durable(self, ledger: str, position: tuple[int, int]) -> None:
        """Whoever says so saw the journaled insert of this place acknowledged."""
        if self._durable.get(ledger, (0, 0)) < position:
            self._durable[ledger] = position

    def after(self, ledger: str, position: tuple[int, int], limit: int = 512) -> list[Fact]:
        """The durable facts of a ledger that come after `position`, in order, at most `limit`.

        A reader may see a write before it is on disk, and such a write may be rolled back. What is not known to
        be journaled is therefore followed by a journaled write of our own before it is handed out.
        """
        held = self.recent.after(ledger, position, limit)
        if held is not None:
            return list(held)
        facts = self._after(ledger, position, limit)
        if facts:
            self._ensure_durable({ledger: (facts[-1][0], facts[-1][1])})
        return [fact for _, _, fact in facts]

    def _after(self, ledger: str, position: tuple[int, int], limit: int) -> list[tuple[int, int, Fact]]:
        epoch, sequence = position
        facts = self._window(ledger, epoch, sequence, limit)
        if facts or limit < 1:
            return facts
        known = self._ledgers.find_one({"_id": ledger})
        for later in range(epoch + 1, (known["epoch"] if known else epoch) + 1):
            facts = self._window(ledger, later, 0, limit)
            if facts:
                return facts
        return []

    def _window(self, ledger: str, epoch: int, sequence: int, limit: int) -> list[tuple[int, int, Fact]]:
        """Sequences are without gaps, so the next `limit` facts are the next `limit` sequences."""
        wanted = {"ledger": ledger, "epoch": epoch, "sequence": {"$gt": sequence, "$lte": sequence + limit}}
        documents = sorted(self.facts.find(wanted), key=lambda document: document["sequence"])
        return [(epoch, document["sequence"], fact_of(document)) for document in documents]

    def walk(self, ledger: str) -> Iterator[Document]:
        """Every stored document of a ledger in the order of its places, gaps passed over; for proving it."""
        known = self._ledgers.find_one({"_id": ledger})
        if known is None:
            return
        tail_epoch, tail = position_of(known.get("tail", 0))
        for epoch in range(1, known["epoch"] + 1):
            start, until = 0, tail if epoch == tail_epoch else 0
            while True:
                window = {"$gt": start, "$lte": start + PROOF_WINDOW}
                found = self.facts.find({"ledger": ledger, "epoch": epoch, "sequence": window})
                documents = sorted(found, key=lambda document: document["sequence"])
                yield from documents
                start += PROOF_WINDOW
                if not documents and start > until:
                    break

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

    def is_own(self, hash_hex: str) -> bool:
        """Whether this node holds the fact, and wrote it itself (or took over the agency that did)."""
        return self.facts.find_one({"_id": hash_hex, "own": True}, {"_id": 1}) is not None

    def hashes_present(self, hashes: Sequence[str]) -> set[str]:
        held = self.recent.those_held(hashes)
        asked = [one for one in hashes if one not in held]
        if not asked:
            return held
        return held | {found["_id"] for found in self.facts.find({"_id": {"$in": asked}}, {"_id": 1})}

    def at(self, ledger: str, epoch: int, sequence: int) -> Fact | None:
        found = self.facts.find_one({"ledger": ledger, "epoch": epoch, "sequence": sequence})
        return None if found is None else fact_of(found)

    # -- what is added ---------------------------------------------------------------------------------------

    def insert(
        self,
        facts: Sequence[Fact],
        commands: Sequence[Command | None],
        *,
        own: bool,
        twice: Container[str] = frozenset(),
    ) -> None:
        """One ordered, journaled insert. Raises what pymongo raises: the appender knows what each error means.

        `twice`: hashes of another node's facts whose version is taken; they are facts all the same.
        """
        now = datetime.now(UTC)
        documents = [document_of(f, c, own=own, at=now) for f, c in zip(facts, commands, strict=True)]
        for document in documents:
            if document["_id"] in twice:
                document["version"] = stand_in_version(document["_id"])
        self._list({(document["ledger"], document["epoch"]) for document in documents})
        self.facts.insert_many(documents, ordered=True)
        try:
            self.note_tails(facts)
        except PyMongoError as error:  # a hint: whether the facts are committed must not hang on it
            log.warning("tails not noted: %s", error)

    def _list(self, places: set[tuple[str, int]]) -> None:
        """A ledger is listed, on disk, before its first fact is: so that no fact is ever overlooked."""
        for ledger, epoch in places - self._listed:
            self._ledgers.update_one({"_id": ledger}, {"$max": {"epoch": epoch, "tail": 0}}, upsert=True)
            self._listed.add((ledger, epoch))

    def note_tails(self, facts: Sequence[Fact]) -> None:
        """These facts are committed: remembers how far their ledgers reach, without waiting for the disk."""
        places = furthest(facts)
        for ledger, position in places.items():
            self.mark_durable(ledger, position)
        self.recent.put(facts)
        tails = [UpdateOne({"_id": ledger}, {"$max": {"tail": number_of(at)}}) for ledger, at in places.items()]
        if tails:
            self._tails.bulk_write(tails, ordered=False)

    def rekeyings(self, ledger: str | None = None) -> list[Fact]:
        """Every fact that gives a ledger (or this one) a new key, in the order of its ledger."""
        wanted = {"rekeys": True} if ledger is None else {"rekeys": True, "ledger": ledger}
        facts = [fact_of(document) for document in self.facts.find(wanted)]
        return sorted(facts, key=lambda fact: (str(fact.header.ledger), fact.header.position))

    def redactions(self, ledger: LedgerName) -> list[Fact]:
        """Every redaction in a ledger."""
        about = {"$gte": "fact/", "$lt": "fact0"}  # a range of the index: there are few of them among many facts
        wanted = {"agency": ledger.agency, "service": ledger.service, "aggregate": about, "ledger": str(ledger)}
        return [fact for fact in map(fact_of, self.facts.find(wanted)) if fact.header.type == REDACTED]

    def ensure_durable(self, facts: Iterable[Fact]) -> None:
        """Returns when these facts, found by reading, are known to be journaled on a majority."""
        self._ensure_durable(furthest(facts))

    def _ensure_durable(self, places: Mapping[str, tuple[int, int]]) -> None:
        unsure = {ledger: at for ledger, at in places.items() if self._durable.get(ledger, (0, 0)) < at}
        if unsure and not self._is_replica_set:
            self.barrier()
        for ledger, at in unsure.items():
            self.mark_durable(ledger, at)

    def barrier(self) -> None:
        """A journaled no-op: after it, everything read before is known to be on a majority's disk."""
        self._barriers.update_one({"_id": "barrier"}, {"$inc": {"count": 1}}, upsert=True)

    def forget(self, ledger: str, epoch: int, sequence: int) -> bool:
        """Overwrites payload and salt; `protected` stays, so the chain still proves. True if it was there.

        Redactions, rekeyings and reopenings stay: without them what they explain could not be proven.
        """
        self.recent.forget(ledger, epoch, sequence)
        place = {"ledger": ledger, "epoch": epoch, "sequence": sequence, "payload": {"$ne": None}}
        answer = self.facts.update_one(
            {**place, "type": {"$nin": list(UNFORGETTABLE)}},
            {"$set": {"payload": None, "salt": None, "redacted": True}},
        )
        return answer.modified_count == 1

    def holds_content(self, ledger: str, epoch: int, sequence: int) -> bool:
        """Whether the content of this place is here, and `forget` would overwrite it."""
        place = {"ledger": ledger, "epoch": epoch, "sequence": sequence}
        found = self.facts.find_one(place, {"payload": 1, "type": 1})
        return found is not None and found["payload"] is not None and found["type"] not in UNFORGETTABLE

    def is_alive(self) -> bool:
        try:
            self.client.admin.command("ping")
        except OperationFailure:
            return False
        return True


def furthest(facts: Iterable[Fact]) -> dict[str, tuple[int, int]]:
    """The last place per ledger."""
    places: dict[str, tuple[int, int]] = {}
    for fact in facts:
        ledger, position = str(fact.header.ledger), fact.header.position
        places[ledger] = max(position, places.get(ledger, position))
    return places


def number_of(position: tuple[int, int]) -> int:
    """(epoch, sequence) as one number that sorts like it."""
    return position[0] << 40 | position[1]


def position_of(number: int) -> tuple[int, int]:
    return number >> 40, number & ((1 << 40) - 1)


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
    if header.type == REKEYED:
        document["rekeys"] = True
    if command is not None:
        document["command"] = command.as_document()
    if fact.trace is not None:
        document["trace"] = fact.trace
    return document


def stand_in_version(hash_hex: str) -> int:
    """What stands in the column for a version that its writer used twice: below every real one, and its own."""
    return -int(hash_hex[:13], 16)


def fact_of(document: Document) -> Fact:
    payload, salt = document["payload"], document["salt"]
    return Fact(
        protected=bytes(document["protected"]),
        payload=None if payload is None else bytes(payload),
        salt=None if salt is None else bytes(salt),
        signature=bytes(document["signature"]),
        trace=document.get("trace"),
    )
