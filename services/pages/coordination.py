"""A coordinator's page: needs your word, stuck and on whom, running with red flags, what nobody can provide."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from services.pages.next_steps import Step, next_step
from services.pages.node import Node, if_there, together
from services.pages.visitor import Visiting
from services.pages.work import asks, named, pilot_of, pilots_of

router = APIRouter(include_in_schema=False)

MOST = 200
MOST_RUNNING = 20
"""How many running pilots are looked at for their results, one call each."""

Record = Mapping[str, Any]


@router.get("/coordination")
async def coordination(visitor: Visiting) -> Response:
    person, node = visitor.person, visitor.node
    invited, proposals, pilots, gaps = await together(
        if_there(node.items("/matching/v1/proposals", MOST, invited=person.agency), []),
        if_there(node.items("/matching/v1/proposals", MOST, agency=person.agency), []),
        if_there(node.items("/registry/v1/pilots", MOST, lead=person.agency), []),
        if_there(node.items("/matching/v1/gaps", MOST), []),
    )
    of_pilot: dict[Any, list[Record]] = defaultdict(list)
    for proposal in proposals:
        of_pilot[pilot_of(proposal)].append(proposal)
    steps = [(pilot, next_step(pilot, of_pilot[named(pilot)])) for pilot in pilots]
    asked = [one for one in invited if asks(one, person.agency)]
    running = [pilot for pilot in pilots if pilot.get("life") in ("running", "paused")][:MOST_RUNNING]
    titles, flags, standing = await together(
        pilots_of(node, [pilot_of(one) for one in asked]),
        _flags(node, running),
        if_there(node.get("/metrics/v1/overview"), {}),
    )
    return visitor.page(
        "coordination.html",
        asked=[(one, titles.get(pilot_of(one), {})) for one in asked],
        own=[one for one in steps if one[1].on == (person.agency,)],
        stuck=by_agency([one for one in steps if one[1].on and one[1].on != (person.agency,)]),
        flags=flags,
        gaps=gaps,
        overview=standing,
    )


def by_agency(steps: Sequence[tuple[Record, Step]]) -> list[tuple[str, list[tuple[Record, Step]]]]:
    """Pilots by the agency they wait for, those that hold up most first."""
    waiting: dict[str, list[tuple[Record, Step]]] = defaultdict(list)
    for pilot, step in steps:
        for agency in step.on:
            waiting[agency].append((pilot, step))
    return sorted(waiting.items(), key=lambda one: (-len(one[1]), one[0]))


async def _flags(node: Node, running: Sequence[Record]) -> list[tuple[Record, list[str]]]:
    """Running pilots that somebody should look at, and why (phrases `flag.<code>`)."""
    places = [(f"/metrics/v1/pilots/{pilot.get('id')}/results", named(pilot)[0]) for pilot in running]
    results = await together(*(if_there(node.get(place, agency=lead), {}) for place, lead in places))
    today = datetime.now(UTC).date().isoformat()
    found = [(pilot, flags_of(pilot, result, today)) for pilot, result in zip(running, results, strict=True)]
    return [one for one in found if one[1]]


def flags_of(pilot: Record, results: Record, today: str) -> list[str]:
    flags: list[str] = []
    if pilot.get("life") == "paused":
        flags.append("paused")
    if (pilot.get("screening") or {}).get("status") in ("void", "not_passed"):
        flags.append("screening")
    due = pilot.get("assessment_due_on")
    if due and str(due) < today and (pilot.get("assessment") or {}).get("status") != "passed":
        flags.append("assessment")
    if pilot.get("ends_on") and str(pilot["ends_on"]) < today:
        flags.append("overdue")
    found = [one for one in results.get("results") or () if isinstance(one, dict)]
    if any(one.get("status") == "behind" for one in found):
        flags.append("behind")
    if not found or all(one.get("status") == "no_data" for one in found):
        flags.append("no_data")
    return flags
