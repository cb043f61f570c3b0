"""The machine and the home folder: room, port, programs, and who may read the secrets."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from deploy.cli import tokens
from deploy.cli.checks.finding import Finding, odd, some, well, wrong
from deploy.cli.speaking import Trouble
from deploy.node.home import ROOM_BYTES, NodeError
from shared.settings import Settings

COMFORT_BYTES = 8 * ROOM_BYTES
"""Free space below which an operator should look for room, long before a node refuses to start."""
SECRET = 0o600


def home_can_be_written(settings: Settings) -> Iterator[Finding]:
    folder = settings.home
    if not folder.exists():
        yield odd("home", f"{folder} is not there yet", "`pilotmesh up` makes it, or set PILOTMESH_HOME.")
        return
    trial = folder / f".doctor.{os.getpid()}"
    try:
        trial.write_text("")
        trial.unlink()
    except OSError as error:
        yield wrong("home", f"{folder} cannot be written: {error.strerror}", "Give the folder to the node's user.")
        return
    yield well("home", f"{folder} can be written")


def there_is_room(settings: Settings) -> Iterator[Finding]:
    folder = settings.home if settings.home.exists() else settings.home.parent
    free = shutil.disk_usage(folder).free
    said = f"{free // 2**20} MiB free"
    if free < ROOM_BYTES:
        yield wrong("disk", said, f"Make room: a node does not start with less than {ROOM_BYTES // 2**20} MiB.")
    elif free < COMFORT_BYTES:
        yield odd("disk", said, "Make room before it is needed: the ledgers only grow.")
    else:
        yield well("disk", said)


def port_is_free(settings: Settings) -> Iterator[Finding]:
    """Only asked when no node runs in the home."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((settings.host, settings.port))
        except OSError as error:
            yield wrong(
                "port",
                f"{settings.host}:{settings.port}: {error.strerror}",
                "Another program listens there: stop it, or set PILOTMESH_PORT.",
            )
            return
    yield well("port", f"{settings.host}:{settings.port} is free")


def servers_are_installed(settings: Settings) -> Iterator[Finding]:
    from deploy.node.embedded import executable  # noqa: PLC0415 (only asked for an embedded node)

    wanted = [("secantusd-py", "PILOTMESH_MONGODB_URI")] if settings.mongodb_uri is None else []
    wanted += [("nats-server", "PILOTMESH_NATS_URL")] if settings.nats_url is None else []
    for name, setting in wanted:
        try:
            yield well("program", f"{name}: {executable(name, setting)}")
        except NodeError as error:
            yield wrong("program", f"{name} is missing", str(error))


def secrets_are_private(settings: Settings) -> Iterator[Finding]:
    """Keys, tokens and NATS passwords: there, of the node's user, mode 0600."""
    folder = settings.home
    keys = sorted((folder / "keys").rglob("*.key"))
    files = [*keys, tokens.path_in(folder), folder / "nats" / "users.json"]
    open_to_others = [file for file in files if file.exists() and file.stat().st_mode & 0o177]
    for file in open_to_others:
        mode = file.stat().st_mode & 0o777
        yield wrong("secrets", f"{file} has mode {mode:04o}", f"chmod {SECRET:o} {file}")
    if not open_to_others:
        yield well("secrets", f"{len(keys)} keys, tokens and passwords can be read by their owner alone")


def keys_can_be_read(settings: Settings) -> Iterator[Finding]:
    from shared.ledger.keyring import Keyring  # noqa: PLC0415 (imports cryptography, which takes its time)

    folder = settings.home / "keys"
    unreadable = []
    names = sorted(path.stem for path in folder.glob("*.key"))
    for name in names:
        try:
            Keyring(folder).key(name)
        except (OSError, ValueError, Trouble) as error:
            unreadable.append(f"{name}.key: {error}")
    leftovers = [str(path) for path in folder.glob(".*.new")]
    if unreadable:
        yield wrong("keys", some(unreadable), "Put the key back from the backup: without it nothing can be signed.")
    elif names:
        yield well("keys", f"{len(names)} can be read")
    if leftovers:
        yield odd("keys", f"half-written: {some(leftovers)}", "A start was interrupted; delete these.")


def tokens_can_be_read(settings: Settings) -> Iterator[Finding]:
    if not tokens.path_in(settings.home).exists():
        yield odd(
            "tokens", "there is no tokens.json", "The node makes it at its first start, with its operator's token."
        )
        return
    try:
        held = tokens.read(settings.home)
    except Trouble as trouble:
        yield wrong("tokens", trouble.sentence, "Mend the file, or put it back from the backup.")
        return
    if "admin" not in held.get("node", {}):
        yield odd("tokens", "the operator's token (node: admin) is missing", "Put it back: it is not stored elsewhere.")
        return
    yield well("tokens", f"of {len(held)} agencies")


def is_installed_node(folder: Path) -> bool:
    """Whether a node was ever started in this folder."""
    return (folder / "mesh.json").exists()
