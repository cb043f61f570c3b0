"""Results, reach and roll-ups over HTTP: whose figures they rest on is always said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from services.metrics import documents, figures
from services.metrics.reach import KINDS, agreed_sharing, named
from services.metrics.rollup import PilotRow, Row, choose, of_all, of_pilot, per_country, per_goal
from shared.access.actors import Actor
from shared.facts.fact import rfc3339
from shared.http.caller import Caller, Owner
from shared.http.paging import Paged, list_answer
from shared.http.recording import audience_of, may_see, readable, told_row
from shared.ledger.owners import ref_of
from shared.ledger.rows import Row as SharedRow
from shared.problems import Fault, Invalid
from shared.vocabulary import places, sdg
from shared.vocabulary.catalogue import versions

router = APIRouter(prefix="/v1", tags=["results"])

BASIS = {
    "private": "the agency's own observations",
    "published": "what the agency published, with small groups withheld",
}


def _source(caller: Actor, agency: str) -> str:
    """The agency's own actors see figures from its observations; everybody else those from what it published."""
    return "private" if caller.agency == agency else "published"


def _living(request: Request, caller: Actor, pilot_id: str, agency: str | None) -> SharedRow:
    """The pilot, if this caller may see it and it is still there: one that was narrowed takes its figures with it."""
    row = readable(request, documents.claims_to, caller, "pilot", pilot_id, agency)
    told_row(row)  # raises Gone
    return row


def _of_pilot(request: Request, caller: Actor, pilot_id: str, agency: str | None) -> dict[str, Any]:
    row = _living(request, caller, pilot_id, agency)
    source = _source(caller, row.key[0])
    found = documents.figures({"_id": documents.figures_key(ref_of(row), source)})
    if not found:
        return {
            "pilot": pilot_id,
            "agency": row.key[0],
            "source": source,
            "countries": [],
            "figures": {"results": [], "goals": {}, "reach": [], "apart": False, "questions": []},
            "sources": {},
            "set_at": None,
        }
    return found[0]


def _about(document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "pilot": document["pilot"],
        "agency": document["agency"],
        "source": document["source"],
        "basis": BASIS[document["source"]],
        "sources": document.get("sources") or {},
        "set_at": None if document["set_at"] is None else rfc3339(document["set_at"]),
        "versions": versions(),
    }


@router.get("/pilots/{pilot_id}/results", summary="A pilot's results against its plan")
def pilot_results(request: Request, caller: Caller, pilot_id: str, owner: Owner = None) -> dict[str, Any]:
    document = _of_pilot(request, caller, pilot_id, owner)
    told = {**_about(document), "results": document["figures"]["results"]}
    if document["source"] == "private":
        told["questions"] = document["figures"]["questions"]
    return told


@router.get("/pilots/{pilot_id}/reach", summary="How many people a pilot reached, each counted once")
def pilot_reach(request: Request, caller: Caller, pilot_id: str, owner: Owner = None) -> dict[str, Any]:
    document = _of_pilot(request, caller, pilot_id, owner)
    row = figures.read_back(document)
    return {**_about(document), **told_rollup(of_pilot(row)), "sites": document["figures"]["reach"]}


@router.get("/goals/{goal}", summary="What pilots contribute to a goal")
def goal_rollup(request: Request, caller: Caller, goal: str) -> dict[str, Any]:  # noqa: ARG001 - as its siblings
    if goal not in sdg.GOALS:
        raise Invalid([Fault("goal", "unknown-code", f"{goal!r} is no goal: 1 to 17")])
    rows, shared, said = _chosen(caller, {"goals": goal})
    found = per_goal(rows, shared).get(goal)
    return {"goal": goal, "label": dict(sdg.GOALS[goal].label), **_told_or_none(found), **said}


@router.get("/countries/{iso3}", summary="What pilots do in a country")
def country_rollup(request: Request, caller: Caller, iso3: str) -> dict[str, Any]:  # noqa: ARG001 - as its siblings
    place = places.PLACES.get(iso3)
    if place is None:
        raise Invalid([Fault("iso3", "unknown-code", f"{iso3!r} is no ISO 3166-1 alpha-3 code such as ZMB")])
    rows, shared, said = _chosen(caller, {"countries": iso3})
    found = per_country(rows, shared).get(iso3)
    return {"country": iso3, "label": dict(place.names), **_told_or_none(found), **said}


@router.get("/overview", summary="All pilots: counts, people reached, evidence")
def overview(request: Request, caller: Caller) -> dict[str, Any]:  # noqa: ARG001 - as its siblings
    rows, shared, said = _chosen(caller, {})
    goals, countries = per_goal(rows, shared), per_country(rows, shared)
    return {
        **told_rollup(of_all(rows, shared)),
        "goals": {goal: told_rollup(row) for goal, row in goals.items()},
        "countries": {country: told_rollup(row) for country, row in countries.items()},
        **said,
    }


@router.get("/progress", summary="Published progress, oldest first")
def list_progress(
    request: Request,
    caller: Caller,
    page: Paged,
    pilot: Annotated[str, Query(max_length=64)],
    owner: Owner = None,
) -> JSONResponse:
    lead = _living(request, caller, pilot, owner).key[0]
    rows = [row for row in documents.progress_of(lead, pilot) if may_see(caller, row.key[0], audience_of(row))]
    start = next((number + 1 for number, row in enumerate(rows) if row.id == page.after), 0) if page.after else 0
    shown = rows[start : start + page.limit]
    last = shown[-1].id if len(rows) > start + page.limit else None
    return list_answer(request, [told_row(row) for row in shown], last)


def _chosen(caller: Actor, query: dict[str, Any]) -> tuple[list[PilotRow], frozenset[frozenset[str]], dict[str, Any]]:
    """One row per pilot, from the caller's own observations or from what others published; agreed sharing; and on
    whose figures it rests."""
    found = documents.figures(query)
    private = {one["_id"]: figures.read_back(one) for one in found if one["source"] == "private"}
    published = {one["_id"]: figures.read_back(one) for one in found if one["source"] == "published"}
    rows = choose(private, published, {caller.agency})
    pilots = documents.those_owned("pilot", {(row.agency, row.pilot) for row in rows})
    visible = {ref for ref, row in pilots.items() if row.is_live and may_see(caller, ref[0], audience_of(row))}
    rows = [row for row in rows if (row.agency, row.pilot) in visible]
    declared = {named(one["agency"], one["pilot"]): one["figures"].get("shared_reach_with", []) for one in found}
    lead_of = {named(one["agency"], one["pilot"]): one["agency"] for one in found}
    chosen = {(row.name, row.source) for row in rows}
    sources = {
        source
        for one in found
        if (named(one["agency"], one["pilot"]), one["source"]) in chosen
        for source in (one["source"], *(one.get("sources") or {}).values())
    }
    said = {"basis": {source: BASIS[source] for source in sorted(sources)}, "versions": versions()}
    return rows, agreed_sharing(declared, lead_of).agreed, said


def _told_or_none(row: Row | None) -> dict[str, Any]:
    if row is None:
        nothing = {kind: {"lower": None, "upper": None, "unknown": 0} for kind in KINDS}
        return {"pilots": [], "leads": [], "statuses": {}, "evidence": {}, "reach": nothing, "sources": {}}
    return told_rollup(row)


def told_rollup(row: Row) -> dict[str, Any]:
    """Counts and bounds; never a value of an official indicator."""
    return {
        "pilots": list(row.pilots),
        "leads": list(row.leads),
        "statuses": dict(row.statuses),
        "evidence": dict(row.evidence),
        "reach": {kind: asdict(bounds) for kind, bounds in row.reach.items()},
        "sources": dict(row.sources),
    }
