"""A database in memory with the meaning of the real one, as far as the ledgers use it; a crash may come at any write.

Unique indexes hold, an ordered insert stops at the first conflict and leaves what came before, a bulk of writes may be
cut off between two of them. `tests/federation/test_memory.py` puts the same calls to it and to the real server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

from pymongo import DeleteOne, ReplaceOne, UpdateOne
from pymongo.errors import AutoReconnect, BulkWriteError, DuplicateKeyError

from tests.federation.queries import ABSENT, changed, equalities, matches, value_at

Document = dict[str, Any]
Snapshot = dict[str, dict[Any, Document]]
DUPLICATE_KEY = 11000


class Crash(BaseException):
    """The process is gone, as by `kill -9`. Nothing catches it but whoever starts processes."""


class Disk:
    """What survives a crash, and when the next one comes."""

    def __init__(self) -> None:
        self.databases: dict[str, MemoryDatabase] = {}
        self.writes = 0
        self._left: int | None = None
        self._lost: int = 0

    def crash_after(self, writes: int | None) -> None:
        """The process dies before the write that follows so many; None: it lives on."""
        self._left = writes

    def lose_answers(self, inserts: int) -> None:
        """The next so many inserts of several documents are done, and their answers do not arrive."""
        self._lost = inserts

    def before_write(self) -> None:
        self.writes += 1
        if self._left is None:
            return
        if self._left == 0:
            self._left = None
            raise Crash
        self._left -= 1

    def after_insert(self) -> None:
        if self._lost:
            self._lost -= 1
            raise AutoReconnect("the answer was lost")

    def copy(self) -> dict[str, Snapshot]:
        return {name: database.copy() for name, database in self.databases.items()}

    def put_back(self, kept: Mapping[str, Snapshot]) -> None:
        for name, database in self.databases.items():
            database.put_back(kept.get(name, {}))


class MemoryClient:
    """In the place of a MongoClient."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.admin = SimpleNamespace(command=lambda _: {})

    def get_database(self, name: str, **_: Any) -> MemoryDatabase:
        return self.disk.databases.setdefault(name, MemoryDatabase(self.disk))

    __getitem__ = get_database


class MemoryDatabase:
    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._collections: dict[str, MemoryCollection] = {}

    def get_collection(self, name: str, **_: Any) -> MemoryCollection:
        return self._collections.setdefault(name, MemoryCollection(self._disk))

    __getitem__ = get_collection

    def copy(self) -> Snapshot:
        return {
            name: {key: dict(one) for key, one in held.documents.items()} for name, held in self._collections.items()
        }

    def put_back(self, kept: Snapshot) -> None:
        for name, held in self._collections.items():
            held.put_back(kept.get(name, {}))


class Found(list[Document]):
    """A cursor, read out at once."""

    def sort(self, key: Any, direction: int = 1) -> Found:  # type: ignore[override]
        keys = [(key, direction)] if isinstance(key, str) else list(key)
        for name, way in reversed(keys):
            super().sort(key=lambda one: one[name], reverse=way < 0)
        return self

    def limit(self, most: int) -> Found:
        return Found(self[:most])


class MemoryCollection:
    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.documents: dict[Any, Document] = {}
        self._unique: list[tuple[tuple[str, ...], bool, dict[Any, Any]]] = []

    def put_back(self, kept: Mapping[Any, Document]) -> None:
        self.documents = {}
        for _, _, held in self._unique:
            held.clear()
        for one in kept.values():
            self._put(dict(one))

    def create_index(
        self, keys: Sequence[tuple[str, int]], *, unique: bool = False, sparse: bool = False, **_: Any
    ) -> None:
        fields = tuple(name for name, _ in keys)
        if unique and all(fields != known for known, _, _ in self._unique):
            self._unique.append((fields, sparse, {}))

    # -- reading ---------------------------------------------------------------------------------------------

    def find(self, query: Mapping[str, Any] | None = None, fields: Any = None, **_: Any) -> Found:
        return Found(dict(one) for one in self._matching(query or {}))

    def find_one(
        self, query: Mapping[str, Any] | None = None, fields: Any = None, sort: Sequence[tuple[str, int]] = ()
    ) -> Document | None:
        found = self.find(query)
        return next(iter(found.sort(sort) if sort else found), None)

    def count_documents(self, query: Mapping[str, Any], limit: int = 0) -> int:
        count = sum(1 for _ in self._matching(query))
        return min(count, limit) if limit else count

    def estimated_document_count(self) -> int:
        return len(self.documents)

    def aggregate(self, stages: Sequence[Mapping[str, Any]]) -> list[Document]:
        """One `$group` that counts."""
        (stage,) = stages
        group = stage["$group"]
        by, count = group["_id"], group["count"]["$sum"]
        counted: dict[Any, int] = {}
        shown: dict[Any, Any] = {}
        for one in self.documents.values():
            if isinstance(by, str):
                key = name = one.get(by[1:])
            else:
                name = {field: one.get(source[1:]) for field, source in by.items()}
                key = tuple(name.items())
            shown[key] = name
            counted[key] = counted.get(key, 0) + (count if isinstance(count, int) else one.get(count[1:], 0))
        return [{"_id": shown[key], "count": number} for key, number in counted.items()]

    def _matching(self, query: Mapping[str, Any]) -> Iterator[Document]:
        wanted = query.get("_id", ABSENT)
        among: Iterable[Document]
        if isinstance(wanted, Mapping):
            if "$in" in wanted and len(wanted) == 1:
                among = [self.documents[one] for one in dict.fromkeys(wanted["$in"]) if one in self.documents]
            else:
                among = list(self.documents.values())
        elif wanted is not ABSENT:
            among = [self.documents[wanted]] if wanted in self.documents else []
        else:
            among = list(self.documents.values())
        return (one for one in among if matches(one, query))

    # -- writing ---------------------------------------------------------------------------------------------

    def insert_one(self, document: Document) -> None:
        self._disk.before_write()
        self._put(dict(document))

    def insert_many(self, documents: Sequence[Document], ordered: bool = True) -> None:
        for number, one in enumerate(documents):
            self._disk.before_write()
            try:
                self._put(dict(one))
            except DuplicateKeyError as error:
                raise refusal(number, number, error) from error
        self._disk.after_insert()

    def update_one(self, query: Mapping[str, Any], change: Mapping[str, Any], upsert: bool = False) -> SimpleNamespace:
        self._disk.before_write()
        return self._update(query, change, upsert=upsert)

    def find_one_and_update(self, query: Mapping[str, Any], change: Mapping[str, Any], **_: Any) -> Document | None:
        self._disk.before_write()
        found = self.find_one(query)
        if found is None:
            return None
        self._update({"_id": found["_id"]}, change, upsert=False)
        return dict(self.documents[found["_id"]])

    def replace_one(self, query: Mapping[str, Any], document: Document, upsert: bool = False) -> None:
        self._disk.before_write()
        self._replace(query, document, upsert=upsert)

    def delete_one(self, query: Mapping[str, Any]) -> None:
        self._disk.before_write()
        for one in list(self._matching(query))[:1]:
            self._drop(one)

    def delete_many(self, query: Mapping[str, Any]) -> None:
        for one in list(self._matching(query)):
            self._disk.before_write()
            self._drop(one)

    def bulk_write(self, writes: Sequence[Any], ordered: bool = True) -> None:
        for number, write in enumerate(writes):
            try:
                self._carry_out(write)
            except DuplicateKeyError as error:
                raise refusal(number, 0, error) from error

    def _carry_out(self, write: Any) -> None:
        match write:
            case UpdateOne():
                self.update_one(write._filter, cast(Any, write._doc), bool(write._upsert))
            case ReplaceOne():
                self.replace_one(write._filter, dict(write._doc), bool(write._upsert))
            case DeleteOne():
                self.delete_one(write._filter)
            case _:
                raise NotImplementedError(type(write))

    def _replace(self, query: Mapping[str, Any], document: Document, *, upsert: bool) -> None:
        found = next(self._matching(query), None)
        if found is not None:
            self._exchange(found, {"_id": found["_id"], **document})
        elif upsert:
            self._put({**equalities(query), **document})

    def _update(self, query: Mapping[str, Any], change: Mapping[str, Any], *, upsert: bool) -> SimpleNamespace:
        found = next(self._matching(query), None)
        if found is None:
            if not upsert:
                return SimpleNamespace(matched_count=0, modified_count=0, upserted_id=None)
            made = changed({**equalities(query), **change.get("$setOnInsert", {})}, change)
            self._put(made)
            return SimpleNamespace(matched_count=0, modified_count=0, upserted_id=made["_id"])
        after = changed(found, change)
        if after != found:
            self._exchange(found, after)
        return SimpleNamespace(matched_count=1, modified_count=int(after != found), upserted_id=None)

    def _exchange(self, before: Document, after: Document) -> None:
        """All of it or nothing."""
        self._drop(before)
        try:
            self._put(after)
        except DuplicateKeyError:
            self._put(before)
            raise

    def _put(self, document: Document) -> None:
        if document["_id"] in self.documents:
            raise DuplicateKeyError(f"_id {document['_id']}")
        keys = []
        for fields, sparse, held in self._unique:
            values = tuple(value_at(document, name) for name in fields)
            if sparse and all(one is ABSENT for one in values):
                continue
            if values in held:
                raise DuplicateKeyError(f"{fields}: {values}")
            keys.append((held, values))
        for held, values in keys:
            held[values] = document["_id"]
        self.documents[document["_id"]] = document

    def _drop(self, document: Document) -> None:
        del self.documents[document["_id"]]
        for fields, _, held in self._unique:
            held.pop(tuple(value_at(document, name) for name in fields), None)


def refusal(number: int, inserted: int, error: DuplicateKeyError) -> BulkWriteError:
    """What stopped an ordered series of writes at this one."""
    problem = {"index": number, "code": DUPLICATE_KEY, "errmsg": str(error)}
    return BulkWriteError({"nInserted": inserted, "writeErrors": [problem]})
