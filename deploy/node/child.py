"""A server that runs as a child process: started, watched, started again when it dies or gives up, ended in the end."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.node.home import NodeError

logger = logging.getLogger(__name__)

TETHER = Path(__file__).with_name("tether.py")
LOG_BYTES = 16 * 2**20
"""A log larger than this is set aside as `.1` at the next start."""
BACKOFF_SECONDS = (0.1, 5.0)
"""The wait before a dead server is started again: the first, and the longest (it doubles in between)."""
CALM_SECONDS = 30.0
"""A server that ran this long before it died waits the shortest time again."""
WATCH_SECONDS = 5.0
"""How often a running server is asked whether it has given up."""


class Child:
    """One server. `probe` answers whether it can be used; `on_start` is told the process id at every start;
    `wake` is called while the server stops, for one that looks up only at a connection. `gave_up` says why the
    server, although it runs, can do nothing more until it is started anew: saying so twice, it is killed.

    A thread starts the process and waits for it: the kernel ends the process with the thread that started it, so
    that thread lives as long as the server is wanted.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        probe: Callable[[], bool],
        wake: Callable[[], object] = lambda: None,
        gave_up: Callable[[], str | None] = lambda: None,
        inherit: Sequence[int] = (),
        on_start: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._probe = probe
        self._wake = wake
        self._gave_up = gave_up
        self._inherit = tuple(inherit)
        self._on_start = on_start
        self._process: subprocess.Popen[bytes] | None = None
        self._was_ready = False
        self._wanted = threading.Event()
        self._unwanted = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"keep {name}", daemon=True)
        self._watcher = threading.Thread(target=self._watch, name=f"watch {name}", daemon=True)
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_name(self.log.name + ".1"))
        self._thread.start()
        self._watcher.start()

    def wait_ready(self, timeout_seconds: float = 30) -> None:
        """Returns once the server can be used; raises `NodeError` with the end of its log when it cannot."""
        deadline = time.monotonic() + timeout_seconds
        while not self._probe():
            if self._ended.is_set():
                raise NodeError(f"{self.name} did not start. The end of {self.log}:\n{self._last_words()}")
            if time.monotonic() > deadline:
                raise NodeError(
                    f"{self.name} gives no answer after {timeout_seconds:.0f} s. "
                    f"The end of {self.log}:\n{self._last_words()}"
                )
            time.sleep(0.01)
        self._was_ready = True

    def is_ready(self) -> bool:
        return self.pid is not None and self._probe() and self._gave_up() is None

    def stop(self, timeout_seconds: float = 10) -> None:
        """Ends the server: asks first, insists after `timeout_seconds`. Without effect when it has ended."""
        self._unwanted.set()
        if self._thread.ident is None:
            return
        for insist in (False, True):
            process = self._process
            if process is not None and process.poll() is None:
                if insist:
                    logger.warning("%s did not stop within %.0f s and is killed", self.name, timeout_seconds)
                    process.kill()
                else:
                    process.terminate()
            deadline = time.monotonic() + timeout_seconds
            while self._thread.is_alive() and time.monotonic() < deadline:
                self._thread.join(0.05)
                self._wake()

    def _keep(self) -> None:
        shortest, longest = BACKOFF_SECONDS
        wait = shortest
        try:
            while not self._unwanted.is_set():
                started = time.monotonic()
                status = self._run_once()
                if self._unwanted.is_set() or not self._was_ready:
                    return
                if time.monotonic() - started > CALM_SECONDS:
                    wait = shortest
                logger.error("%s ended (%s); starting it again in %.1f s; see %s", self.name, status, wait, self.log)
                self.restarts += 1
                self._unwanted.wait(wait)
                wait = min(wait * 2, longest)
        finally:
            self._ended.set()

    def _watch(self) -> None:
        suspect: subprocess.Popen[bytes] | None = None
        while not self._ended.wait(WATCH_SECONDS):
            process = self._process
            reason = self._gave_up() if self._was_ready and self.pid is not None else None
            if reason is not None and process is suspect and process is not None and not self._unwanted.is_set():
                logger.error("%s runs but has given up (%s) and is killed", self.name, reason)
                process.kill()
            suspect = None if reason is None else process

    def _run_once(self) -> str:
        tethered = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *self._command]
        with self.log.open("ab") as log:
            try:
                # A session of its own: Ctrl-C in the terminal is for the node, which ends its servers last.
                self._process = subprocess.Popen(  # noqa: S603 (our own command)
                    tethered,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=self._inherit,
                    cwd=self.log.parent,
                )
            except OSError as error:
                log.write(f"cannot be started: {error}\n".encode())
                return str(error)
        try:
            self._on_start(self._process.pid)
        except OSError as error:  # a full disk: the server is kept all the same
            logger.warning("the start of %s could not be noted: %s", self.name, error)
        if self._unwanted.is_set():  # stop() came between the two and saw the process before
            self._process.terminate()
        return f"status {self._process.wait()}"

    def _last_words(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").splitlines()[-12:]
        except OSError:
            lines = []
        return "\n".join(f"    {line}" for line in lines) or "    (it is empty)"
