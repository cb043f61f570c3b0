"""An agency arrives: what its keys must be before one of them is written, and by which roster it came.

A node may hold an older roster than the one that brought the agency: it was stopped, or still catches up. What that
roster says of where the agency is counts for nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

Position = tuple[int, int]
"""Epoch and sequence of a roster."""
SINCE = ".since"
"""End of the name of the file, beside the key, that names the roster by which the agency came."""


def check_keys(agency: str, keys: Mapping[str, str]) -> None:
    """That these are the agency's keys, one of them in use: file names of this folder to 64 hex digits each, nothing
    that could be a path. Raises ValueError."""
    named = re.compile(rf"{re.escape(agency)}(\.key|\.[0-9a-zA-Z_-]+\.old)")
    strange = [name for name in keys if not named.fullmatch(name)]
    if strange:
        raise ValueError(f"{strange[0]!r} is no name of a key of {agency}")
    for name, secret in keys.items():
        if not re.fullmatch(r"[0-9a-f]{64}", str(secret).strip()):
            raise ValueError(f"{name} is no key: it has 64 hexadecimal digits")
    if f"{agency}.key" not in keys:
        raise ValueError(f"{agency}.key is missing")


def since_in(path: Path) -> Position | None:
    """The roster by which an agency came here; None if it has been here ever since it joined."""
    try:
        epoch, sequence = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return int(epoch), int(sequence)
