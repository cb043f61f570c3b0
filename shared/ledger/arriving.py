"""What the keys of an agency that arrives must be, before one of them is written."""

from __future__ import annotations

import re
from collections.abc import Mapping


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
