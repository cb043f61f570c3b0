"""The node under measurement: a process as `pilotmesh up` runs it, what it weighs, and what its servers are called."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import httpx
from pymongo import MongoClient

from deploy.nats.provision import PROVISIONER
from deploy.node.home import read_note
from shared.settings import Settings
from tests.service.running import RunningNode, until

AGENCIES = ("wfp", "fao", "unicef", "itu")
LEVEL_SECONDS = 60.0


class BenchNode(RunningNode):
    """A running node with its addresses, its agencies, and the processor time and memory of its processes."""

    def start_to_ready(self) -> float:
        """Seconds from starting the process until the node says of every part that it is ready."""
        began = time.perf_counter()
        self.start()
        with self.client() as client:
            until(lambda: client.get("/readyz").status_code == 200, "every part is ready")
        return time.perf_counter() - began

    @property
    def database_uri(self) -> str:
        return os.environ.get("PILOTMESH_MONGODB_URI") or self.mongodb_uri

    @property
    def nats_url(self) -> str:
        return os.environ.get("PILOTMESH_NATS_URL") or str(read_note(self.home)["nats_url"])

    @property
    def nats_options(self) -> dict[str, Any]:
        user, password = Settings(home=self.home).nats_login(PROVISIONER)
        return {"servers": self.nats_url, "user": user, "password": password}

    @property
    def process_id(self) -> int:
        return process_of(self)

    def officers(self) -> dict[str, str]:
        """A token that may write, per agency."""
        return {agency: self.actor(agency, ["officer", "coordinator", "monitor"]) for agency in AGENCIES}

    def processor_seconds(self) -> float:
        """Processor time that the services' process has used until now."""
        return _used(self.process_id)

    def memory(self) -> int:
        """Resident bytes of the node's process and all its children's."""
        return memory_of(self)

    def wait_until_level(self, seconds: float = LEVEL_SECONDS) -> float:
        """Waits until every service has folded every fact; how many seconds that took. Gives up after `seconds`."""
        began = time.perf_counter()
        with self.client(self.operator) as client:
            following = [name for name in ("registry", "matching", "metrics", "notifier") if name in self.services]
            while time.perf_counter() - began < seconds:
                if not any(_behind(client, name) for name in following):
                    break
                time.sleep(0.05)
        return time.perf_counter() - began

    def databases_named(self) -> tuple[str, str]:
        """The names and versions of the database and of NATS."""
        return servers_named(self.database_uri, self.nats_url)


def servers_named(database_uri: str, nats_url: str) -> tuple[str, str]:
    """Names and versions of a database and of a NATS server."""
    with MongoClient[dict[str, Any]](database_uri) as client:
        told = client.server_info()["version"]
    database = f"MongoDB {told}"
    if "PILOTMESH_MONGODB_URI" not in os.environ:
        database = f"SecantusDB {_installed('secantusdb')} (embedded; speaks MongoDB {told})"
    return database, f"nats-server {_nats_version(nats_url)}"


def process_of(node: RunningNode) -> int:
    assert node._process is not None
    return node._process.pid


def processor_of(node: RunningNode, *children: str) -> float:
    """Processor seconds that a node has used until now; of some of its servers alone, where they are named."""
    servers = read_note(node.home)["servers"]
    found = [int(servers[name]["pid"]) for name in children] or _tree(process_of(node))
    return sum(_used(process) for process in found)


def memory_of(node: RunningNode) -> int:
    """Resident bytes of a node's process and all its children's."""
    return sum(_resident(process) for process in _tree(process_of(node)))


def _behind(client: httpx.Client, service: str) -> bool:
    answer = client.get(f"/{service}/v1/lag")
    return answer.status_code == 200 and bool(answer.json()["behind"])


def _tree(process: int) -> list[int]:
    found = [process]
    for task in Path(f"/proc/{process}/task").iterdir():
        with suppress(FileNotFoundError):  # the thread has ended; those it started count by another
            for child in (task / "children").read_text().split():
                found += _tree(int(child))
    return found


def _used(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(process: int) -> int:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def _installed(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "of unknown version"


def _nats_version(url: str) -> str:
    host, _, port = url.rsplit("@", 1)[-1].removeprefix("nats://").partition(":")
    with socket.create_connection((host, int(port or 4222)), timeout=5) as connection:
        greeting = connection.makefile("rb").readline()
    return str(json.loads(greeting.removeprefix(b"INFO "))["version"])
