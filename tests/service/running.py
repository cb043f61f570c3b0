"""A whole node as a process of its own, as `pilotmesh up` runs it: `python -m tests.service.running [SERVICE …]`.

Servers are the embedded ones. The port is kept when the node is started again, so that clients find it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx

from deploy.node.home import read_note
from deploy.node.launcher import run_node
from deploy.node.loading import load_service
from shared.settings import SERVICES, Settings

PATIENCE_SECONDS = 60
ALL = (*SERVICES, "pages")


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """What `condition` answers once that is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return found


class RunningNode:
    """Started, stopped, killed; its agencies and actors made over HTTP."""

    def __init__(self, home: Path, *services: str, **environment: str) -> None:
        self.home = home
        self.services = services or ALL
        self.environment = environment
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port = found.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.words: list[str] = []
        self._admins: dict[str, str] = {}
        self._process: subprocess.Popen[str] | None = None
        self._reading = threading.Thread()
        self._clients: list[httpx.Client] = []

    # -- the process -----------------------------------------------------------------------------------------

    def start(self) -> Self:
        self.words = []
        settings = {"PILOTMESH_HOME": str(self.home), "PILOTMESH_PORT": str(self.port), **self.environment}
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.service.running", *self.services],
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._process = process

        def read() -> None:
            assert process.stdout is not None
            with process.stdout as words:
                for line in words:
                    self.words.append(line.rstrip())

        self._reading = threading.Thread(target=read, daemon=True)
        self._reading.start()
        until(lambda: "ready" in self.words or process.poll() is not None, "the node is ready")
        assert process.poll() is None, "\n".join(self.words)
        until((self.home / "tokens.json").exists, "the operator's token is written")
        return self

    def kill(self) -> None:
        """As kill -9 does: nothing is finished, nothing said."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        for client in self._clients:  # whoever forgot to close one does not leave a socket behind
            client.close()
        if self._process is not None:
            self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(PATIENCE_SECONDS)
        self._reading.join(PATIENCE_SECONDS)
        self._process = None

    @property
    def mongodb_uri(self) -> str:
        port = read_note(self.home)["servers"]["database"]["port"]
        return f"mongodb://127.0.0.1:{port}/?directConnection=true"

    # -- who may act -----------------------------------------------------------------------------------------

    @property
    def operator(self) -> str:
        token: str = json.loads((self.home / "tokens.json").read_text())["node"]["admin"]
        return token

    def host(self, agency: str) -> str:
        """Hosts the agency, once; the token of its admin."""
        if agency not in self._admins:
            with self.client(self.operator) as client:
                answer = client.post("/mesh/v1/agencies", json={"agency": agency})
                assert answer.status_code == 201, answer.text
                self._admins[agency] = answer.json()["admin"]["token"]
        return self._admins[agency]

    def new_actor(self, agency: str, roles: list[str]) -> dict[str, Any]:
        """A new actor of the agency, with its `id` and `token`."""
        with self.client(self.host(agency)) as client:
            answer = client.post("/mesh/v1/actors", json={"roles": roles})
            assert answer.status_code == 201, answer.text
            made: dict[str, Any] = answer.json()
            return made

    def actor(self, agency: str, roles: list[str]) -> str:
        """The token of a new actor of the agency, which is hosted if it was not."""
        return str(self.new_actor(agency, roles)["token"])

    def client(self, token: str | None = None) -> httpx.Client:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        made = httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False)
        self._clients.append(made)
        return made


def main(services: list[str]) -> None:
    run_node(
        Settings(),
        load=lambda: {name: load_service(name) for name in services or ALL},
        on_ready=lambda _: print("ready", flush=True),  # noqa: T201 - whoever started the process waits for it
    )


if __name__ == "__main__":
    main(sys.argv[1:])
