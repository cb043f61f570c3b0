"""`observe`: observations from a file into the agency's private ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from deploy.cli.connection import As, Json, Url, connected
from deploy.cli.files import Entry, entries
from deploy.cli.records import key_of
from deploy.cli.speaking import REFUSED, Misused, Refused, console, errors, plainly, say_problem, tell_json


def observe(
    file: Annotated[Path, typer.Argument(help="JSON, YAML (a list, or `observations: […]`) or NDJSON.")],
    url: Url = None,
    who: As = None,
    as_json: Json = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until results show them.")] = True,
) -> None:
    """Upload observations. All rows are taken, or none: then every fault is named with file and line.

    The same file twice is one upload. Call with --as AGENCY:monitor (or officer).
    """
    with plainly():
        rows = rows_of(file)
        with connected(url, who) as node:
            values = [row.value for row in rows]
            try:
                told = node.post(
                    "/metrics/v1/observations",
                    values,
                    key=key_of(values),
                    params={"wait": "folded" if wait else None},
                )
            except Refused as refused:
                if not refused.problem.faults:
                    raise
                errors.print(f"[bold red]None of {len(rows)} rows was taken:[/] {escape(refused.problem.title)}")
                say_problem(refused.problem, where=lambda name: where_in(rows, file, name))
                raise typer.Exit(REFUSED) from None
        if as_json:
            tell_json(told)
            return
        console.print(f"{told['rows']} observations taken{_when(told)}; upload {told['upload']}")
        for notice in told.get("notices") or ():
            console.print(
                f"  [yellow]{escape(where_in(rows, file, notice['field']))}[/]: {escape(notice['detail'])}",
                soft_wrap=True,
            )


def _when(told: dict[str, Any]) -> str:
    """Whether results show them; `folded` is missing where nobody waited for it."""
    if "folded" not in told:
        return ""
    return " and folded" if told["folded"] else ", their results follow in a while"


def rows_of(file: Path) -> list[Entry]:
    """The rows of an observations file. Raises `Misused`."""
    found = list(entries([file]))
    if len(found) == 1 and not found[0].at and isinstance(found[0].value, dict):
        whole = found[0]
        inside: Any = whole.value.get("observations")
        if isinstance(inside, list):
            return [Entry(file, f"observations[{number}]", row, whole.lines) for number, row in enumerate(inside)]
    if not found:
        raise Misused(f"{file} holds no observation.")
    return found


def where_in(rows: list[Entry], file: Path, name: str) -> str:
    """`[17].period.end` of an upload, in terms of the file and line it came from."""
    number, _, rest = name.removeprefix("[").partition("]")
    if name.startswith("[") and number.isdigit() and int(number) < len(rows):
        return rows[int(number)].where(rest.removeprefix("."))
    return f"{file}: {name or 'the whole'}"
