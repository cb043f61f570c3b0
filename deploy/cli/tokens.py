"""`<home>/tokens.json`: `{agency: {role: token}}`, readable by its owner alone, replaced whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.cli.speaking import Misused

Tokens = dict[str, dict[str, str]]

NAME = "tokens.json"


def path_in(home: Path) -> Path:
    return home / NAME


def read(home: Path) -> Tokens:
    """Empty when there is no file. Raises `Misused` when it is not what it should be."""
    path = path_in(home)
    try:
        raw = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Misused(f"{path} cannot be read: {error}") from error
    if not _is_tokens(raw):
        raise Misused(f"{path} is not {{agency: {{role: token}}}}")
    return {agency: dict(roles) for agency, roles in raw.items()}


def keep(home: Path, agency: str, tokens: Mapping[str, str]) -> None:
    """Adds an agency's tokens by role; what was there under other names stays. On disk before this returns."""
    with _locked(home):
        kept = read(home)
        kept[agency] = {**kept.get(agency, {}), **tokens}
        unfinished = path_in(home).with_name(f".{NAME}.{os.getpid()}.new")
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(json.dumps(kept, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path_in(home))


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """One writer at a time: two commands that each add an agency must both be found in the file afterwards."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (home / f".{NAME}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_tokens(raw: Any) -> bool:
    return isinstance(raw, dict) and all(
        isinstance(roles, dict) and all(isinstance(token, str) for token in roles.values()) for roles in raw.values()
    )
