"""State rows as mongoengine documents: one collection a kind, bulk writes for folds, queries for services."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import bson
from bson import Binary
from bson.errors import BSONError
from mongoengine import BooleanField, DateTimeField, Document, IntField, ListField, StringField
from mongoengine.fields import DictField
from pymongo import InsertOne, ReplaceOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from shared.facts.fact import Fact
from shared.ledger.rows import Key, Row, Track, fold_all, keys_touched
from shared.ledger.store import Document as Raw

Columns = Callable[[Row], Mapping[str, Any]]
"""Pure: what of a row's state is to be queried, as plain values."""

ATTEMPTS = 50
LARGEST_ROW = 15 * 2**20
"""Bytes; MongoDB stores documents of at most 16 MiB."""
UNSTORABLE = (BSONError, OverflowError, ValueError, TypeError)
"""What pymongo raises for values that BSON does not hold: numbers beyond 64 bits, half surrogate pairs, …"""

log = logging.getLogger(__name__)


class StateRow(Document):  # type: ignore[misc] # mongoengine ships no types
    """What every kind of row has. A service adds the columns it queries."""

    meta = {"abstract": True, "strict": False, "auto_create_index": False}  # noqa: RUF012 - mongoengine reads it so

    row_id = StringField(primary_key=True)
    agency = StringField()
    service = StringField()
    aggregate = StringField()
    id_ = StringField(db_field="id")
    version = IntField()
    live = BooleanField()
    revision = IntField()
    unreadable = StringField()
    changed_at = DateTimeField()
    tracks = ListField(DictField())


def row_id(key: Key) -> str:
    return "|".join(key)


def raw_of_row(row: Row, columns: Mapping[str, Any]) -> Raw:
    shown = row.shown
    agency, service, aggregate = row.key
    return {
        **columns,
        "_id": row_id(row.key),
        "agency": agency,
        "service": service,
        "aggregate": aggregate,
        "id": row.id,
        "version": row.version,
        "live": row.is_live,
        # A row begins with a random number, so that rows of two collections (a rebuild's) are told apart by it.
        "revision": row.revision + 1 if row.revision else 1 + secrets.randbits(48),
        "unreadable": row.unreadable,
        "changed_at": shown.time,
        "tracks": [raw_of_track(track) for track in row.tracks],
    }


def raw_of_track(track: Track) -> Raw:
    return {
        "ledger": track.ledger,
        "epoch": track.epoch,
        "sequence": track.sequence,
        "version": track.version,
        "hash": track.hash,
        "verb": track.verb,
        "time": track.time,
        "state": None if track.state is None else Binary(track.state),
        "unfolded": track.unfolded,
        "full": track.full,
    }


def row_of_raw(raw: Raw) -> Row:
    tracks = tuple(
        Track(
            ledger=one["ledger"],
            epoch=one["epoch"],
            sequence=one["sequence"],
            version=one["version"],
            hash=one["hash"],
            verb=one["verb"],
            time=one["time"],
            state=None if one["state"] is None else bytes(one["state"]),
            unfolded=one["unfolded"],
            full=one["full"],
        )
        for one in raw["tracks"]
    )
    return Row((raw["agency"], raw["service"], raw["aggregate"]), tracks, raw["revision"], raw["unreadable"])


def rows_of(found: Any) -> list[Row]:
    """The rows that a mongoengine query set finds, as plain values."""
    return [row_of_raw(raw) for raw in found.as_pymongo()]


class Rows:
    """Folds facts into the collections of one service. Safe against another replica folding at the same time."""

    def __init__(
        self, documents: Mapping[str, type[StateRow]], columns: Mapping[str, Columns], suffix: str = ""
    ) -> None:
        self.documents = dict(documents)
        self.kinds = frozenset(documents)
        self._columns = dict(columns)
        self._suffix = suffix

    def beside(self, suffix: str) -> Rows:
        """The same rows in fresh collections, for a rebuild."""
        return Rows(self.documents, self._columns, suffix)

    def collection(self, kind: str) -> Collection[Raw]:
        collection: Collection[Raw] = self.documents[kind]._get_collection()
        return collection.database[collection.name + self._suffix] if self._suffix else collection

    def ensure_indexes(self) -> None:
        for document in self.documents.values():
            document.ensure_indexes()

    def load(self, keys: Iterable[Key]) -> dict[Key, Row]:
        by_kind: dict[str, list[str]] = {}
        for key in keys:
            kind = key[2].split("/", 1)[0]
            if kind in self.kinds:
                by_kind.setdefault(kind, []).append(row_id(key))
        rows = {}
        for kind, ids in by_kind.items():
            for raw in self.collection(kind).find({"_id": {"$in": ids}}):
                row = row_of_raw(raw)
                rows[row.key] = row
        return rows

    def fold(self, facts: Sequence[Fact]) -> dict[Key, Row]:
        """Folds and writes. Returns the rows as they now stand for every key the facts touched."""
        keys = keys_touched(facts, self.kinds)
        if not keys:
            return {}
        for _ in range(ATTEMPTS):
            rows = self.load(keys)
            changed = fold_all(rows, facts, self.kinds)
            if not changed:
                return rows
            told = {key: self._told(row) for key, row in changed.items()}
            try:
                whole = self._write(told)
            except UNSTORABLE:
                told = {key: self._storable(*one) for key, one in told.items()}
                whole = self._write(told)
            if whole:
                return {**rows, **{key: row for key, (row, _) in told.items()}}
        raise RuntimeError("rows changed under the fold on every attempt")

    def _told(self, row: Row) -> tuple[Row, Raw]:
        """The row as it is to be stored. One state that breaks its columns must not stop what comes after it."""
        try:
            return row, raw_of_row(row, self._columns[row.kind](row))
        except Exception as error:  # whatever a foreign state makes the columns raise is that row's trouble alone
            return self._unreadable(row, error)

    def _storable(self, row: Row, raw: Raw) -> tuple[Row, Raw]:
        try:
            if len(bson.encode(raw)) > LARGEST_ROW:
                raise ValueError(f"larger than {LARGEST_ROW} bytes")
        except UNSTORABLE as error:
            return self._unreadable(row, error)
        return row, raw

    def _unreadable(self, row: Row, error: Exception) -> tuple[Row, Raw]:
        log.warning("%s: no row can be made of %s: %r", row.key, row.shown.place, error)
        said = f"{type(error).__name__}: {error}"[:300].encode(errors="replace").decode()
        troubled = replace(row, unreadable=said)
        return troubled, raw_of_row(troubled, {})

    def _write(self, told: Mapping[Key, tuple[Row, Raw]]) -> bool:
        """True if every row was written; False if another replica was quicker with one of them."""
        whole = True
        by_kind: dict[str, list[InsertOne[Raw] | ReplaceOne[Raw]]] = {}
        for row, raw in told.values():
            operation: InsertOne[Raw] | ReplaceOne[Raw] = (
                InsertOne(raw) if row.revision == 0 else ReplaceOne({"_id": raw["_id"], "revision": row.revision}, raw)
            )
            by_kind.setdefault(row.kind, []).append(operation)
        for kind, operations in by_kind.items():
            try:
                answer = self.collection(kind).bulk_write(operations, ordered=False)
            except BulkWriteError as error:
                if any(problem["code"] != 11000 for problem in error.details["writeErrors"]):
                    raise
                whole = False
                continue
            whole = whole and answer.inserted_count + answer.matched_count == len(operations)
        return whole

    def sharing_ids(self, rows: Iterable[Row]) -> dict[Key, list[str]]:
        """Those of the rows whose id other agencies have given to a record of that kind as well, and who has."""
        by_kind: dict[str, dict[str, list[Row]]] = {}
        for row in rows:
            by_kind.setdefault(row.kind, {}).setdefault(row.id, []).append(row)
        found: dict[Key, set[str]] = {}
        for kind, by_id in by_kind.items():
            wanted = {"id": {"$in": sorted(by_id)}}
            for raw in self.collection(kind).find(wanted, {"id": 1, "agency": 1}):
                for row in by_id[raw["id"]]:
                    if raw["agency"] != row.key[0]:
                        found.setdefault(row.key, set()).add(raw["agency"])
        return {key: sorted(agencies) for key, agencies in found.items()}

    def all(self) -> Iterator[Row]:
        for kind in sorted(self.kinds):
            for raw in self.collection(kind).find({}):
                yield row_of_raw(raw)

    def get(self, key: Key) -> Row | None:
        return self.load([key]).get(key)

    def drop(self) -> None:
        for kind in self.kinds:
            self.collection(kind).drop()

    def take_the_place_of(self, other: Rows) -> None:
        """Swaps these collections in for `other`'s."""
        for kind in self.kinds:
            fresh, old = self.collection(kind), other.collection(kind)
            if fresh.find_one({}, {"_id": 1}) is None:
                old.drop()
                fresh.drop()
            else:
                fresh.rename(old.name, dropTarget=True)
        other.ensure_indexes()
