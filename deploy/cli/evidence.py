"""`evidence`: one file that proves a record to anyone, and the check of such a file, which needs nothing but it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from deploy.cli.connection import Json
from deploy.cli.speaking import REFUSED, Misused, console, plainly, table, tell_json
from deploy.cli.store import open_ledgers

if TYPE_CHECKING:
    from shared.ledger.evidence import Verdict

CHECK = "check"


def evidence(
    about: Annotated[
        str, typer.Argument(metavar="RECORD|check", help="Such as pilot/ID, proposal/ID, testbed/ID; or `check` FILE.")
    ],
    file: Annotated[Path | None, typer.Argument(help="With `check`: the file to check; - is stdin.")] = None,
    anchor: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="With `check`: the mesh's anchor, as your secretariat published it."),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Show also what stands in private and circle ledgers of this node.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the evidence of a record to stdout: the facts about it, what rests on it, and chains, signatures, keys and
    roster that prove them. Reads the database of the node in PILOTMESH_HOME, running or not.

    `pilotmesh evidence check FILE` proves such a file, without node, database or network, and says what it proves and
    what it does not. Status 1 when it proves nothing.
    """
    with plainly():
        if about == CHECK:
            _check(file, anchor, as_json)
        elif file is not None or anchor is not None:
            raise Misused("A record's evidence goes to stdout: `pilotmesh evidence pilot/ID > FILE`.")
        else:
            _write(about, private)


def _write(about: str, private: bool) -> None:
    from shared.ledger.gathering import gather  # noqa: PLC0415 (imports the database's driver; the check needs none)
    from shared.ledger.witness import Witness, foreign_heads  # noqa: PLC0415 (as above)

    with open_ledgers() as at:
        heads = [*Witness(at.settings.home).all(), *foreign_heads(at.store).all().values()]
        raw = gather(at.store, at.identity, about, heads, datetime.now(UTC), private=private)
    sys.stdout.buffer.write(raw)
    sys.stdout.buffer.flush()


def _check(file: Path | None, anchor: str | None, as_json: bool) -> None:
    from shared.ledger.evidence import check_evidence, public_anchor  # noqa: PLC0415 (imports cryptography)

    if file is None:
        raise Misused("Which file? `pilotmesh evidence check FILE`.")
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise Misused(f"{file} cannot be read: {error.strerror}") from error
    try:
        told = None if anchor is None else public_anchor(anchor)
    except ValueError as error:
        raise Misused(f"--anchor: {error}") from error
    verdict = check_evidence(raw, told)
    if as_json:
        tell_json(_told(verdict))
    else:
        _show(file, verdict)
    if verdict.fault is not None:
        raise typer.Exit(REFUSED)


def _told(verdict: Verdict) -> dict[str, Any]:
    return {
        "about": verdict.about,
        "fault": verdict.fault,
        "facts": [
            {
                "place": one.place,
                "hash": one.hash,
                "agency": one.agency,
                "type": one.type,
                "subject": one.subject,
                "time": one.time,
                "state": one.state,
            }
            for one in verdict.facts
        ],
        "proven": verdict.proven,
        "not_proven": verdict.not_proven,
    }


def _show(file: Path, verdict: Verdict) -> None:
    if verdict.fault is not None:
        console.print(f"[bold red]{escape(str(file))} proves nothing[/]: {escape(verdict.fault)}", soft_wrap=True)
        return
    rows = [
        (one.place, one.agency, one.type.removeprefix("org.pilotmesh."), one.subject, one.time[:19])
        for one in verdict.facts
    ]
    console.print(table(f"Evidence of {verdict.about}", ("place", "said by", "what", "about", "its clock said"), rows))
    for sentence in verdict.proven:
        console.print(f"[green]Proven[/]: {escape(sentence)}", soft_wrap=True)
    for sentence in verdict.not_proven:
        console.print(f"[yellow]Not proven[/]: {escape(sentence)}", soft_wrap=True)
