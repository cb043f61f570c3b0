"""Registering a pilot: one question a page, saved at every one; and at once who is kindred and who could help.

The draft is the registry's own: whoever leaves in the middle finds it under My work, on any device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.pages.answering import Fault
from services.pages.drafting import STEPS, first_need, is_said, lacking, read_step, step_after, written, written_in
from services.pages.node import Refusal, if_there, together
from services.pages.plain_words import suggested
from services.pages.show import sorted_by_name
from services.pages.visitor import Visiting, Visitor
from shared.vocabulary import capability, places, sdg
from shared.vocabulary.tables import LANGUAGES

router = APIRouter(include_in_schema=False)

REVISABLE = ("draft", "open")
TELLING = ("personal-data",)
"""Notices of the registry that the writer should see at once: a draft may hold it, an open pilot may not."""

MOST_KINDRED = 5
MOST_HELPERS = 8

Record = Mapping[str, Any]


@router.get("/pilots/new")
async def begin(visitor: Visiting) -> Response:
    assert visitor.person is not None
    return _step_page(visitor, {}, "", "title", {}, [])


@router.post("/pilots/new")
async def register(visitor: Visiting) -> Response:
    fields = await visitor.form()
    said, faults = read_step(visitor, {}, "title", fields)
    if faults:
        return _step_page(visitor, {}, "", "title", fields, faults)
    body = {**said, "lead_agency": visitor.person.agency, "draft": True}
    try:
        pilot = await visitor.node.post("/registry/v1/pilots", body)
    except Refusal as refusal:
        return _step_page(visitor, {}, "", "title", fields, _faults_of(visitor, refusal, "title"))
    return visitor.go(f"/pilots/{pilot['id']}/draft/{step_after(pilot, 'title') or ''}".rstrip("/"))


@router.get("/pilots/{pilot_id}/draft")
async def overview(visitor: Visiting, pilot_id: UUID) -> Response:
    pilot, etag = await _own_pilot(visitor, pilot_id)
    return await _overview_page(visitor, pilot, etag, [])


@router.post("/pilots/{pilot_id}/draft")
async def open_pilot(visitor: Visiting, pilot_id: UUID) -> Response:
    """The draft becomes a pilot that others see."""
    fields = await visitor.form()
    pilot, etag = await _own_pilot(visitor, pilot_id)
    try:
        await visitor.node.patch(f"/registry/v1/pilots/{pilot_id}", {"draft": False}, _etag(fields) or etag)
    except Refusal as refusal:
        if refusal.status not in (409, 422):
            raise
        faults = [(_step_of(field), words, tongue) for field, words, tongue in _faults_of(visitor, refusal, "")]
        return await _overview_page(visitor, pilot, etag, faults)
    return visitor.go(f"/pilots/{pilot_id}")


@router.get("/pilots/{pilot_id}/draft/{step}")
async def ask(visitor: Visiting, pilot_id: UUID, step: str) -> Response:
    _known(step)
    pilot, etag = await _own_pilot(visitor, pilot_id)
    return _step_page(visitor, pilot, etag or "", step, written(visitor, pilot, step), [])


@router.post("/pilots/{pilot_id}/draft/{step}")
async def save(visitor: Visiting, pilot_id: UUID, step: str) -> Response:
    _known(step)
    fields = await visitor.form()
    pilot, etag = await _own_pilot(visitor, pilot_id)
    said, faults = read_step(visitor, pilot, step, fields)
    if faults:
        return _step_page(visitor, pilot, _etag(fields), step, fields, faults)
    try:
        saved = await visitor.node.patch(f"/registry/v1/pilots/{pilot_id}", said, _etag(fields) or etag)
    except Refusal as refusal:
        if refusal.status != 422:
            raise
        return _step_page(visitor, pilot, _etag(fields), step, fields, _faults_of(visitor, refusal, step))
    following = f"/pilots/{pilot_id}/draft/{step_after(saved, step)}".rstrip("/")
    told = [one for one in saved.get("notices") or () if one.get("code") in TELLING]
    if told:
        etag = f'"{saved.get("version")}"'
        return _step_page(visitor, saved, etag, step, written(visitor, saved, step), [], told, following)
    return visitor.go(following)


# -- details ----------------------------------------------------------------------------------------------------


async def _own_pilot(visitor: Visitor, pilot_id: UUID) -> tuple[dict[str, Any], str | None]:
    """The visitor's own pilot while it can be revised here. Raises `Refusal`."""
    agency = visitor.person.agency
    pilot, etag = await visitor.node.read(f"/registry/v1/pilots/{pilot_id}")
    if pilot.get("lead_agency") != agency:
        raise Refusal(403, {"detail": f"The pilot is led by {pilot.get('lead_agency')}, not by {agency}."})
    if pilot.get("life") not in REVISABLE:
        raise Refusal(409, {"detail": f"The pilot is {pilot.get('life')}: it is revised over the API from here on."})
    return pilot, etag


def _step_page(
    visitor: Visitor,
    pilot: Record,
    etag: str,
    step: str,
    held: Mapping[str, Any],
    faults: Sequence[Fault],
    told: Sequence[Record] = (),
    following: str = "",
) -> Response:
    """The question. `told` is what the registry noticed about words that it saved; `following` where to go on then."""
    need = first_need(pilot)
    codes = suggested((need.get("words") or {}).values()) if step == "kind" else []
    if step == "kind" and held.get("code") in capability.CODES and held["code"] not in codes:
        codes = [str(held["code"]), *codes]
    return visitor.page(
        "draft_step.html",
        422 if faults else 200,
        pilot=pilot,
        etag=etag,
        step=step,
        number=STEPS.index(step) + 1,
        total=len(STEPS),
        held=held,
        faults=faults,
        told=told,
        following=following,
        tongue=written_in(visitor, pilot),
        tongues=LANGUAGES,
        countries=sorted_by_name(places.PLACES, visitor.show.place) if step == "place" else [],
        codes=codes,
        codes_by_layer=_by_layer() if step == "kind" else {},
        known_codes=capability.CODES,
        goals=list(sdg.GOALS),
        need=need,
    )


async def _overview_page(visitor: Visitor, pilot: Record, etag: str | None, faults: Sequence[Fault]) -> Response:
    kindred, helpers = await together(_kindred(visitor, pilot), _helpers(visitor, pilot))
    missing = lacking(pilot)
    return visitor.page(
        "draft.html",
        422 if faults else 200,
        pilot=pilot,
        etag=etag or "",
        faults=faults,
        steps=[step for step in STEPS if step != "kind" or is_said(pilot, "need")],
        said={step: is_said(pilot, step) for step in STEPS},
        lacking=missing,
        next_step=missing[0] if missing else ("kind" if not is_said(pilot, "kind") else ""),
        need=first_need(pilot),
        kindred=kindred,
        helpers=helpers,
    )


def _by_layer() -> dict[str, list[str]]:
    layers: dict[str, list[str]] = {}
    for code in capability.CODES.values():
        if code.matchable and code.layer:
            layers.setdefault(code.layer, []).append(code.code)
    return layers


async def _kindred(visitor: Visitor, pilot: Record) -> list[dict[str, Any]]:
    """Other pilots at the same place or with the same need; first those that share both."""
    code, countries = first_need(pilot).get("code"), pilot.get("countries") or []
    asked = [visitor.node.items("/registry/v1/pilots", country=country) for country in countries[:3]]
    if code and code != "other":
        asked.append(visitor.node.items("/registry/v1/pilots", need=code))
    found = await together(*(if_there(one, []) for one in asked))
    alike: dict[str, dict[str, Any]] = {}
    for one in (one for some in found for one in some):
        if one.get("id") != pilot.get("id"):
            alike[str(one.get("id"))] = one

    def shared(other: Mapping[str, Any]) -> int:
        same_place = bool(set(other.get("countries") or ()) & set(countries))
        same_need = any(need.get("code") == code for need in other.get("needs") or ())
        return same_place + same_need

    return sorted(alike.values(), key=lambda one: (-shared(one), str(one.get("id"))))[:MOST_KINDRED]


async def _helpers(visitor: Visitor, pilot: Record) -> list[dict[str, Any]]:
    """Capabilities that are offered for the need at the place."""
    code = first_need(pilot).get("code")
    if not code or code == "other":
        return []
    country = next(iter(pilot.get("countries") or ()), "")
    asked = {"code": code, "country": country} if country else {"code": code}
    found: list[dict[str, Any]] = await if_there(
        visitor.node.items("/registry/v1/capabilities", MOST_HELPERS, **asked), []
    )
    return found


def _faults_of(visitor: Visitor, refusal: Refusal, step: str) -> list[Fault]:
    """The registry's faults at the fields of the form; its words are English."""
    if refusal.status not in (409, 422):
        raise refusal
    names = {"sites": "country", "countries": "country", "needs": "words" if step == "need" else "code"}
    faults: list[Fault] = []
    for fault in refusal.faults:
        field = fault.get("field", "").partition("[")[0].partition(".")[0]
        faults.append((names.get(field, field) if step else field, str(fault.get("detail")), "en"))
    return faults or [("", refusal.detail or visitor.words("refused.what"), "en")]


def _step_of(field: str) -> str:
    steps = {"sites": "place", "countries": "place", "needs": "need", "starts_on": "dates", "ends_on": "dates"}
    return steps.get(field, field if field in STEPS else "")


def _etag(fields: Mapping[str, str]) -> str:
    return fields.get("etag", "")


def _known(step: str) -> None:
    if step not in STEPS:
        raise HTTPException(404)
