"""How the command speaks: to the terminal, to a pipe, to a program; and what its exit status means."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shared.problems import Fault

DONE = 0
REFUSED = 1
"""The node refused, or what was to be proven is not so."""
MISUSED = 2
"""The command was called wrongly, or a file cannot be read (Typer's own status for usage)."""
UNREACHABLE = 3
"""The node gives no answer, or failed while answering. Trying again later may help."""

PIPE_WIDTH = 140
"""Columns when nobody looks at a terminal: a pipe does not wrap, so rows stay on one line where they can."""


def console_for(stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else PIPE_WIDTH)


console = console_for(stderr=False)
errors = console_for(stderr=True)


class Trouble(Exception):  # noqa: N818 - what the caller is told, not always an error of the program
    """Ends the command with a sentence and a status."""

    status = REFUSED

    def __init__(self, sentence: str, *, remedy: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy


class Misused(Trouble):
    """Called wrongly, or with a file that cannot be read."""

    status = MISUSED


class Unreachable(Trouble):
    """No answer from the node, or an answer that says it failed."""

    status = UNREACHABLE


class NoAnswer(Unreachable):
    """Nobody listens there, or the connection broke."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document (RFC 9457) as the node sent it."""

    status: int
    title: str
    detail: str
    faults: tuple[Fault, ...] = ()


class Refused(Trouble):
    """The node's refusal, with every fault it named."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.title} ({problem.status})")
        self.problem = problem


def problem_of(status: int, document: Any) -> Problem:
    """Reads a problem document; whatever else came instead is quoted as the detail."""
    if not isinstance(document, dict):
        return Problem(status, "The node refused", str(document)[:500])
    faults = tuple(
        Fault(str(one.get("field", "")), str(one.get("code", "")), str(one.get("detail", "")))
        for one in document.get("errors") or ()
        if isinstance(one, dict)
    )
    return Problem(status, str(document.get("title") or "The node refused"), str(document.get("detail") or ""), faults)


@contextmanager
def plainly() -> Iterator[None]:
    """Turns troubles into a sentence on stderr and the exit status; nobody is shown a traceback for a refusal."""
    try:
        yield
    except Trouble as trouble:
        say_trouble(trouble)
        raise typer.Exit(trouble.status) from None


def say_trouble(trouble: Trouble) -> None:
    errors.print(f"[bold red]{escape(trouble.sentence)}[/]", soft_wrap=True)
    if isinstance(trouble, Refused):
        say_problem(trouble.problem)
    if trouble.remedy:
        errors.print(escape(trouble.remedy), soft_wrap=True)


def say_problem(problem: Problem, *, where: Callable[[str], str] = lambda field: field) -> None:
    """Every fault on a line of its own; `where` says a field in the caller's terms (a file, a line)."""
    if not problem.faults:
        errors.print(f"  {escape(problem.detail)}", soft_wrap=True)
    for fault in problem.faults:
        errors.print(f"  [bold]{escape(where(fault.field) or 'the whole')}[/]: {escape(fault.detail)}", soft_wrap=True)


def tell_json(document: Any) -> None:
    """For programs: one JSON document on stdout, nothing else."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    drawn = Table(*columns, title=title or None, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD)
    for row in rows:
        drawn.add_row(*(escape(cell) for cell in row))
    return drawn


def words(text: Any, language: str = "en") -> str:
    """A multilingual text in `language`, else in whichever it has."""
    if isinstance(text, dict):
        found = text.get(language) or next((one for one in text.values() if one), "")
        return str(found)
    return "" if text is None else str(text)
