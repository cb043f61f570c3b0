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
from typing import Any

ROOM_BYTES = 256 * 2**20
"""Free space below which a node does not start: the servers fail in worse ways when a disk fills up under them."""


class NodeError(Exception):
    """Why a node cannot start or go on, and what its operator can do."""


class Home:
    """The folder of one node, locked while this object is open.

    The servers inherit the lock (`lock_descriptor`), so that after a `kill -9` of the node the folder is free only
    when they too have ended. Raises `NodeError` when another node uses it, it cannot be written, or the disk is full.
    """

    def __init__(self, folder: Path, *, patience_seconds: float = 15) -> None:
        self.path = folder.expanduser().absolute()
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.logs.mkdir(exist_ok=True)
            self._lock = (self.path / "lock").open("a+")
        except OSError as error:
            raise NodeError(
                f"cannot write to {self.path}: {error.strerror}. Set PILOTMESH_HOME to a folder of yours."
            ) from error
        try:
            self._acquire(patience_seconds)
            self._check_room()
        except NodeError:
            self._lock.close()
            raise
        self._note: dict[str, Any] = {"pid": os.getpid()}
        self._noting = threading.Lock()

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def lock_descriptor(self) -> int:
        return self._lock.fileno()

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
        self._lock.close()

    def _acquire(self, patience_seconds: float) -> None:
        deadline = time.monotonic() + patience_seconds
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                owner = self._owner()
                if owner is not None and is_alive(owner):
                    where = read_note(self.path).get("url", "not ready yet")
                    raise NodeError(
                        f"{self.path} is in use by another node (process {owner}, {where}). "
                        f"Stop that one, or set PILOTMESH_HOME and PILOTMESH_PORT for a second node."
                    ) from None
                if time.monotonic() > deadline:
                    raise NodeError(
                        f"the node that used {self.path} has ended, but its servers have not "
                        f"({describe_servers(read_note(self.path))}). End them, then start again."
                    ) from None
                time.sleep(0.05)
        self._lock.seek(0)
        self._lock.truncate()
        self._lock.write(str(os.getpid()))
        self._lock.flush()

    def _owner(self) -> int | None:
        self._lock.seek(0)
        written = self._lock.read().strip()
        return int(written) if written.isdigit() else None

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


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's, so alive
    return True
