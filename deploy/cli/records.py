"""`pilot register`, `pilot list`, `capability register`: records from files, and what the registry says to them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from deploy.cli.connection import OPERATOR, As, Connection, Json, Url, connected
from deploy.cli.files import Entry, entries
from deploy.cli.speaking import (
    REFUSED,
    Misused,
    Problem,
    Refused,
    console,
    errors,
    plainly,
    say_problem,
    table,
    tell_json,
    words,
)

pilot = typer.Typer(help="Pilots: register from files, list.", no_args_is_help=True)
capability = typer.Typer(help="What agencies can bring: register from files.", no_args_is_help=True)

Files = Annotated[list[Path], typer.Argument(help="YAML, JSON or NDJSON files, or folders of them.")]
Again = Annotated[
    bool, typer.Option("--again", help="Register a record that is the same as one registered before a second time.")
]


@dataclass(frozen=True)
class Outcome:
    """What became of one record: `answer` is what the registry stored, else `problem` is why it did not."""

    entry: Entry
    answer: dict[str, Any] | None = None
    problem: Problem | None = None

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {"file": str(self.entry.file), "record": self.entry.at or None}
        if self.answer is not None:
            return {**told, "id": self.answer["id"], "version": self.answer["version"]}
        assert self.problem is not None
        faults = [
            {"where": self.entry.where(fault.field), "field": fault.field, "code": fault.code, "detail": fault.detail}
            for fault in self.problem.faults
        ]
        return {**told, "status": self.problem.status, "detail": self.problem.detail, "errors": faults}


@pilot.command("register")
def register_pilot(files: Files, url: Url = None, who: As = None, as_json: Json = False, again: Again = False) -> None:
    """Register pilots. Whoever is refused is named with file, line and field; the others are registered all the same.

    Without --as, each pilot is registered by the officer of its lead agency. The same record twice is one pilot.
    """
    with plainly():
        register(files, "/registry/v1/pilots", owner="lead_agency", url=url, who=who, as_json=as_json, again=again)


@capability.command("register")
def register_capability(
    files: Files, url: Url = None, who: As = None, as_json: Json = False, again: Again = False
) -> None:
    """Register capabilities. Without --as, each by the officer of its agency. The same record twice is one."""
    with plainly():
        register(files, "/registry/v1/capabilities", owner="agency", url=url, who=who, as_json=as_json, again=again)


@pilot.command("list")
def list_pilots(
    url: Url = None,
    who: As = None,
    as_json: Json = False,
    lead: Annotated[str | None, typer.Option(help="Slug of the lead agency.")] = None,
    country: Annotated[str | None, typer.Option(help="ISO 3166-1 alpha-3, such as ZMB.")] = None,
    goal: Annotated[str | None, typer.Option(help="Number of the goal, 1 to 17.")] = None,
    need: Annotated[str | None, typer.Option(help="Code of a need, such as data.earth_observation.")] = None,
    life: Annotated[str | None, typer.Option(help="Where in its life: open, forming, running, …")] = None,
    text: Annotated[str | None, typer.Option("--text", "-q", help="Words that must all occur.")] = None,
) -> None:
    """List pilots, newest first."""
    with plainly():
        wanted = {"lead": lead, "country": country, "goal": goal, "need": need, "life": life, "q": text}
        with connected(url, who, else_as=OPERATOR) as node:
            found = list(node.items("/registry/v1/pilots", **wanted))
        if as_json:
            tell_json(found)
            return
        rows = [
            (one["id"], one.get("lead_agency", ""), ", ".join(one.get("countries") or ()), one.get("life", ""),
             words(one.get("title")))
            for one in found
        ]  # fmt: skip
        console.print(table("", ("pilot", "lead", "countries", "life", "title"), rows))
        console.print(f"{len(found)} pilots")


def register(
    files: Sequence[Path], path: str, *, owner: str, url: str | None, who: str | None, as_json: bool, again: bool
) -> None:
    """Posts every record of `files` to `path` and says what became of each. Ends with status 1 if any was refused."""
    read = list(entries(files))  # all of them before the first is posted
    outcomes = []
    nodes: dict[str, Connection] = {}
    with ExitStack() as stack:
        for entry in read:
            acting = who or _officer_of(entry, owner)
            if acting not in nodes:
                nodes[acting] = stack.enter_context(connected(url, who, else_as=acting))
            outcomes.append(_posted(nodes[acting], path, entry, again=again))
            if not as_json:
                _say(outcomes[-1])
    refused = [outcome for outcome in outcomes if outcome.problem is not None]
    if as_json:
        tell_json([outcome.as_json() for outcome in outcomes])
    elif len(outcomes) > 1:
        console.print(f"{len(outcomes) - len(refused)} registered, {len(refused)} refused")
    if refused:
        raise typer.Exit(REFUSED)


def key_of(value: Any) -> str:
    """The Idempotency-Key of a record that is posted from a file: the same content is the same command."""
    plain = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return "file-" + hashlib.sha256(plain.encode()).hexdigest()[:40]


def _officer_of(entry: Entry, owner: str) -> str:
    agency = entry.value.get(owner) if isinstance(entry.value, dict) else None
    if not isinstance(agency, str):
        raise Misused(f"{entry.where(owner)}: whose record is it? Set {owner}, or name who registers it with --as.")
    return f"{agency}:officer"


def _posted(connection: Connection, path: str, entry: Entry, *, again: bool) -> Outcome:
    try:
        answer = connection.post(path, entry.value, key=None if again else key_of(entry.value))
    except Refused as refused:
        if refused.problem.status == 401:
            raise
        return Outcome(entry, problem=refused.problem)
    return Outcome(entry, answer=answer)


def _say(outcome: Outcome) -> None:
    entry = outcome.entry
    if outcome.problem is not None:
        errors.print(f"[bold red]refused[/]     {escape(entry.where(''))}: {escape(outcome.problem.title)}")
        say_problem(outcome.problem, where=entry.where)
        return
    assert outcome.answer is not None
    title = escape(words(outcome.answer.get("title")))
    console.print(f"[green]registered[/]  {outcome.answer['id']}  {title}  [dim]{escape(entry.where(''))}[/]")
    for notice in outcome.answer.get("notices") or ():
        console.print(
            f"  [yellow]{escape(entry.where(notice['field']))}[/]: {escape(notice['detail'])}", soft_wrap=True
        )
