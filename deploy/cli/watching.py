"""`watch`: what happens, live, over the notifier's event stream; goes on by itself where a break left off."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.markup import escape

from deploy.cli.connection import OPERATOR, As, Connection, Url, connected
from deploy.cli.speaking import Unreachable, console, errors, plainly, words

SILENCE_SECONDS = 60.0
"""A stream that sends not even a heartbeat for so long is dead; the node sends one every 15 seconds."""
WAITS_SECONDS = (0.2, 5.0)
"""Before the stream is opened again: the first wait, and the longest (it doubles in between)."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a `text/event-stream` (WHATWG HTML, 9.2): `data` empty for one that only moves the place."""

    id: str | None
    name: str
    data: str


def watch(
    url: Url = None,
    who: As = None,
    as_json: Annotated[bool, typer.Option("--json", help="One CloudEvent a line, for programs.")] = False,
    kinds: Annotated[str | None, typer.Option(help="Such as proposal,testbed.")] = None,
    agencies: Annotated[str | None, typer.Option(help="Such as wfp,fao.")] = None,
    countries: Annotated[str | None, typer.Option(help="Such as ZMB,MWI.")] = None,
    goals: Annotated[str | None, typer.Option(help="Such as 2,13.")] = None,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Go on after this event (its id stands dim).")] = None,
    begin: Annotated[bool, typer.Option("--from-start", help="Tell first what happened so far.")] = False,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many events.")] = None,
) -> None:
    """Follow what happens until Ctrl-C. After a break it goes on where it was, without loss or repetition."""
    filters = {"kinds": kinds, "agencies": agencies, "countries": countries, "goals": goals}
    with plainly(), connected(url, who, else_as=OPERATOR) as node, suppress(KeyboardInterrupt):
        events = follow(node, filters, after=after, begin="start" if begin else "now")
        for told, event in enumerate(events, start=1):
            if as_json:
                print(event.data, flush=True)
            else:
                _tell(event)
            if told == count:
                return


def follow(
    node: Connection, filters: dict[str, str | None], *, after: str | None = None, begin: str = "now"
) -> Iterator[Event]:
    """Events without end. Opens the stream again when it breaks, from the last place that was told.

    Raises `Refused`, and `Unreachable` if the node did not answer even once.
    """
    shortest, longest = WAITS_SECONDS
    wait, place, answered, complained = shortest, after, False, False
    params = {name: value for name, value in filters.items() if value} | {"from": begin}
    while True:
        try:
            for event in _opened(node, params, place):
                answered, wait, complained = True, shortest, False
                place = event.id or place
                if event.name == "end":
                    errors.print(f"[yellow]{escape(_reason(event.data))}[/]")
                elif event.name == "reset":
                    errors.print("[yellow]The node's journal was started anew; everything is told again.[/]")
                elif event.data:
                    yield event
        except Unreachable as trouble:
            if not answered:
                raise
            if not complained:
                errors.print(f"[dim]{escape(trouble.sentence)} Trying again.[/]", soft_wrap=True)
            complained = True
        time.sleep(wait)
        wait = min(wait * 2, longest)


def _opened(node: Connection, params: dict[str, str], place: str | None) -> Iterator[Event]:
    import httpx  # noqa: PLC0415 (importing it takes longer than most commands)

    headers = node.identity | {"Accept": "text/event-stream"} | ({"Last-Event-ID": place} if place else {})
    timeout = httpx.Timeout(SILENCE_SECONDS, connect=5)
    try:
        with node.client.stream(
            "GET", "/notifier/v1/stream", params=params, headers=headers, timeout=timeout
        ) as answer:
            if not answer.is_success:
                answer.read()
                node.accepted(answer)
            yield from events_of(answer.iter_lines())
    except httpx.TransportError as error:
        raise node.unreachable(error) from error


def events_of(lines: Iterable[str]) -> Iterator[Event]:
    """The events in the lines of a stream; comments and unknown fields are passed over, as the standard has it."""
    place: str | None = None
    name, data, seen = "message", list[str](), False
    for line in lines:
        if not line:
            if seen:
                yield Event(place, name, "\n".join(data))
            name, data, seen = "message", [], False
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "id":
            place, seen = value, True
        elif field == "event":
            name, seen = value, True
        elif field == "data":
            data.append(value)
            seen = True


def _reason(data: str) -> str:
    try:
        return str(json.loads(data)["reason"])
    except (ValueError, KeyError, TypeError):
        return data


def _tell(event: Event) -> None:
    told: dict[str, Any] = json.loads(event.data)
    kind = str(told.get("type", "")).removeprefix("org.pilotmesh.").rsplit(".v", 1)[0].replace(".", " ")
    state = told.get("data") or {}
    about = words(state.get("title") or state.get("name")) or told.get("subject", "")
    agency = str(told.get("source", "")).split(":")[-2:][0]
    time_ = str(told.get("time", ""))[11:19]
    console.print(
        f"{time_}  [bold]{escape(kind)}[/]  {escape(agency)}  {escape(str(about))}  [dim]{event.id or ''}[/]",
        soft_wrap=True,
    )
