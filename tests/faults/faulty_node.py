"""A node whose processes are killed: all of it, one of its servers, or itself at a step of its own work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Any

from deploy.node.home import read_note
from tests.faults.steps import CRASHED, STEPS, Step
from tests.service.running import PATIENCE_SECONDS, RunningNode, until


class FaultyNode(RunningNode):
    """Keeps its port and home over all its deaths, and counts them."""

    kills = 0

    def start(self) -> FaultyNode:
        self.begin()
        self.wait_ready()
        return self

    def begin(self, step: Step | None = None, call: int = 0) -> None:
        """Starts the process and returns at once; with a `step` it dies at the `call`-th time it comes there."""
        self.words = words = []
        settings = {"PILOTMESH_HOME": str(self.home), "PILOTMESH_PORT": str(self.port), **self.environment}
        number = 0 if step is None else STEPS.index(step)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.crashing_node", str(number), str(call), *self.services],
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._process = process

        def read() -> None:
            assert process.stdout is not None
            with process.stdout as said:
                for line in said:
                    words.append(line.rstrip())

        self._reader = threading.Thread(target=read, daemon=True)
        self._reader.start()

    def wait_ready(self) -> None:
        process = self._process
        assert process is not None
        until(lambda: "ready" in self.words or process.poll() is not None, "the node is ready")
        assert process.poll() is None, "\n".join(self.words)
        until(lambda: (self.home / "tokens.json").exists(), "the operator's token is written")

    def wait_for_crash(self, step: Step, seconds: float = 60) -> None:
        """Returns when the process has died at this step. Fails if it died of anything else, or lives on."""
        process = self._process
        assert process is not None
        until(lambda: process.poll() is not None, f"the node comes to: {step.name}", seconds)
        self._reader.join(10)
        assert self.words[-1:] == [f"{CRASHED} {step.name}"], "\n".join(self.words[-30:])
        self._process = None
        self.kills += 1

    def kill(self) -> None:
        super().kill()
        self.kills += 1

    def _end(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        self._process = None

    def kill_server(self, name: str) -> None:
        """`database` or `nats-server`; returns when the node's keeper has started another in its place."""
        pid = self.pid_of(name)
        os.kill(pid, signal.SIGKILL)
        self.kills += 1
        until(lambda: self.pid_of(name) not in (None, pid), f"another {name} is started")

    def pid_of(self, name: str) -> Any:
        return read_note(self.home)["servers"].get(name, {}).get("pid")
