"""`doctor`: looks for what fails silently, and says the remedy of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, ParamSpec

import typer
from rich.markup import escape

from deploy.cli.checks import machine
from deploy.cli.checks.finding import Finding, wrong
from deploy.cli.connection import OPERATOR, Connection, Json, Url, address, token_of
from deploy.cli.speaking import REFUSED, Trouble, console, plainly, tell_json
from deploy.node.home import read_note
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.ledger.store import Document

P = ParamSpec("P")

ADDRESSES: tuple[str, ...] = ("mongodb_uri", "nats_url")
"""Settings that a running node notes in node.json for the servers it started."""

MARKS = {"well": "[green]well [/]", "odd": "[yellow]odd  [/]", "wrong": "[bold red]wrong[/]"}


def doctor(url: Url = None, as_json: Json = False) -> None:
    """Look for what fails silently on this node and its machine, and say the remedy. Mends nothing. Status 1 when
    something is wrong; what is odd is shown and does not count."""
    with plainly():
        settings = Settings()
        settings = settings.model_copy(update={"home": settings.home.expanduser().absolute()})
        found = []
        for finding in examine(settings, url):
            found.append(finding)
            if not as_json:
                _show(finding)
        if as_json:
            tell_json(
                [{"subject": f.subject, "state": f.state, "said": f.said, "remedy": f.remedy or None} for f in found]
            )
        if any(finding.state == "wrong" for finding in found):
            raise typer.Exit(REFUSED)


def examine(settings: Settings, url: str | None) -> Iterator[Finding]:
    """Every finding, in the order in which one rests on the other: machine, home, servers, services."""
    note = read_note(settings.home)
    elsewhere = settings.mongodb_uri is not None and settings.nats_url is not None
    runs = bool(url or note)
    for check in (machine.home_can_be_written, machine.there_is_room):
        yield from guarded(check, settings)
    if not runs:
        yield from guarded(machine.port_is_free, settings)
    if not elsewhere:
        yield from guarded(machine.servers_are_installed, settings)
    if not machine.is_installed_node(settings.home):
        return
    for check in (machine.secrets_are_private, machine.keys_can_be_read, machine.tokens_can_be_read):
        yield from guarded(check, settings)
    running = {name: note[name] for name in ADDRESSES if getattr(settings, name) is None and name in note}
    settings = settings.model_copy(update=running)
    yield from _servers(settings)
    if runs or elsewhere:
        yield from _node(settings, url)


def _servers(settings: Settings) -> Iterator[Finding]:
    if settings.mongodb_uri is not None:
        from pymongo import MongoClient  # noqa: PLC0415 (only where there is a database to ask)

        from deploy.cli.checks import keys, record  # noqa: PLC0415 (as above)

        made: MongoClient[Document] = MongoClient(settings.mongodb_uri, tz_aware=True, serverSelectionTimeoutMS=3000)
        with made as client:
            answers = list(guarded(record.database_answers, settings, client))
            yield from answers
            if all(finding.subject != "database" or finding.state == "well" for finding in answers):
                for check in (
                    record.no_fact_from_the_future,
                    record.roster_can_be_read,
                    keys.keys_are_in_force,
                    record.folds_are_level,
                    record.no_task_fails,
                    record.quarantine_is_empty,
                ):
                    yield from guarded(check, settings, client)
    if settings.nats_url is not None:
        from deploy.cli.checks import streams  # noqa: PLC0415 (as above)

        for check_ in (streams.users_are_known, streams.streams_stand, streams.streams_have_room):
            yield from guarded(check_, settings)
        from deploy.cli.checks import link  # noqa: PLC0415 (as above)

        for check_ in (link.domain_is_its_own, link.certificate_holds, link.links_stand):
            yield from guarded(check_, settings)


def _node(settings: Settings, url: str | None) -> Iterator[Finding]:
    from deploy.cli.checks import link, services  # noqa: PLC0415 (as above)

    try:
        token = token_of(OPERATOR, settings.home)
    except Trouble as trouble:
        yield wrong("node", trouble.sentence, trouble.remedy)
        token = None
    with closing(Connection(address(url, settings), token)) as node:
        yield from guarded(services.parts_are_ready, node)
        if token is not None:
            yield from guarded(services.relay_publishes, node)
            yield from guarded(link.peers_are_reached, node)


def guarded(check: Callable[P, Iterator[Finding]], *args: P.args, **named: P.kwargs) -> Iterator[Finding]:
    """A check that itself fails is a finding, not the end of the examination."""
    try:
        yield from check(*args, **named)
    except Exception as error:
        yield wrong("doctor", f"a check failed: {type(error).__name__}: {error}", "This is a fault of the command.")


def _show(finding: Finding) -> None:
    console.print(f"{MARKS[finding.state]} [bold]{escape(finding.subject)}[/]: {escape(finding.said)}", soft_wrap=True)
    if finding.remedy:
        console.print(f"      → {escape(finding.remedy)}", soft_wrap=True)
