"""A node stands on its own: it starts its servers, keeps them, survives their deaths, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from deploy.node import home as homes
from deploy.node.home import Home, NodeError, read_note

PATIENCE_SECONDS = 30


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s: {what}"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that ended and that nobody has fetched yet (state Z) does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class SmallNode:
    """A node as a process of its own, its words collected."""

    def __init__(self, home: Path, *, port: int = 0) -> None:
        self.home = home
        self.words: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.node.small_node"],
            env={**os.environ, "PILOTMESH_HOME": str(home), "PILOTMESH_PORT": str(port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.words.append(line.rstrip())

    def ready(self) -> SmallNode:
        until(lambda: bool(self.url) or self.process.poll() is not None, "the node is ready")
        assert self.process.poll() is None, self.words
        return self

    @property
    def url(self) -> str:
        return next((line.split()[-1] for line in self.words if line.startswith("ready at ")), "")

    def server(self, name: str) -> dict[str, int]:
        server: dict[str, int] = read_note(self.home)["servers"][name]
        return server

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=10)

    def register(self, name: str) -> int:
        return httpx.post(f"{self.url}/registry/v1/pilots/{name}", timeout=10).status_code

    def pilots(self) -> list[str]:
        listed: list[str] = self.get("/registry/v1/pilots").json()
        return listed

    def is_ready(self) -> bool:
        return self.get("/readyz").status_code == 200

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        status = self.process.wait(PATIENCE_SECONDS)
        self._reading.join(PATIENCE_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., SmallNode]]:
    nodes: list[SmallNode] = []

    def started(home: Path = tmp_path / "home", **options: int) -> SmallNode:
        nodes.append(SmallNode(home, **options))
        return nodes[-1]

    yield started
    for node in nodes:
        if node.process.poll() is None:
            node.process.terminate()
        node.ended()


Start = Callable[..., SmallNode]


def test_a_node_answers_under_its_paths_and_says_how_it_stands(start: Start) -> None:
    node = start().ready()
    assert node.get("/").json() == "my work"
    assert node.register("school-mapping") == 200
    assert node.pilots() == ["school-mapping"]
    ready = node.get("/readyz").json()
    assert ready["ok"]
    assert set(ready["parts"]) == {"registry", "pages", "database", "nats-server"}
    assert node.get("/healthz").json()["parts"]["registry"] == {"ok": True, "detail": {"service": "registry"}}


def test_a_note_tells_other_programs_where_the_node_is(start: Start) -> None:
    node = start().ready()
    until(lambda: "url" in read_note(node.home), "the note names the address")
    note = read_note(node.home)
    assert note["pid"] == node.process.pid
    assert note["url"] == node.url
    assert note["mongodb_uri"].startswith("mongodb://127.0.0.1:")
    assert note["nats_url"].startswith("nats://127.0.0.1:")


def test_a_stop_ends_streams_lets_requests_finish_and_leaves_nothing(start: Start) -> None:
    node = start().ready()
    pids = [node.server("database")["pid"], node.server("nats-server")["pid"]]
    slow: list[httpx.Response] = []
    waiting = threading.Thread(target=lambda: slow.append(node.get("/registry/v1/slow")))
    with httpx.stream("GET", f"{node.url}/registry/v1/stream", timeout=20) as stream:
        chunks = stream.iter_text()
        assert next(chunks) == "data: first\n\n"
        waiting.start()
        until(lambda: "slow answer began" in node.words, "the slow request is under way")
        node.process.send_signal(signal.SIGTERM)
        assert list(chunks) == []  # ended properly, or httpx raises
    waiting.join()
    assert node.ended() == 0
    assert slow[0].json() == "finished"
    assert not any(is_alive(pid) for pid in pids)
    assert read_note(node.home) == {}
    order = [line for line in node.words if line.endswith(("began", "ended", "stopped"))]
    order.remove("slow answer began")
    assert order == ["registry began", "pages began", "pages ended", "registry ended", "stopped"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_ctrl_c_and_a_closed_terminal_stop_it_as_well(start: Start, number: signal.Signals) -> None:
    node = start().ready()
    assert node.stop(number) == 0
    assert node.words[-1] == "stopped"


def test_a_stop_while_it_starts_leaves_nothing(start: Start) -> None:
    node = start()
    until(lambda: "servers" in read_note(node.home), "the servers are starting")
    pids = [server["pid"] for server in read_note(node.home)["servers"].values()]
    assert node.stop() == 0
    assert not any(is_alive(pid) for pid in pids)


def test_data_outlives_a_stop(start: Start) -> None:
    first = start().ready()
    first.register("flood-extent")
    first.stop()
    assert start().ready().pilots() == ["flood-extent"]


def test_after_kill_9_of_the_node_its_servers_end_and_it_starts_again(start: Start) -> None:
    node = start().ready()
    node.register("acknowledged")
    pids = [node.server("database")["pid"], node.server("nats-server")["pid"]]
    node.process.kill()
    again = start().ready()  # waits for the servers of the first, which hold the home's lock
    assert not any(is_alive(pid) for pid in pids)
    assert again.pilots() == ["acknowledged"]


@pytest.mark.parametrize("name", ["database", "nats-server"])
def test_a_server_that_dies_comes_back_at_the_same_address_with_what_it_held(start: Start, name: str) -> None:
    node = start().ready()
    node.register("acknowledged")
    before = dict(node.server(name))
    os.kill(before["pid"], signal.SIGKILL)
    until(lambda: node.server(name)["pid"] != before["pid"] and node.is_ready(), f"{name} is back")
    assert node.server(name)["port"] == before["port"]
    assert node.pilots() == ["acknowledged"]
    log = (node.home / "logs" / "node.log").read_text()
    assert f"{name} ended (status -9); starting it again" in log


def test_readiness_names_the_server_that_is_away(start: Start) -> None:
    node = start().ready()
    os.kill(node.server("nats-server")["pid"], signal.SIGSTOP)
    try:
        until(lambda: not node.is_ready(), "the node says that it is not ready")
        parts = node.get("/readyz").json()["parts"]
        assert parts["nats-server"] == {"ok": False, "detail": "gives no answer"}
        assert parts["database"]["ok"]
    finally:
        os.kill(node.server("nats-server")["pid"], signal.SIGCONT)


def test_two_nodes_cannot_use_one_home(start: Start) -> None:
    first = start().ready()
    until(lambda: "url" in read_note(first.home), "the note names the address")
    second = start()
    assert second.ended() == 1
    assert f"is in use by another node (process {first.process.pid}, {first.url})" in second.words[-1]
    assert "PILOTMESH_HOME" in second.words[-1]
    assert first.is_ready()


def test_a_taken_port_is_named_before_anything_starts(start: Start, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        node = start(port=port)
        assert node.ended() == 1
    assert node.words == [
        f"refused: cannot listen on 127.0.0.1:{port}: Address already in use. Stop what listens there, "
        f"or set PILOTMESH_PORT (0 takes a free one) and PILOTMESH_HOST."
    ]
    assert not (tmp_path / "home").exists()


def test_a_server_that_cannot_start_is_quoted(start: Start, tmp_path: Path) -> None:
    store = tmp_path / "home" / "nats" / "jetstream"
    store.parent.mkdir(parents=True)
    store.write_text("a file where a folder is needed")
    node = start()
    assert node.ended() == 1
    said = "\n".join(node.words)
    assert "nats-server did not start" in said
    assert "storage directory is not a directory" in said.lower()


def test_a_full_disk_is_said_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homes, "ROOM_BYTES", 2**60)
    with pytest.raises(NodeError, match="MiB free, a node needs"):
        Home(tmp_path)


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NodeError, match="PILOTMESH_HOME"):
        Home(tmp_path / "file" / "home")


def test_a_home_is_free_again_when_closed(tmp_path: Path) -> None:
    first = Home(tmp_path)
    first.note(url="http://127.0.0.1:1")
    assert json.loads((tmp_path / "node.json").read_text()) == {"pid": os.getpid(), "url": "http://127.0.0.1:1"}
    first.close()
    Home(tmp_path).close()


def test_servers_that_outlive_a_killed_node_are_named(tmp_path: Path) -> None:
    first = Home(tmp_path)
    first.note(servers={"database": {"pid": 4711}})
    outliving = os.dup(first.servers_lock)
    first._lock.close()  # the node is gone, its database is not
    first._servers_lock.close()
    with pytest.raises(NodeError, match=r"its servers have not \(database: process 4711\)"):
        Home(tmp_path, patience_seconds=0.1)
    os.close(outliving)
    Home(tmp_path).close()
