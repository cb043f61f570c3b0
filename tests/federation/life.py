"""A process that is one node, from the outside."""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
from typing import Any

from shared.settings import Settings
from tests.federation.real_node import live

PATIENCE_SECONDS = 90.0

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.federation.real_node"])


class Gone(Exception):  # noqa: N818 - what happened
    """The node died before it answered."""


class Life:
    """A node's process."""

    def __init__(self, settings: Settings) -> None:
        self._pipe, theirs = _processes.Pipe()
        self._process = _processes.Process(target=live, args=(settings, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def answer(self) -> Any:
        """Raises Gone."""
        try:
            if not self._pipe.poll(PATIENCE_SECONDS):
                raise AssertionError(f"a node does not answer within {PATIENCE_SECONDS} s")
            well, told = self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            self._process.join()
            raise Gone from error
        assert well, told
        return told

    def ask(self, name: str, *arguments: Any) -> Any:
        """Raises Gone."""
        try:
            self._pipe.send((name, arguments))
        except ConnectionError as error:
            self._process.join()
            raise Gone from error
        return self.answer()

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


def load_ahead() -> None:
    """What all nodes are forked from loads everything from now on, in the background."""
    multiprocessing.forkserver.ensure_running()
