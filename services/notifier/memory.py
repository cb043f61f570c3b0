"""What the notifier remembers of aggregates, so that later events about them pass the right filters, and of circles.

A proposal does not repeat its pilot's countries; a response does not repeat its proposal's team. What is kept here is
never shown. What was learned from a narrower audience is not used for a wider one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Container, Iterable, Mapping, Sequence

from pymongo import ASCENDING, InsertOne, UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from shared.facts.fact import Fact
from shared.facts.names import MESH_AUDIENCE, PRIVATE_AUDIENCE, LedgerName, ledger_name
from shared.ledger.appender import DUPLICATE_KEY
from shared.ledger.rows import Redaction
from shared.ledger.store import Document

from .domain.attributes import LEARNED, Reference, references
from .domain.entries import About
from .domain.visibility import DESCRIBING, Circles, Claim, Sight, circles_of, claims_in, sight_of
from .journal import about_of_raw, raw_of_about

Known = dict[tuple[Reference, str], list[About]]
"""What is remembered, by aggregate and audience."""

EPOCH = 2**40
"""Sequences stay below this: epoch and sequence make one number that grows."""
FRESH_SECONDS = 2.0
"""How long another replica may go on with the circles it read."""


def audience_of(ledger: LedgerName) -> str:
    return f"{PRIVATE_AUDIENCE}:{ledger.agency}" if ledger.audience == PRIVATE_AUDIENCE else ledger.audience


def order_of(position: tuple[int, int]) -> int:
    return position[0] * EPOCH + position[1]


class Memory:
    """What aggregates are about, by audience."""

    def __init__(self, database: Database[Document]) -> None:
        self._known: Collection[Document] = database["memory"]

    def open(self) -> None:
        self._known.create_index([("subject", ASCENDING), ("audience", ASCENDING)])

    def recall(self, facts: Sequence[Fact]) -> Known:
        """What is known, by aggregate and audience, of all that these facts refer to."""
        wanted = frozenset().union(*(references(fact) for fact in facts))
        known: Known = {}
        if wanted:
            for raw in self._known.find({"subject": {"$in": sorted({subject for _, subject in wanted})}}):
                agency = ledger_name(raw["_id"].split("|", 1)[0]).agency  # whose ledger said it
                known.setdefault(((agency, raw["subject"]), raw["audience"]), []).append(about_of_raw(raw))
        return known

    def learn(self, learned: Iterable[tuple[Fact, About]]) -> None:
        """Keeps the newest word of each ledger about each aggregate that others refer to."""
        newest: dict[str, tuple[int, Document]] = {}
        new: set[str] = set()
        for fact, about in learned:
            header = fact.header
            if header.kind in LEARNED and fact.payload is not None:
                told = {"subject": header.subject, "audience": audience_of(header.ledger), **raw_of_about(about)}
                name = f"{header.ledger}|{header.subject}"
                newest[name] = (order_of(header.position), told)
                if header.version == 1:
                    new.add(name)
        upsert_newest(self._known, newest, new)

    def forget(self, redactions: Iterable[Redaction]) -> None:
        """Drops what was learned from these facts, if it has not been overtaken."""
        for one in redactions:
            self._known.delete_one({"_id": f"{one.ledger}|{one.key[2]}", "order": order_of((one.epoch, one.sequence))})


def known_to(audience: str, named: Iterable[Reference], known: Known) -> tuple[list[About], bool]:
    """What an event for `audience` may take from the aggregates it refers to; True if one of them is not known."""
    found: list[About] = []
    unknown = False
    for one in named:
        here = known.get((one, audience), [])
        if audience != MESH_AUDIENCE:
            here = here + known.get((one, MESH_AUDIENCE), [])
        found += here
        unknown = unknown or not here
    return found, unknown


class CircleBook:
    """Who is in which circle, as the facts say."""

    def __init__(self, database: Database[Document]) -> None:
        self._claims: Collection[Document] = database["circles"]
        self._lock = threading.Lock()
        self._read_at = 0.0
        self._circles: Circles = {}

    def learn(self, facts: Sequence[Fact]) -> None:
        newest: dict[str, tuple[int, Document]] = {}
        for fact in facts:
            header = fact.header
            if header.kind in DESCRIBING:
                claims = [
                    {
                        "owner": claim.owner,
                        "circle": claim.circle,
                        "members": sorted(claim.members),
                        "own": claim.own,
                    }
                    for claim in claims_in(fact)
                ]
                newest[f"{header.ledger}|{header.subject}"] = (order_of(header.position), {"claims": claims})
        if newest:
            upsert_newest(self._claims, newest)
            with self._lock:
                self._read_at = 0.0

    def circles(self) -> Circles:
        """Read at most every FRESH_SECONDS."""
        with self._lock:
            if time.monotonic() - self._read_at > FRESH_SECONDS:
                claims = [
                    Claim(one["owner"], one["circle"], frozenset(one["members"]), one.get("own", False))
                    for raw in self._claims.find({"claims": {"$ne": []}})
                    for one in raw["claims"]
                ]
                self._circles = circles_of(claims)
                self._read_at = time.monotonic()
            return self._circles

    def sight(self, agency: str) -> Sight:
        return sight_of(agency, self.circles())


def upsert_newest(
    collection: Collection[Document], newest: Mapping[str, tuple[int, Document]], new: Container[str] = ()
) -> None:
    """Writes each document unless a later one stands there already. `new` are probably not there yet: an insert
    costs a fraction of an update."""
    inserts = [
        InsertOne({"_id": name, **told, "order": order}) for name, (order, told) in newest.items() if name in new
    ]
    there = {inserts[at]._doc["_id"] for at in _written(collection, inserts)}
    updates = [
        UpdateOne({"_id": name, "order": {"$lt": order}}, {"$set": {**told, "order": order}}, upsert=True)
        for name, (order, told) in newest.items()
        if name not in new or name in there
    ]
    _written(collection, updates)


def _written(collection: Collection[Document], operations: Sequence[InsertOne[Document] | UpdateOne]) -> list[int]:
    """Which of the operations found another document in their place."""
    if not operations:
        return []
    try:
        collection.bulk_write(operations, ordered=False)
    except BulkWriteError as error:
        if any(problem["code"] != DUPLICATE_KEY for problem in error.details["writeErrors"]):
            raise
        return [problem["index"] for problem in error.details["writeErrors"]]
    return []
