"""The bare counterparts: what the driver, the database and NATS reach without a node, in the load generator's process.

Same servers, same content, the same acknowledgement: journaled on a majority, and on the stream's disk.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import nats
from bson import ObjectId
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, DeliverPolicy, StorageType, StreamConfig
from pymongo import MongoClient, ReplaceOne, WriteConcern
from pymongo.collection import Collection

Raw = dict[str, Any]
JOURNALED = WriteConcern(w="majority", j=True)
DATABASE = "bench_bare"
STREAM, STREAM_BYTES = "BENCH", 64 * 2**20
LENDER = "VERIFIED"


def insert_one_for(uri: str, document: Raw, threads: int, seconds: float) -> float:
    """Journaled inserts a second, one document each, from so many threads."""
    with MongoClient[Raw](uri, maxPoolSize=threads) as client:
        collection = client[DATABASE].get_collection("one", write_concern=JOURNALED)
        collection.insert_one(dict(document))
        counts = [0] * threads
        ready = threading.Barrier(threads + 1)
        until = 0.0

        def insert(thread: int) -> None:
            ready.wait()
            ready.wait()
            while time.perf_counter() < until:
                collection.insert_one({**document, "_id": ObjectId()})
                counts[thread] += 1

        running = [threading.Thread(target=insert, args=(thread,)) for thread in range(threads)]
        for thread in running:
            thread.start()
        ready.wait()
        began = time.perf_counter()
        until = began + seconds
        ready.wait()
        for thread in running:
            thread.join()
        taken = time.perf_counter() - began
        collection.drop()
        return sum(counts) / taken


def insert_many(uri: str, batches: Sequence[Sequence[Raw]], threads: int) -> float:
    """Rows a second: journaled inserts of whole batches, so many at a time."""
    with MongoClient[Raw](uri, maxPoolSize=threads) as client:
        collection = client[DATABASE].get_collection("many", write_concern=JOURNALED)
        collection.insert_one({})
        waiting = [[{**row, "_id": ObjectId()} for row in batch] for batch in batches]
        rows = sum(len(batch) for batch in waiting)
        lock = threading.Lock()

        def insert() -> None:
            while True:
                with lock:
                    if not waiting:
                        return
                    batch = waiting.pop()
                collection.insert_many(batch)

        running = [threading.Thread(target=insert) for _ in range(threads)]
        began = time.perf_counter()
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        taken = time.perf_counter() - began
        collection.drop()
        return rows / taken


def insert_publish_deliver(
    uri: str, nats_options: dict[str, Any], document: Raw, body: bytes, times: int, pause: float
) -> list[float]:
    """Seconds from a journaled insert through a synchronous publish to a file stream until a subscriber has it."""
    return asyncio.run(_insert_publish_deliver(uri, nats_options, document, body, times, pause))


async def _insert_publish_deliver(
    uri: str, nats_options: dict[str, Any], document: Raw, body: bytes, times: int, pause: float
) -> list[float]:
    connection = await nats.connect(**nats_options)
    js = connection.jetstream()
    taken = []
    async with _a_stream(js):
        delivered = await js.subscribe(
            "bench.>", stream=STREAM, config=ConsumerConfig(deliver_policy=DeliverPolicy.NEW), ordered_consumer=True
        )
        with MongoClient[Raw](uri) as client:
            collection = client[DATABASE].get_collection("events", write_concern=JOURNALED)
            collection.insert_one({**document, "_id": ObjectId()})
            for _ in range(times):
                began = time.perf_counter()
                collection.insert_one({**document, "_id": ObjectId()})
                await js.publish("bench.pilot.registered", body, stream=STREAM)
                await delivered.next_msg(timeout=10)
                taken.append(time.perf_counter() - began)
                await asyncio.sleep(pause)
            collection.drop()
    await connection.close()
    return taken


@asynccontextmanager
async def _a_stream(js: JetStreamContext) -> AsyncIterator[None]:
    """A file stream beside the node's own. Those have reserved all the room there is, so one lends it some."""
    lender = (await js.stream_info(LENDER)).config
    reserved = lender.max_bytes or 0
    await js.update_stream(replace(lender, max_bytes=reserved - STREAM_BYTES))
    try:
        await js.add_stream(
            StreamConfig(name=STREAM, subjects=["bench.>"], storage=StorageType.FILE, max_bytes=STREAM_BYTES)
        )
        yield
        await js.delete_stream(STREAM)
    finally:
        await js.update_stream(replace(lender, max_bytes=reserved))


@dataclass(frozen=True, slots=True)
class Upserted:
    """Seconds that upserts took, and processor seconds of whoever sent them."""

    facts: float
    rows: float
    processor: float


def upsert_again(uri: str, ledger: str, first: int, count: int, batch: int, *, indexed: bool = False) -> Upserted:
    """The documents that a node has of these facts, upserted again elsewhere in the same database.

    First the facts, then their rows in the registry, in journaled bulk upserts of `batch` documents; `indexed`: into
    collections with the indexes that the node's have.
    """
    with MongoClient[Raw](uri) as client:
        window = {"ledger": ledger, "epoch": 1, "sequence": {"$gte": first, "$lt": first + count}}
        sources = client["pilotmesh_ledger"]["facts"], client["pilotmesh_registry"]["pilots"]
        facts = list(sources[0].find(window))
        ids = [f"{fact['agency']}|{fact['service']}|{fact['aggregate']}" for fact in facts]
        rows = list(sources[1].find({"_id": {"$in": ids}}))
        assert len(facts) == len(rows) == count, f"{len(facts)} facts, {len(rows)} rows of {count}"
        targets = [_like(client, f"{source.name}_again", source if indexed else None) for source in sources]
        used = time.process_time()
        taken = [_upsert(*both, batch) for both in zip(targets, (facts, rows), strict=True)]
        return Upserted(taken[0], taken[1], time.process_time() - used)


def _like(client: MongoClient[Raw], name: str, source: Collection[Raw] | None) -> Collection[Raw]:
    collection = client[DATABASE].get_collection(name, write_concern=JOURNALED)
    collection.insert_one({})
    collection.delete_many({})
    for index_name, index in ({} if source is None else source.index_information()).items():
        if index_name != "_id_":
            chosen = {option: index[option] for option in ("unique", "sparse") if option in index}
            collection.create_index(index["key"], name=index_name, **chosen)
    return collection


def _upsert(collection: Collection[Raw], documents: Sequence[Raw], batch: int) -> float:
    began = time.perf_counter()
    for start in range(0, len(documents), batch):
        some = documents[start : start + batch]
        collection.bulk_write([ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in some], ordered=False)
    taken = time.perf_counter() - began
    collection.drop()
    return taken
