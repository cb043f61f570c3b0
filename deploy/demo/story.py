"""The demo from the first record to the summary; called once the node answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from deploy.cli import tokens
from deploy.cli.connection import Connection
from deploy.cli.speaking import Misused
from deploy.demo import answers, people, portfolio, summary
from deploy.demo.loading import Loader, in_parallel
from deploy.demo.notes import Notes
from shared.settings import Settings

LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - addresses that one listens on, not ones to call


def demo_settings(settings: Settings) -> Settings:
    """The node's settings with what the sample wants, unless the environment says otherwise."""
    wanted = {"release": "auto", "webhook_allow_private": True}
    return settings.model_copy(update={k: v for k, v in wanted.items() if k not in settings.model_fields_set})


def tell(settings: Settings, console: Console) -> None:
    """Loads what of the sample is not there yet and prints the summary. Raises `Trouble` when it cannot."""
    began = time.monotonic()
    notes = Notes(settings.home)
    sample, shift = portfolio.read(shift=notes.shift)
    if notes.shift is None:
        notes.set_shift(shift)
    with closing(Connection(own_address(settings), operator_token(settings.home))) as node:
        loader = Loader(node, settings.home, notes, sample)
        console.print(f"The node answers at [bold]{settings.url}[/]. Loading the sample portfolio over its HTTP API.")
        steps = Steps(console)
        with steps:
            _load(loader, steps)
        console.print(f"[dim]Loaded in {time.monotonic() - began:.0f} s.[/]\n")
        summary.tell(loader, settings, people.link_for_guest(node, settings.home), console)


def own_address(settings: Settings) -> str:
    """Where this machine reaches the node, whatever public address it has."""
    host = LOOPBACK.get(settings.host, f"[{settings.host}]" if ":" in settings.host else settings.host)
    return f"http://{host}:{settings.port}"


def operator_token(home: Path) -> str:
    held = tokens.read(home).get("node", {})
    if "admin" not in held:
        raise Misused(
            f"{tokens.path_in(home)} has no token of the node's operator (node: admin).",
            remedy="Put tokens.json back, or try the demo with another PILOTMESH_HOME.",
        )
    return held["admin"]


def _load(loader: Loader, steps: Steps) -> None:
    sample = loader.portfolio
    with steps.step("agencies hosted, with their people", len(sample.agencies)) as advance:

        def host(slug: str) -> None:
            people.host(loader.node, loader.home, slug)
            advance()

        in_parallel(partial(host, slug) for slug in sample.agencies)
    for title, records, load in (
        ("agencies registered", sample.agencies, loader.agencies),
        ("offices", sample.offices, loader.offices),
        ("capabilities", sample.capabilities, loader.capabilities),
    ):
        with steps.step(title, len(records)) as advance:
            load(advance)
    loader.wait_until_level("matching")  # a first proposal is made once: it should see everybody
    with steps.step("pilots", len(sample.pilots)) as advance:
        loader.pilots(advance)
    loader.wait_until_level("metrics")
    with steps.step("indicator plans", sum(len(one["plans"]) for one in sample.results.values())) as advance:
        loader.plans(advance)
    loader.wait_until_level("metrics")
    with steps.step("uploads of observations and corrections", len(sample.results)) as advance:
        loader.observations(advance)
    with steps.counting("proposals by matching") as count:
        answers.wait_for_proposals(loader, count)
    with steps.step("answers of invented agencies", len(sample.answers)) as advance:
        complete = answers.answer(loader, advance)
    with steps.counting("testbeds formed") as count:
        count(len(answers.wait_for_testbeds(loader, complete)))


class Steps:
    """Progress for a terminal, one line a finished step for everything else."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (TextColumn("{task.description:<42}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)

    def __enter__(self) -> Steps:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @contextmanager
    def step(self, title: str, total: int) -> Iterator[Callable[[], None]]:
        """Call what it yields for each thing done."""
        task = self._progress.add_task(title, total=total)
        yield lambda: self._progress.advance(task)
        self._done(task, title, total)

    @contextmanager
    def counting(self, title: str) -> Iterator[Callable[[int], None]]:
        """Call what it yields with how many there are by now."""
        task = self._progress.add_task(title, total=None)
        counted = 0

        def count(number: int) -> None:
            nonlocal counted
            counted = number
            self._progress.update(task, completed=number)

        yield count
        self._progress.update(task, total=max(counted, 1))
        self._done(task, title, counted)

    def _done(self, task: TaskID, title: str, total: int) -> None:
        if self._progress.disable:
            elapsed = self._progress.tasks[task].elapsed or 0.0
            self._console.print(f"  {total:>4}  {title} [dim]({elapsed:.1f} s)[/]")
        else:
            self._progress.update(task, completed=total)
