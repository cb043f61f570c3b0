"""Two replicas of the registry behind one address, with one mesh service, one database and one NATS.

Processes are those of a node in containers (`python -m deploy.node.serve`). Requests go to the replicas in turn, as
through the reverse proxy in front; one that is sent to a dead replica fails, and the client's next attempt meets the
other.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import IO

import httpx

from shared.ledger.identity import ensure_identity
from shared.settings import Settings
from tests.service.running import PATIENCE_SECONDS, RunningNode, until

REGISTRIES = ("registry", "registry again")


class Replicas(RunningNode):
    """Started together; each can be killed and started alone."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.home, "mesh", "registry")
        self.settings = settings
        self.kills = 0
        self._ports = {name: free_port() for name in ("mesh", *REGISTRIES)}
        self._turns = itertools.cycle(REGISTRIES)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: dict[str, IO[bytes]] = {}

    def __enter__(self) -> Replicas:
        ensure_identity(self.home)
        for name in self._ports:
            self.begin(name)
        for name in self._ports:
            self.wait_until_ready(name)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.wait(PATIENCE_SECONDS)
        for log in self._logs.values():
            log.close()

    def begin(self, name: str) -> None:
        environment = {
            "PILOTMESH_HOME": str(self.home),
            "PILOTMESH_PORT": str(self._ports[name]),
            "PILOTMESH_MONGODB_URI": str(self.settings.mongodb_uri),
            "PILOTMESH_NATS_URL": str(self.settings.nats_url),
            "PILOTMESH_DATABASE_PREFIX": self.settings.database_prefix,
            "PILOTMESH_LEASE_SECONDS": "1",
        }
        if name not in self._logs:
            self._logs[name] = (self.home / f"{name}.log").open("ab")
        self._processes[name] = subprocess.Popen(
            [sys.executable, "-m", "deploy.node.serve", name.split(maxsplit=1)[0]],
            env={**os.environ, **environment},
            stdout=self._logs[name],
            stderr=subprocess.STDOUT,
        )

    def wait_until_ready(self, name: str) -> None:
        process, port = self._processes[name], self._ports[name]

        def ready() -> bool:
            assert process.poll() is None, (self.home / f"{name}.log").read_text()[-3000:]
            try:
                return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5, trust_env=False).status_code == 200
            except httpx.TransportError:
                return False

        until(ready, f"{name} is ready")

    def kill(self, name: str = REGISTRIES[0]) -> None:
        self._processes[name].send_signal(signal.SIGKILL)
        self._processes[name].wait(PATIENCE_SECONDS)
        self.kills += 1

    def client(self, token: str | None = None) -> httpx.Client:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, transport=_InFront(self), trust_env=False)

    def port_for(self, path: str) -> int:
        """Where a request for this path goes next."""
        return self._ports[next(self._turns) if path.startswith("/registry/") else "mesh"]


class _InFront(httpx.BaseTransport):
    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self._wire = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(port=self._replicas.port_for(request.url.path))
        return self._wire.handle_request(request)

    def close(self) -> None:
        self._wire.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def in_turn(times: int) -> Iterator[str]:
    """Names of registries to kill, one after the other."""
    return itertools.islice(itertools.cycle(REGISTRIES), times)
