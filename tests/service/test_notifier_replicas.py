"""Two replicas of the notifier beside each other: one journal, the same ids, and one takes over from the other."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from deploy.node.home import read_note

from .event_reader import EventReader
from .running import RunningNode, until
from .test_notifier_stream import register, writing


class Replica:
    """A notifier alone, as a container runs it, on the servers of a node that runs."""

    def __init__(self, node: RunningNode) -> None:
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port = found.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        nats = read_note(node.home)["servers"]["nats-server"]["port"]
        settings = {
            "PILOTMESH_HOME": str(node.home),
            "PILOTMESH_PORT": str(self.port),
            "PILOTMESH_MONGODB_URI": node.mongodb_uri,
            "PILOTMESH_NATS_URL": f"nats://127.0.0.1:{nats}",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deploy.node.serve", "notifier"],
            env={**os.environ, **settings},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def is_ready(self) -> bool:
        assert self.process.poll() is None
        try:
            return httpx.get(f"{self.url}/notifier/readyz", trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@contextmanager
def replica(node: RunningNode) -> Iterator[Replica]:
    made = Replica(node)
    try:
        until(made.is_ready, "the replica is ready")
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def shared_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node whose notifiers are replicas that tests start."""
    running = RunningNode(tmp_path_factory.mktemp("shared"), "mesh")
    try:
        yield running.start()
    finally:
        running.stop()


def reading(one: Any, token: str, **more: Any) -> EventReader:
    return EventReader(one, token, "?kinds=pilot", **more)


def test_replicas_tell_the_same_under_the_same_ids_and_one_takes_over_from_the_other(shared_node: RunningNode) -> None:
    token = shared_node.actor("wfp", ["viewer"])
    with replica(shared_node) as first, replica(shared_node) as second:
        here, there = reading(first, token).opened(), reading(second, token).opened()
        with writing(shared_node) as registry:
            places = [register(registry) for _ in range(20)]
            here.wait_for(20)
            there.wait_for(20)
            assert here.ids == there.ids == places
            assert [one.id for one in here.events] == [one.id for one in there.events]

            crossing = reading(second, token, last_id=here.events[9].id).wait_for(10)
            assert crossing.ids == places[10:], "an id of one replica is good at the other"

            first.end()
            places += [register(registry) for _ in range(5)]
            there.wait_for(25)
            assert there.ids == places, "the other goes on"
            resumed = reading(second, token, last_id=here.last_id).wait_for(5)
            assert resumed.ids == places[20:]
        for reader in (here, there, crossing, resumed):
            reader.close()
