"""`<home>/demo.json`: what of the sample this node holds already, so that a second run goes on from the first.

Notes only save time. Every post carries an Idempotency-Key by the record's name in the sample, so a run that was cut
off between a post and its note does not double anything.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any


class Notes:
    """Ids by kind and name in the sample, and by how many months its dates were moved. Thread-safe."""

    def __init__(self, home: Path) -> None:
        self._path = home / "demo.json"
        self._lock = threading.Lock()
        try:
            self._kept: dict[str, Any] = json.loads(self._path.read_text())
        except (OSError, ValueError):
            self._kept = {}

    @property
    def shift(self) -> int | None:
        """Months, or None before the first run."""
        return self._kept.get("shift")

    def set_shift(self, months: int) -> None:
        """Kept before anything is posted: the same record posted again must have the same bytes."""
        self._kept["shift"] = months
        self.save()

    def id_of(self, kind: str, name: str) -> str | None:
        found: str | None = self._kept.get(kind, {}).get(name)
        return found

    def ids(self, kind: str) -> dict[str, str]:
        return dict(self._kept.get(kind, {}))

    def note(self, kind: str, name: str, id: str) -> None:  # noqa: A002 - the record's word
        with self._lock:
            self._kept.setdefault(kind, {})[name] = id

    def save(self) -> None:
        with self._lock:
            unfinished = self._path.with_name(f".{self._path.name}.{os.getpid()}.new")
            unfinished.write_text(json.dumps(self._kept, indent=2) + "\n")
            unfinished.replace(self._path)
