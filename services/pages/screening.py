"""The eight questions of the screening, answered on one page; unfinished answers can be saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from services.pages.answering import LONGEST, Fault
from services.pages.node import Refusal, if_there, together
from services.pages.visitor import Visiting, Visitor
from shared.vocabulary.tables import LANGUAGES

router = APIRouter(include_in_schema=False)


@router.get("/pilots/{pilot_id}/screening")
async def questions(visitor: Visiting, pilot_id: UUID) -> Response:
    assert visitor.person is not None
    pilot, asked, held = await _read(visitor, pilot_id)
    return _page(visitor, pilot, asked, _held(visitor, held), [])


@router.post("/pilots/{pilot_id}/screening")
async def answer(visitor: Visiting, pilot_id: UUID) -> Response:
    words = await visitor.form()
    pilot, asked, _ = await _read(visitor, pilot_id)
    tongue = words["tongue"] if words.get("tongue") in LANGUAGES else visitor.words.language
    answers: dict[str, Any] = {}
    faults: list[Fault] = []
    for question in asked.get("questions") or ():
        name = str(question.get("id"))
        said, note = words.get(f"answer-{name}"), words.get(f"note-{name}", "")
        if len(note) > LONGEST:
            faults.append((f"note-{name}", visitor.words("answer.too_long", most=LONGEST), ""))
        given: dict[str, Any] = {"answer": said} if said in ("yes", "no") else {}
        if note:
            given["note"] = {tongue: note}
        if given:
            answers[name] = given
    body: dict[str, Any] = {"questionnaire": asked.get("version"), "answers": answers}
    if words.get("learning_question"):
        body["learning_question"] = {tongue: words["learning_question"]}
    if words.get("unfinished"):
        body["draft"] = True
    if not faults:
        try:
            await visitor.node.post(f"/registry/v1/pilots/{pilot_id}/screening", body)
            return visitor.go(f"/pilots/{pilot_id}?said=screening")
        except Refusal as refusal:
            if refusal.status != 422:
                raise
            faults = [_said(visitor, fault) for fault in refusal.faults]
    return _page(visitor, pilot, asked, words, faults)


async def _read(visitor: Visitor, pilot_id: UUID) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Pilot, questions, and the answers given so far. Raises `Refusal`; 403 for another agency's pilot."""
    base, agency = f"/registry/v1/pilots/{pilot_id}", visitor.person.agency
    pilot, asked, held = await together(
        visitor.node.get(base),
        visitor.node.get("/registry/v1/screening"),
        if_there(visitor.node.get(f"{base}/screening"), {}),
    )
    if pilot.get("lead_agency") != agency:
        raise Refusal(403, {"detail": f"The pilot is led by {pilot.get('lead_agency')}, not by {agency}."})
    return pilot, asked, held


def _held(visitor: Visitor, screening: Mapping[str, Any]) -> dict[str, str]:
    """Earlier answers as fields of the form."""
    held: dict[str, str] = {}
    for name, given in (screening.get("answers") or {}).items():
        if isinstance(given, dict):
            held[f"answer-{name}"] = str(given.get("answer") or "")
            held[f"note-{name}"] = visitor.show.plain(given.get("note"), "")
    held["learning_question"] = visitor.show.plain(screening.get("learning_question"), "")
    return held


def _page(
    visitor: Visitor, pilot: Mapping[str, Any], asked: Mapping[str, Any], held: Mapping[str, str], faults: list[Fault]
) -> Response:
    learning = any(one.get("question") for one in pilot.get("learning") or () if isinstance(one, dict))
    return visitor.page(
        "screening.html",
        422 if faults else 200,
        pilot=pilot,
        questions=asked.get("questions") or [],
        held=held,
        faults=faults,
        tongues=LANGUAGES,
        asks_learning=not learning,
    )


def _said(visitor: Visitor, fault: Mapping[str, str]) -> Fault:
    """A fault of the registry at its field; what is most often wrong is said in the visitor's language."""
    field = _field(fault.get("field", ""))
    if fault.get("code") == "missing" and field.startswith("note-"):
        return field, visitor.words("screen.note_missing"), ""
    if fault.get("code") == "missing" and field.startswith("answer-"):
        return field, visitor.words("screen.missing"), ""
    return field, str(fault.get("detail")), "en"


def _field(path: str) -> str:
    """`answers.rights.note` → the field of the form."""
    room, _, rest = path.partition(".")
    if room != "answers":
        return room
    name, _, part = rest.partition(".")
    return f"note-{name}" if part == "note" else f"answer-{name}"
