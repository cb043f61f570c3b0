"""The node's ledgers where they lie: for commands that work on the database itself, whether or not the node runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy.cli.speaking import Misused, Trouble, Unreachable
from deploy.node.home import NodeError, read_note
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.ledger.identity import Identity
    from shared.ledger.keyring import Keyring
    from shared.ledger.store import LedgerStore


@dataclass(frozen=True)
class Ledgers:
    """The ledgers and keys of one node, and what the node is called."""

    settings: Settings
    store: LedgerStore
    identity: Identity
    keyring: Keyring


@contextmanager
def open_ledgers() -> Iterator[Ledgers]:
    """The ledgers and keys in PILOTMESH_HOME. Problems of the ledger are told as the node would tell them. Raises
    Misused, Trouble, Unreachable."""
    # Imported here: the driver takes longer to import than most commands take.
    from pymongo import MongoClient  # noqa: PLC0415
    from pymongo.errors import PyMongoError  # noqa: PLC0415

    from shared.ledger.identity import Identity  # noqa: PLC0415
    from shared.ledger.keyring import Keyring  # noqa: PLC0415
    from shared.ledger.store import Document, LedgerStore  # noqa: PLC0415
    from shared.problems import Problem  # noqa: PLC0415

    with database(Settings()) as settings:
        try:
            identity = Identity.read(settings.home)
        except FileNotFoundError as error:
            raise _no_node(settings) from error
        client: MongoClient[Document] = MongoClient(settings.mongodb_uri, tz_aware=True, serverSelectionTimeoutMS=5000)
        with client:
            try:
                store = LedgerStore(client, settings.database("ledger"))
                store.tails()
                yield Ledgers(settings, store, identity, Keyring(settings.home / "keys"))
            except Problem as problem:
                raise Trouble(problem.detail) from problem
            except PyMongoError as error:
                raise Unreachable(f"The database at {settings.mongodb_uri} cannot be used: {error}") from error


@contextmanager
def database(settings: Settings) -> Iterator[Settings]:
    """The settings with a database that answers: the configured one, the running node's, or one started for this."""
    settings = settings.model_copy(update={"home": settings.home.expanduser().absolute()})
    running = read_note(settings.home).get("mongodb_uri")
    if settings.mongodb_uri or running:
        yield settings if settings.mongodb_uri else settings.model_copy(update={"mongodb_uri": running})
        return
    if not (settings.home / "mesh.json").exists():  # before a database is made where none was
        raise _no_node(settings)
    from deploy.node.embedded import embedded  # noqa: PLC0415 (only where none runs)

    alone = settings.model_copy(update={"nats_url": "nats://not-needed"})  # an address set: none is started
    try:
        with embedded(alone) as running_alone:
            yield running_alone
    except NodeError as error:
        raise Unreachable(f"The database could not be started: {error}") from error


def _no_node(settings: Settings) -> Misused:
    return Misused(
        f"{settings.home} holds no node: mesh.json is missing.", remedy="Set PILOTMESH_HOME to a node's folder."
    )
