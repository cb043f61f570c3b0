"""A node's home folder: one node at a time, room on the disk, and a note for the CLI about what runs."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

ROOM_BYTES = 256 * 2**20
"""Free space below which a node does not start: the servers fail in worse ways when a disk fills up under them."""


class NodeError(Exception):
    """Why a node cannot start or go on, and what its operator can do."""


class Home:
    """The folder of one node, locked while this object is open.

    Two locks, both the kernel's, so that a `kill -9` cannot leave one behind: the node's own, and one that the
    servers inherit (`servers_lock`) and hold until they have ended. A node that finds the second one taken alone
    waits: the servers of a killed node are ending.

    Raises `NodeError` when another node uses the folder, it cannot be written, or the disk is full.
    """

    def __init__(self, folder: Path, *, patience_seconds: float = 15) -> None:
        self.path = folder.expanduser().absolute()
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.logs.mkdir(exist_ok=True)
            self._lock = (self.path / "lock").open("a+")
            self._servers_lock = (self.path / "servers.lock").open("a+")
        except OSError as error:
            raise NodeError(
                f"cannot write to {self.path}: {error.strerror}. Set PILOTMESH_HOME to a folder of yours."
            ) from error
        try:
            self._acquire(patience_seconds)
            self._check_room()
        except NodeError:
            self._release()
            raise
        self._note: dict[str, Any] = {"pid": os.getpid()}
        self._noting = threading.Lock()

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def servers_lock(self) -> int:
        """The descriptor that every server must inherit."""
        return self._servers_lock.fileno()

    def note(self, **facts: object) -> None:
        """Adds to `node.json`, which says where the running node and its servers are reached."""
        with self._noting:  # each server's thread notes its own
            self._note |= facts
            unfinished = self.path / "node.json.new"
            unfinished.write_text(json.dumps(self._note, indent=2) + "\n")
            unfinished.replace(self.path / "node.json")

    def close(self) -> None:
        """Frees the folder for the next node."""
        (self.path / "node.json").unlink(missing_ok=True)
        self._release()

    def _acquire(self, patience_seconds: float) -> None:
        # A moment for a node that was killed just now: the kernel lets go of its lock when it is wholly gone.
        if not locked_within(self._lock, min(1.0, patience_seconds)):
            note = read_note(self.path)
            raise NodeError(
                f"{self.path} is in use by another node (process {note.get('pid', 'unknown')}, "
                f"{note.get('url', 'not ready yet')}). Stop that one, or set PILOTMESH_HOME and PILOTMESH_PORT "
                f"for a second node."
            )
        if not locked_within(self._servers_lock, patience_seconds):
            raise NodeError(
                f"the node that used {self.path} has ended, but its servers have not "
                f"({describe_servers(read_note(self.path))}). End them, then start again."
            )
        (self.path / "node.json").unlink(missing_ok=True)  # of a node that was killed

    def _release(self) -> None:
        self._lock.close()
        self._servers_lock.close()

    def _check_room(self) -> None:
        free = shutil.disk_usage(self.path).free
        if free < ROOM_BYTES:
            raise NodeError(
                f"the disk of {self.path} has {free // 2**20} MiB free, a node needs {ROOM_BYTES // 2**20} MiB to "
                f"start. Make room, or set PILOTMESH_HOME to a folder on another disk."
            )


def read_note(folder: Path) -> dict[str, Any]:
    """What `node.json` says, empty when no node runs there (or none ever did)."""
    try:
        note: dict[str, Any] = json.loads((folder / "node.json").read_text())
    except (OSError, ValueError):
        return {}
    return note


def describe_servers(note: Mapping[str, Any]) -> str:
    servers: Mapping[str, Mapping[str, Any]] = note.get("servers", {})
    return ", ".join(f"{name}: process {server['pid']}" for name, server in servers.items()) or "processes unknown"


def locked_within(file: IO[str], seconds: float) -> bool:
    """Locks `file` for this process; False when somebody else still holds the lock after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        else:
            return True
