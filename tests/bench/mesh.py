"""A hub and its members under measurement: whole processes on loopback, as an operator runs them, and what they hold.

What they hold is read from their databases by the driver: asking the nodes themselves would burden what is measured.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from pymongo import MongoClient

from deploy.demo.federation.severing import Wire
from tests.node.federation import Hub, Member
from tests.service.running import RunningNode, until

from . import samples
from .node import memory_of, process_of

SERVICES = ("registry", "notifier", "mesh")
"""Of every node: what has facts to share, what tells of them, what carries them. Matching has a bench of its own."""
FOLDING = ("registry", "notifier")
WRITER, READER, NEWCOMER = "wfp", "fao", "unicef"
LEDGER = f"{WRITER}.registry"
LOOK_SECONDS = 0.005
PATIENCE_SECONDS = 1_200.0


class Holding:
    """What one node's databases say of the writer's ledger, as long as the context lasts."""

    def __init__(self, node: RunningNode) -> None:
        self._client: MongoClient[dict[str, Any]] = MongoClient(node.mongodb_uri)

    def __enter__(self) -> Holding:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def head(self) -> int:
        """So many facts are held; perhaps a few more."""
        found = self._client["pilotmesh_ledger"]["ledgers"].find_one({"_id": LEDGER})
        return 0 if found is None else int(found.get("tail", 0)) & ((1 << 40) - 1)

    def holds(self, sequence: int) -> bool:
        place = {"ledger": LEDGER, "epoch": 1, "sequence": sequence}
        return self._client["pilotmesh_ledger"]["facts"].find_one(place, {"_id": 1}) is not None

    def folded(self, services: Sequence[str] = FOLDING) -> int:
        """So many facts all of these services have folded."""
        found = [self._client[f"pilotmesh_{service}"]["cursors"].find_one({"_id": LEDGER}) for service in services]
        return min(0 if one is None else int(one["sequence"]) for one in found)


class Mesh:
    """A hub, an agency's node that writes, one that reads; the writer's link leads through a wire that can be cut."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.hub = Hub(folder / "hub", *SERVICES)
        self.wire = Wire(self.hub.leaf_port)
        self.writer = Member(folder / WRITER, WRITER, *SERVICES)
        self.reader = Member(folder / READER, READER, *SERVICES)
        self.newcomer: Member | None = None

    def start(self) -> None:
        self.hub.start()
        self.writer.join(self.hub, leaf=f"tls://127.0.0.1:{self.wire.port}").start()
        self.reader.join(self.hub).start()
        self.writer_token = self.writer.actor(WRITER, ["officer"])
        self.reader_token = self.reader.actor(READER, ["viewer"])
        with self.writer.client(self.writer_token) as client:
            answer = client.post("/registry/v1/pilots", json=samples.pilot(WRITER))
            assert answer.status_code == 201, answer.text
            self.pattern = str(answer.json()["id"])
        self.until_level(self.head())

    def stop(self) -> None:
        for node in (self.newcomer, self.reader, self.writer, self.hub):
            if node is not None:
                node.stop()
        self.wire.close()

    def add_newcomer(self) -> Member:
        """Joined, and not started yet."""
        self.newcomer = Member(self._folder / NEWCOMER, NEWCOMER, *SERVICES).join(self.hub)
        return self.newcomer

    def head(self) -> int:
        """The last sequence that the writer has recorded."""
        return int(self._of_writer()["sequence"])

    def until_published(self, sequence: int) -> None:
        """Waits until the writer's streams hold everything: from then on it is on others that anything waits."""
        until(
            lambda: (self._of_writer()["published"] or 0) >= sequence, "everything is in the stream", PATIENCE_SECONDS
        )

    def until_level(self, sequence: int) -> float:
        """Waits until hub and reader hold the fact and have folded it; how many seconds that took."""
        began = time.perf_counter()
        with Holding(self.hub) as hub, Holding(self.reader) as reader:
            wait(lambda: all(one.folded() >= sequence for one in (hub, reader)), "hub and reader are level")
        return time.perf_counter() - began

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The hub takes in nothing of the writer meanwhile."""
        with self.hub.client(self.hub.operator) as client:
            _must(client.post("/mesh/v1/pauses", json={"agency": WRITER}), 201)
            until(lambda: not self._hub_reads(client), "the hub has stopped to read the writer")
            yield
            _must(client.delete(f"/mesh/v1/pauses/{WRITER}"), 204)

    def _hub_reads(self, client: httpx.Client) -> bool:
        told = _must(client.get("/mesh/v1/status"), 200).json()
        return WRITER in {peer["domain"] for peer in told["peers"]}

    def _of_writer(self) -> dict[str, Any]:
        with self.writer.client(self.writer.operator) as client:
            told = _must(client.get("/mesh/v1/status"), 200).json()["ledgers"]
        return next(one for one in told if one["ledger"] == LEDGER)


@contextmanager
def standing_still(*nodes: RunningNode) -> Iterator[None]:
    """Meanwhile these nodes' services do nothing, as if they had machines of their own; their servers go on."""
    processes = [process_of(node) for node in nodes]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


def wait(reached: Callable[[], bool], what: str, look: float = LOOK_SECONDS) -> None:
    """Until it is so, looking often: what is timed takes fractions of a second."""
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while not reached():
        assert time.perf_counter() < deadline, f"not within {PATIENCE_SECONDS} s: {what}"
        time.sleep(look)


def megabytes(node: RunningNode) -> float:
    """Resident memory of all the node's processes."""
    return memory_of(node) / 2**20


def _must(answer: httpx.Response, status: int) -> httpx.Response:
    assert answer.status_code == status, answer.text
    return answer
