"""The journal: every event that reached this node, in one order, the same on every replica.

One document a position, positions without a gap. The follower's holder of the lease appends; should another replica
still be writing, the unique position lets only one of them have it. An entry holds no content: that stays in the
ledger store, and is gone from every view the moment it is redacted there.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, ReturnDocument, UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError, PyMongoError

from shared.facts.cloudevents import cloud_event_bytes
from shared.facts.fact import Fact
from shared.ledger.appender import DUPLICATE_KEY
from shared.ledger.store import JOURNALED, Document, LedgerStore, fact_of

from .domain.entries import About, Entry, NewEntry

log = logging.getLogger(__name__)

ATTEMPTS = 200
PAGE_BYTES = 4 * 2**20
"""Content read at once for a page of events; a page ends early rather than hold more (but holds one at least)."""


class Journal:
    """Appends and reads entries. `epoch` names this journal: a new one starts when the database is new."""

    def __init__(
        self,
        database: Database[Document],
        store: LedgerStore,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._entries: Collection[Document] = database.get_collection(
            "journal", write_concern=JOURNALED, read_concern=store.facts.read_concern
        )
        self._meta: Collection[Document] = database.get_collection("meta", write_concern=JOURNALED)
        self._store = store
        self.now = clock
        self._next: int | None = None
        self._durable = 0
        self.epoch = ""

    def open(self) -> None:
        """Makes indexes, and names the journal if it is new."""
        self._entries.create_index([("event", ASCENDING)], unique=True, name="event")
        self._entries.create_index([("late", ASCENDING), ("_id", ASCENDING)], name="late")
        named = self._meta.find_one_and_update(
            {"_id": "journal"},
            {"$setOnInsert": {"epoch": secrets.token_hex(6)}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        assert named is not None
        self.epoch = str(named["epoch"])

    # -- writing ---------------------------------------------------------------------------------------------

    def append(self, events: Sequence[NewEntry]) -> list[Entry]:
        """Gives each new event the next position; events that are there already are left out. Returns those added.

        What is returned is on disk. After a crash anywhere in here, doing it again adds exactly what is missing.
        """
        added: list[Entry] = []
        remaining = list(events)
        for _ in range(ATTEMPTS):
            if not remaining:
                return added
            if self._next is None:
                self._next = self.head() + 1
                remaining = self._without_present(remaining)
            at = self.now()
            entries = [Entry(position, at, new) for position, new in enumerate(remaining, start=self._next)]
            inserted = self._insert(entries)
            added += entries[:inserted]
            remaining = remaining[inserted:]
        raise RuntimeError("another process took the next position of the journal on every attempt")

    def _insert(self, entries: Sequence[Entry]) -> int:
        """How many were inserted; fewer than all if a position or an event was taken."""
        if not entries:
            return 0
        try:
            self._entries.insert_many([raw_of(entry) for entry in entries], ordered=True)
        except BulkWriteError as error:
            self._next = None
            codes = {problem.get("code") for problem in error.details.get("writeErrors", ())}
            if error.details.get("writeConcernErrors") or codes - {DUPLICATE_KEY}:
                raise
            return int(error.details.get("nInserted", 0))
        except PyMongoError:
            self._next = None  # whether it was inserted is found out by the next attempt
            raise
        self._durable = entries[-1].position
        self._next = self._durable + 1
        return len(entries)

    def _without_present(self, events: Sequence[NewEntry]) -> list[NewEntry]:
        asked = {"event": {"$in": [new.event for new in events]}}
        present = {raw["event"] for raw in self._entries.find(asked, {"event": 1})}
        return [new for new in events if new.event not in present]

    def forget(self, events: Sequence[str]) -> None:
        """These events were redacted: nothing that was read from their content stays."""
        if events:
            nothing: Document = {"countries": [], "goals": [], "agencies": [], "asks": False, "redacted": True}
            self._entries.update_many({"event": {"$in": list(events)}}, {"$set": nothing})

    def describe(self, events: Sequence[NewEntry]) -> None:
        """Sets what is known of entries that are there (a newer version reads more from the same facts)."""
        operations = [UpdateOne({"event": new.event}, {"$set": raw_of_about(new.about)}) for new in events]
        if operations:
            self._entries.bulk_write(operations, ordered=False)

    # -- reading ---------------------------------------------------------------------------------------------

    def head(self) -> int:
        """The newest position, 0 if there is none; perhaps not on disk yet."""
        newest = self._entries.find_one({}, {"_id": 1}, sort=[("_id", DESCENDING)])
        return 0 if newest is None else int(newest["_id"])

    def durable_head(self) -> int:
        """The newest position that is known to be on disk: what a reader may be told of."""
        head = self.head()
        if head > self._durable:
            self._store.barrier()
            self._durable = max(self._durable, head)
        return head

    def page(
        self, after: int, limit: int, clauses: Sequence[Mapping[str, Any]] = (), upto: int | None = None
    ) -> tuple[list[Entry], int]:
        """At most `limit` durable entries after a position that fulfil all clauses, and the position up to which
        that is all there is."""
        head = self.durable_head() if upto is None else upto
        if head <= after:
            return [], after
        query = {"$and": [{"_id": {"$gt": after, "$lte": head}}, *clauses]}
        found = [entry_of(raw) for raw in self._entries.find(query).sort("_id", ASCENDING).limit(limit)]
        return found, found[-1].position if len(found) == limit else head

    def find(self, event: str) -> Entry | None:
        raw = self._entries.find_one({"event": event})
        return None if raw is None else entry_of(raw)

    def newest(self, ledger: str) -> tuple[int, int]:
        """Epoch and sequence of the newest fact of a ledger that is in the journal; (0, 0) if there is none."""
        found = self._entries.find_one({"ledger": ledger}, {"event": 1}, sort=[("_id", DESCENDING)])
        if found is None:
            return (0, 0)
        _, epoch, sequence = str(found["event"]).rsplit(":", 2)
        return (int(epoch), int(sequence))

    def facts(self, entries: Sequence[Entry]) -> dict[str, Fact]:
        """The facts behind entries, by hash."""
        hashes = [entry.new.hash for entry in entries]
        found = self._store.facts.find({"_id": {"$in": hashes}}) if hashes else ()
        return {fact.hash: fact for fact in map(fact_of, found)}

    def bodies(self, entries: Sequence[Entry]) -> list[tuple[Entry, bytes]]:
        """Entries with their CloudEvents, as many from the first on as fit PAGE_BYTES (one at least).

        A body is empty where the store lacks the fact (it was put back to an earlier state, and the fact comes
        again with its ledger).
        """
        facts = self.facts(entries)
        result: list[tuple[Entry, bytes]] = []
        size = 0
        for entry in entries:
            fact = facts.get(entry.new.hash)
            body = b"" if fact is None else cloud_event_bytes(fact, redacted=entry.new.redacted)
            size += len(body)
            if result and size > PAGE_BYTES:
                break
            result.append((entry, body))
        return result


def raw_of(entry: Entry) -> Document:
    new = entry.new
    return {
        "_id": entry.position,
        "event": new.event,
        "hash": new.hash,
        "ledger": new.ledger,
        "agency": new.agency,
        "audience": new.audience,
        "type": new.type,
        "subject": new.subject,
        "time": new.time,
        "at": entry.at,
        "late": entry.is_late,
        "redacted": new.redacted,
        "planned": new.planned,
        **raw_of_about(new.about),
    }


def raw_of_about(about: About) -> Document:
    return {
        "kinds": list(about.kinds),
        "countries": None if about.countries is None else list(about.countries),
        "goals": None if about.goals is None else list(about.goals),
        "agencies": None if about.agencies is None else list(about.agencies),
        "asks": about.asks,
    }


def about_of_raw(raw: Mapping[str, Any]) -> About:
    def values(name: str) -> tuple[str, ...] | None:
        found = raw[name]
        return None if found is None else tuple(found)

    return About(tuple(raw["kinds"]), values("countries"), values("goals"), values("agencies"), raw["asks"])


def entry_of(raw: Mapping[str, Any]) -> Entry:
    new = NewEntry(
        event=raw["event"],
        hash=raw["hash"],
        ledger=raw["ledger"],
        agency=raw["agency"],
        audience=raw["audience"],
        type=raw["type"],
        subject=raw["subject"],
        time=raw["time"],
        about=about_of_raw(raw),
        redacted=raw["redacted"],
        planned=raw["planned"],
    )
    return Entry(raw["_id"], raw["at"], new)
