"""`verify`: walks every ledger and proves it, on the database itself, whether or not the node runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from deploy.cli.connection import Json
from deploy.cli.speaking import REFUSED, Misused, Unreachable, console, plainly, table, tell_json
from deploy.node.home import Home, NodeError, read_note
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.ledger.verification import LedgerReport


def verify(as_json: Json = False) -> None:
    """Prove sequence, chain, digests and signatures of every ledger of the node in PILOTMESH_HOME, or name the first
    fact that is wrong (status 1). Heads that were witnessed before must still be there.

    Reads the database itself: that of the running node, or one started for this alone.
    """
    with plainly(), database(Settings()) as settings:
        reports, missing = prove(settings)
        proven = not missing and all(report.fault is None for report in reports)
        if as_json:
            ledgers = [_told(report) for report in reports]
            tell_json({"proven": proven, "ledgers": ledgers, "missing_heads": missing})
        else:
            _show(reports, missing)
        if not proven:
            raise typer.Exit(REFUSED)


def prove(settings: Settings) -> tuple[list[LedgerReport], list[str]]:
    """A report for every ledger, and a sentence for every witnessed head that is gone. Raises `Unreachable`."""
    # Imported here: the driver takes longer to import than most commands take.
    from pymongo import MongoClient  # noqa: PLC0415
    from pymongo.errors import PyMongoError  # noqa: PLC0415

    from shared.ledger.identity import Identity  # noqa: PLC0415
    from shared.ledger.store import Document, LedgerStore  # noqa: PLC0415
    from shared.ledger.verification import verify_node  # noqa: PLC0415
    from shared.ledger.witness import Witness, foreign_heads  # noqa: PLC0415

    try:
        identity = Identity.read(settings.home)
    except FileNotFoundError as error:
        raise Misused(
            f"{settings.home} holds no node: mesh.json is missing.", remedy="Set PILOTMESH_HOME to a node's folder."
        ) from error
    client: MongoClient[Document] = MongoClient(settings.mongodb_uri, tz_aware=True, serverSelectionTimeoutMS=5000)
    with client:
        try:
            store = LedgerStore(client, settings.database("ledger"))
            missing = [*Witness(settings.home).missing(store), *foreign_heads(store).missing(store)]
            return verify_node(store, identity), missing
        except PyMongoError as error:
            raise Unreachable(f"The database at {settings.mongodb_uri} cannot be read: {error}") from error


@contextmanager
def database(settings: Settings) -> Iterator[Settings]:
    """The settings with a database that answers: the configured one, the running node's, or one started for this."""
    settings = settings.model_copy(update={"home": settings.home.expanduser().absolute()})
    running = read_note(settings.home).get("mongodb_uri")
    if settings.mongodb_uri or running:
        yield settings if settings.mongodb_uri else settings.model_copy(update={"mongodb_uri": running})
        return
    if not (settings.home / "mesh.json").exists():  # before a database is made where none was
        raise Misused(
            f"{settings.home} holds no node: mesh.json is missing.", remedy="Set PILOTMESH_HOME to a node's folder."
        )
    from deploy.node.embedded import EmbeddedServers  # noqa: PLC0415 (only where none runs)

    try:
        home = Home(settings.home)
        alone = settings.model_copy(update={"nats_url": "nats://not-needed"})  # an address set: none is started
        servers = EmbeddedServers(alone, home)
        try:
            servers.start()
            yield servers.wait_ready()
        finally:
            servers.stop()
            home.close()
    except NodeError as error:
        raise Unreachable(f"The database could not be started: {error}") from error


def _told(report: LedgerReport) -> dict[str, object]:
    return {
        "ledger": report.ledger,
        "facts": report.facts,
        "redacted": report.redacted,
        "head": report.head.hash,
        "fault": report.fault,
    }


def _show(reports: list[LedgerReport], missing: list[str]) -> None:
    rows = [
        (one.ledger, str(one.facts), str(one.redacted or ""), one.head.hash[:16], "WRONG" if one.fault else "proven")
        for one in reports
    ]
    console.print(table("", ("ledger", "facts", "forgotten", "head", ""), rows))
    for report in reports:
        if report.fault:
            console.print(f"[bold red]{escape(report.ledger)}[/]: {escape(report.fault)}", soft_wrap=True)
    for sentence in missing:
        console.print(f"[bold red]A head that was witnessed is gone[/]: {escape(sentence)}", soft_wrap=True)
    facts = sum(report.facts for report in reports)
    wrong = sum(report.fault is not None for report in reports)
    if wrong or missing:
        console.print(f"[bold red]Not proven[/]: {wrong} of {len(reports)} ledgers, {len(missing)} witnessed heads.")
    else:
        console.print(f"[green]Proven[/]: {facts} facts in {len(reports)} ledgers; every witnessed head is there.")
