"""The database in memory answers the ledgers' calls as the real one does."""

from __future__ import annotations

import secrets
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo import DeleteOne, MongoClient, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from tests.federation.memory import Disk, MemoryClient

IDS, NUMBERS = st.sampled_from("abcd"), st.integers(0, 3)
DOCUMENTS = st.fixed_dictionaries(
    {"_id": IDS, "ledger": st.sampled_from(("x", "y")), "sequence": NUMBERS},
    optional={"command": st.fixed_dictionaries({"key": IDS}), "tail": NUMBERS, "gone": st.none()},
)
QUERIES = st.one_of(
    st.fixed_dictionaries({"_id": IDS}),
    st.fixed_dictionaries({"_id": st.fixed_dictionaries({"$in": st.lists(IDS, max_size=3)})}),
    st.fixed_dictionaries(
        {"ledger": st.sampled_from(("x", "y")), "sequence": st.fixed_dictionaries({"$gt": NUMBERS, "$lte": NUMBERS})}
    ),
    st.fixed_dictionaries({"command.key": IDS}),
    st.fixed_dictionaries({"tail": st.fixed_dictionaries({"$exists": st.booleans()})}),
    st.fixed_dictionaries({"gone": st.fixed_dictionaries({"$ne": st.none()})}),
    st.fixed_dictionaries(
        {"ledger": st.fixed_dictionaries({"$nin": st.lists(st.sampled_from(("x", "y")), max_size=1)})}
    ),
)
CHANGES = st.sampled_from(
    (
        {"$max": {"tail": 2}},
        {"$set": {"gone": 1}, "$inc": {"tail": 1}},
        {"$unset": {"tail": ""}},
        {"$setOnInsert": {"ledger": "z", "sequence": 9}, "$set": {"tail": 7}},
    )
)  # fmt: skip
CALLS = st.one_of(
    st.tuples(st.just("insert"), st.lists(DOCUMENTS, min_size=1, max_size=4)),
    st.tuples(st.just("find"), QUERIES),
    st.tuples(st.just("update"), IDS, CHANGES, st.booleans()),
    st.tuples(st.just("bulk"), IDS, IDS, CHANGES, DOCUMENTS),
    st.tuples(st.just("delete"), QUERIES),
)


def answer(collection: Any, call: tuple[Any, ...]) -> Any:
    """What the collection answers, or how it refuses."""
    try:
        match call:
            case ("insert", documents):
                collection.insert_many([dict(one) for one in documents], ordered=True)
                return "inserted"
            case ("find", query):
                return list(collection.find(query).sort("_id", 1))
            case ("update", key, change, upsert):
                done = collection.update_one({"_id": key}, change, upsert=upsert)
                return (done.matched_count, done.modified_count, done.upserted_id)
            case ("bulk", key, other, change, document):
                held = {name: value for name, value in document.items() if name != "_id"}
                writes = [UpdateOne({"_id": key}, change), ReplaceOne({"_id": key}, held), DeleteOne({"_id": other})]
                collection.bulk_write(writes)
                return "written"
            case ("delete", query):
                collection.delete_many(query)
                return "deleted"
    except BulkWriteError as error:
        return ("refused", error.details["nInserted"], [one["index"] for one in error.details["writeErrors"]][:1])
    except DuplicateKeyError:
        return "refused"


@given(calls=st.lists(CALLS, max_size=8))
@settings(max_examples=30, derandomize=True)
def test_memory_and_server_answer_alike(mongodb_uri: str, calls: list[tuple[Any, ...]]) -> None:
    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        name = f"test_{secrets.token_hex(5)}"
        pair: list[Any] = [client[name]["facts"], MemoryClient(Disk())[name]["facts"]]
        try:
            for one in pair:
                one.create_index([("ledger", 1), ("sequence", 1)], unique=True)
                one.create_index([("command.key", 1)], unique=True, sparse=True)
            for call in [*calls, ("find", {})]:
                real, model = (answer(one, call) for one in pair)
                assert model == real, call
        finally:
            client.drop_database(name)
