"""The nodes as an operator would run them: each `pilotmesh up` in a process of its own, with a home of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from deploy.cli import tokens
from deploy.cli.connection import Connection
from deploy.cli.speaking import NoAnswer, Unreachable
from deploy.demo.federation.severing import Wire
from deploy.node.embedded import LOOPBACK, free_port
from deploy.node.home import read_note
from deploy.node.hub import HubLink, make_hub
from deploy.node.joining import join, read_invite
from shared.settings import Settings

PATIENCE_SECONDS = 90.0
ROLES = ("officer", "approver", "monitor")

Found = TypeVar("Found")


def until(look: Callable[[], Found | None], what: str, seconds: float = PATIENCE_SECONDS) -> Found:
    """What `look` answers once that is something. Raises Unreachable, naming what was waited for."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise Unreachable(f"Not within {seconds:.0f} s: {what}.", remedy="See logs/ in the nodes' homes.")
        time.sleep(0.05)
    return found


class Node:
    """One node's process, and calls to it in the names of its actors."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.home = folder / name
        self.port = free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PILOTMESH_")}
        environment |= {"PILOTMESH_HOME": str(self.home), "PILOTMESH_PORT": str(self.port)}
        with (self.home / "up.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "deploy.cli", "up"],
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the demo, which stops its nodes
            )
        self._connection = Connection(self.url, None)

    def wait_ready(self) -> None:
        """Raises Unreachable when the node does not get ready."""

        def ready() -> bool:
            assert self._process is not None
            if self._process.poll() is not None:
                raise Unreachable(f"{self.name} did not start.", remedy=f"See {self.home}/up.log.")
            with suppress(NoAnswer):
                return self._reach().reach("GET", "/readyz").status_code == 200
            return False

        until(ready, f"{self.name} is ready")
        until(lambda: "admin" in tokens.read(self.home).get("node", {}), "the operator's token is written")

    def stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)

    def as_(self, agency: str, role: str = "admin") -> Connection:
        """In the name of an actor of the agency; `node` is the operator. An actor that is missing is added."""
        held = tokens.read(self.home)
        if role not in held.get(agency, {}):
            added = self.as_(agency).post("/mesh/v1/actors", {"roles": [role]})
            tokens.keep(self.home, agency, {role: added["token"]})
            held = tokens.read(self.home)
        return self._reach().acting(held[agency][role])

    @property
    def mongodb_uri(self) -> str:
        return str(read_note(self.home)["mongodb_uri"])

    def _reach(self) -> Connection:
        assert self._connection is not None
        return self._connection


class Federation:
    """A hub and one node for each agency. `wires` are those links that can be cut."""

    def __init__(self, folder: Path, agencies: tuple[str, ...], cut_off: str) -> None:
        self.hub = Node("hub", folder)
        self.members = {agency: Node(agency, folder) for agency in agencies}
        self._leaf_port = free_port()
        self._cut_off = cut_off
        self.wire: Wire | None = None

    @property
    def nodes(self) -> list[Node]:
        return [self.hub, *self.members.values()]

    def start(self) -> None:
        """The hub, then the members one after the other by their invites, started side by side."""
        link = HubLink((LOOPBACK,), listen=f"{LOOPBACK}:{self._leaf_port}")
        make_hub(Settings(home=self.hub.home, nats_domain="hub"), link)
        self.hub.start()
        self.hub.wait_ready()
        self.wire = Wire(self._leaf_port)
        for agency, member in self.members.items():
            invite = self.hub.as_("node").post("/mesh/v1/invites", {"agency": agency})
            if agency == self._cut_off:
                invite["hub"]["leaf"] = [f"tls://{LOOPBACK}:{self.wire.port}"]
            settings = Settings(home=member.home, public_url=member.url, nats_domain=agency)
            join(settings, read_invite(json.dumps(invite)), _post)
            member.start()
        for member in self.members.values():
            member.wait_ready()

    def stop(self) -> None:
        """All at once: each takes a moment."""
        threads = [threading.Thread(target=node.stop) for node in self.nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.wire is not None:
            self.wire.close()


def _post(address: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
    parts = urlsplit(address)
    with closing(Connection(f"{parts.scheme}://{parts.netloc}", None)) as hub:
        told: Mapping[str, Any] = hub.post(parts.path, dict(document))
        return told
