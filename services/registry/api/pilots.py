"""Pilots over HTTP: register, revise, withdraw, screen, one step further, lists."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from services.registry import documents, domain
from services.registry.api.reading import Search, history_of, listed, one_of, searched
from services.registry.domain.life import StepPost
from services.registry.gates import Gates
from services.registry.records.posts import PilotPost
from services.registry.records.screening import ScreeningPost
from services.registry.screening import CURRENT
from services.registry.writing import change_record, commit, create, ledger_of, readable, told_fact
from shared.access.actors import Actor
from shared.http.addresses import check_hosted
from shared.http.caller import Caller, Owner
from shared.http.paging import Paged
from shared.http.posted import Body, IdempotencyKey, IfMatch, command_of, describes
from shared.problems import Fault, Invalid

router = APIRouter(prefix="/v1", tags=["pilots"])

Understood = Annotated[bool, Query(description="Shared before: I know that what was shared cannot be called back.")]
Code = Annotated[str | None, Query(max_length=60)]


@router.get("/pilots", summary="Pilots, newest first")
def list_pilots(
    request: Request,
    caller: Caller,
    page: Paged,
    lead: Code = None,
    agency: Code = None,
    country: Code = None,
    goal: Code = None,
    target: Code = None,
    need: Code = None,
    group: Code = None,
    life: Code = None,
    external_id: Annotated[str | None, Query(max_length=200, description="`<scheme>:<id>`")] = None,
    ids: Annotated[str | None, Query(max_length=4000, description="Ids, separated by commas.")] = None,
    q: Search = None,
) -> JSONResponse:
    query = searched(q)
    asked = {
        "lead": lead or agency,
        "countries": country,
        "goals": goal,
        "targets": target,
        "needs": need,
        "groups": group,
        "life": life,
        "external": external_id,
    }
    query.update({column: value for column, value in asked.items() if value is not None})
    if ids is not None:
        query["id"] = {"$in": [one.strip() for one in ids.split(",")][:200]}
    return listed(request, caller, "pilot", page, query)


@router.post("/pilots", status_code=201, summary="Register a pilot", openapi_extra=describes(PilotPost))
def register_pilot(request: Request, caller: Caller, body: Body, key: IdempotencyKey = None) -> JSONResponse:
    def decide(record_id: str) -> domain.Change:
        return domain.register_pilot(
            body.as_object(),
            id=record_id,
            now=ledger_of(request).now(),
            actor=caller,
            screening_before=gates_of(request).of(caller.agency),
        )

    return create(request, caller, body, key, "pilot", decide)


@router.get("/pilots/{pilot_id}", summary="One pilot")
def get_pilot(request: Request, caller: Caller, pilot_id: str, owner: Owner = None) -> JSONResponse:
    return one_of(request, caller, "pilot", pilot_id, owner)


@router.get("/pilots/{pilot_id}/history", summary="Every change of a pilot")
def pilot_history(request: Request, caller: Caller, pilot_id: str, owner: Owner = None) -> JSONResponse:
    return history_of(request, caller, "pilot", pilot_id, owner)


def _revise(
    request: Request,
    caller: Actor,
    pilot_id: str,
    body: Body,
    expected: int,
    key: str | None,
    *,
    whole: bool,
    understood: bool,
) -> JSONResponse:
    def decide(state: dict[str, Any], version: int) -> domain.Change:
        return domain.revise_pilot(
            state,
            body.as_object(),
            version=version,
            now=ledger_of(request).now(),
            actor=caller,
            whole=whole,
            understood=understood,
            screening_before=gates_of(request).of(str(state["lead_agency"])),
        )

    return change_record(request, caller, "pilot", pilot_id, expected, decide, body=body, key=key)


@router.put("/pilots/{pilot_id}", summary="Revise a pilot as a whole", openapi_extra=describes(PilotPost))
def revise_pilot(
    request: Request,
    caller: Caller,
    pilot_id: str,
    body: Body,
    expected: IfMatch,
    key: IdempotencyKey = None,
    understood: Understood = False,
) -> JSONResponse:
    return _revise(request, caller, pilot_id, body, expected, key, whole=True, understood=understood)


@router.patch("/pilots/{pilot_id}", summary="Revise parts of a pilot (RFC 7396)", openapi_extra=describes(PilotPost))
def patch_pilot(
    request: Request,
    caller: Caller,
    pilot_id: str,
    body: Body,
    expected: IfMatch,
    key: IdempotencyKey = None,
    understood: Understood = False,
) -> JSONResponse:
    return _revise(request, caller, pilot_id, body, expected, key, whole=False, understood=understood)


@router.delete("/pilots/{pilot_id}", summary="Withdraw a pilot")
def withdraw_pilot(request: Request, caller: Caller, pilot_id: str, expected: IfMatch) -> JSONResponse:
    def decide(state: dict[str, Any], version: int) -> domain.Change:
        return domain.withdraw_pilot(state, version=version, actor=caller)

    return change_record(request, caller, "pilot", pilot_id, expected, decide)


@router.get("/screening", summary="The eight questions, as they are asked now")
def screening_questions(caller: Caller) -> dict[str, Any]:  # noqa: ARG001 - any actor may ask, nobody else
    return {"version": CURRENT.version, "questions": [question.as_json() for question in CURRENT.questions]}


@router.get("/pilots/{pilot_id}/screening", summary="A pilot's screening")
def get_screening(request: Request, caller: Caller, pilot_id: str, owner: Owner = None) -> JSONResponse:
    pilot = readable(request, caller, "pilot", pilot_id, owner)
    return one_of(request, caller, "screening", domain.screening_id(pilot_id), pilot.key[0])


@router.post(
    "/pilots/{pilot_id}/screening",
    status_code=201,
    summary="Answer the screening",
    openapi_extra=describes(ScreeningPost),
)
def screen_pilot(
    request: Request, caller: Caller, pilot_id: str, body: Body, key: IdempotencyKey = None
) -> JSONResponse:
    ledger = ledger_of(request)
    check_hosted(ledger, caller)
    row = readable(request, caller, "pilot", pilot_id)
    pilot, pilot_version, _ = ledger.current(row.key[0], "pilot", pilot_id)
    screening_id = domain.screening_id(pilot_id)
    command = command_of(caller, f"POST screening/{pilot_id}", key, body.digest, screening_id)
    earlier = ledger.earlier_answer(command)
    if earlier is not None:
        return told_fact(earlier.fact, status=201, headers={"Idempotency-Replayed": "true"})
    newest = ledger.newest(row.key[0], "screening", screening_id)
    change = domain.screen_pilot(
        pilot,
        body.as_object(),
        pilot_version=pilot_version,
        held=None if newest is None else newest.state,
        version=0 if newest is None else newest.header.version,
        now=ledger.now(),
        actor=caller,
    )
    recorded = commit(ledger, caller, change, command)
    return told_fact(recorded.fact, status=201, notices=change.notices)


@router.post("/pilots/{pilot_id}/life", summary="Take a pilot one step further", openapi_extra=describes(StepPost))
def advance_pilot(
    request: Request,
    caller: Caller,
    pilot_id: str,
    body: Body,
    expected: IfMatch,
    key: IdempotencyKey = None,
) -> JSONResponse:
    """`{"to": "ready"}` and, with a pause or a close, its words."""

    def decide(state: dict[str, Any], version: int) -> domain.Change:
        post = dict(body.as_object())
        to = post.pop("to", None)
        if not isinstance(to, str):
            raise Invalid([Fault("to", "missing", f"say where to: {', '.join(domain.next_lives(state)) or 'nowhere'}")])
        screening = documents.owned("screening", str(state["lead_agency"]), domain.screening_id(pilot_id))
        return domain.advance_pilot(
            state,
            to,
            post,
            version=version,
            now=ledger_of(request).now(),
            actor=caller,
            screening=None if screening is None else screening.state,
            screening_before=gates_of(request).of(str(state["lead_agency"])),
        )

    return change_record(request, caller, "pilot", pilot_id, expected, decide, body=body, key=key)


def gates_of(request: Request) -> Gates:
    gates: Gates = request.app.state.gates
    return gates
