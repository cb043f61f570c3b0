"""A node whose processes are killed: all of it, one of its servers, or itself at a step of its own work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

from deploy.node.home import read_note
from shared.settings import Settings
from tests.faults.crashing_node import BEGUN, ENDED, READY
from tests.faults.steps import ALL, CRASHED, Step
from tests.service.running import PATIENCE_SECONDS, RunningNode, until


class FaultyNode(RunningNode):
    """Keeps its port and home over all its deaths, and counts them. Use it as a context: it begins stopped."""

    def __init__(self, home: Path, *services: str, **environment: str) -> None:
        super().__init__(home, *services, **environment)
        self.kills = 0
        self._pid: int | None = None
        settings = {"PILOTMESH_HOME": str(home), "PILOTMESH_PORT": str(self.port), **environment}
        self._starter = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.crashing_node", *self.services],
            env={**os.environ, **settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        assert self._starter.stdin is not None
        self._starter.stdin.close()
        self._starter.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)

    def _read(self) -> None:
        assert self._starter.stdout is not None
        with self._starter.stdout as said:
            for line in said:
                self.words.append(line.rstrip())

    # -- its lives -------------------------------------------------------------------------------------------

    def start(self) -> Self:
        self.begin()
        self.wait_ready()
        return self

    def begin(self, step: Step | None = None, call: int = 0) -> None:
        """Starts the process without waiting; with a `step` it dies at the `call`-th time that it comes there."""
        assert self._pid is None, "one node at a time"
        assert self._starter.stdin is not None
        self.words.clear()
        self._starter.stdin.write(f"{0 if step is None else ALL.index(step)} {call}\n")
        until(lambda: self._word(BEGUN) or self._starter.poll() is not None, "the node is started")
        assert self._starter.poll() is None, self.told()
        self._pid = int(self._word(BEGUN) or 0)

    def wait_ready(self) -> None:
        until(lambda: READY in self.words or self._word(ENDED), "the node is ready")
        assert READY in self.words, self.told()
        until((self.home / "tokens.json").exists, "the operator's token is written")

    def wait_for_crash(self, step: Step, seconds: float = PATIENCE_SECONDS) -> None:
        """Returns when the process has died at this step. Fails if it died of anything else, or lives on."""
        self._wait_end(f"the node comes to: {step.name}", seconds)
        assert f"{CRASHED} {step.name}" in self.words, self.told()
        self.kills += 1

    def kill(self) -> None:
        self._end(signal.SIGKILL)
        self.kills += 1

    def kill_server(self, name: str) -> None:
        """`database` or `nats-server`; returns when the node's keeper has started another in its place."""
        pid = self.pid_of(name)
        os.kill(pid, signal.SIGKILL)
        self.kills += 1
        until(lambda: self.pid_of(name) not in (None, pid), f"another {name} is started")

    def stop(self) -> None:
        if self._pid is not None:
            self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        assert self._pid is not None
        if not self._word(ENDED):
            os.kill(self._pid, number)
        self._wait_end("the node ends", PATIENCE_SECONDS)

    def _wait_end(self, what: str, seconds: float) -> None:
        until(lambda: self._word(ENDED), what, seconds)
        self._pid = None

    # -- what is known of it ---------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """With the addresses in use."""
        note = read_note(self.home)
        return Settings(home=self.home, mongodb_uri=note["mongodb_uri"], nats_url=note["nats_url"])

    def pid_of(self, server: str) -> Any:
        return read_note(self.home)["servers"].get(server, {}).get("pid")

    def told(self) -> str:
        """What the node said last."""
        return "\n".join(self.words[-40:])

    def _word(self, name: str) -> str | None:
        """What follows this word at the beginning of a line, if it was said in this life."""
        return next((line.split()[1] for line in self.words if line.startswith(f"{name} ")), None)
