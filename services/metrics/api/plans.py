"""Indicator plans over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from services.metrics import changes, documents, figures
from services.metrics.plans import IndicatorPlan
from shared.http.caller import Caller, Owner
from shared.http.paging import Paged, list_answer
from shared.http.posted import Body, IdempotencyKey, IfMatch, describes, etag
from shared.http.recording import audience_of, change_record, create, may_see, readable, told_row
from shared.ledger.owners import page_of, ref_of
from shared.ledger.rows import Row
from shared.problems import Conflict, Fault, Invalid

router = APIRouter(prefix="/v1/plans", tags=["plans"])


@router.get("", summary="Indicator plans, newest first")
def list_plans(
    request: Request,
    caller: Caller,
    page: Paged,
    pilot: Annotated[str | None, Query(max_length=64)] = None,
    agency: Annotated[str | None, Query(max_length=40)] = None,
) -> JSONResponse:
    query: dict[str, Any] = {"live": True}
    if pilot is not None:
        query["pilot"] = pilot
    if agency is not None:
        query["agency"] = agency
    found, last = page_of(documents.PlanRow, [query], page.after, page.limit)
    visible = [row for row in found if may_see(caller, row.key[0], audience_of(row))]
    return list_answer(request, [told_row(row) for row in visible], last)


@router.post("", status_code=201, summary="Plan an indicator of your pilot", openapi_extra=describes(IndicatorPlan))
def register_plan(request: Request, caller: Caller, body: Body, key: IdempotencyKey = None) -> JSONResponse:
    def decide(plan_id: str) -> changes.PlanChange:
        post = body.as_object()
        pilot = _pilot(caller, post.get("pilot"))
        change = changes.make_plan(
            post,
            plan_id=plan_id,
            pilot=pilot.state,
            sites=figures.sites_of(pilot.state),
            actor=caller,
            audience=audience_of(pilot),
        )
        twin = next(
            (row for row in documents.plans_of(*ref_of(pilot)) if row.state.get("code") == change.state["code"]), None
        )
        if twin is not None:
            raise Conflict(f"The pilot has a plan with code {change.state['code']} already: revise {twin.id}.")
        return change

    return create(request, caller, body, key, "plan", decide)


def _pilot(caller: Caller, pilot_id: Any) -> Row:
    """The caller's own pilot with this id; another's only where it has none, to be told that it is another's."""
    claims = documents.claims_to("pilot", pilot_id) if isinstance(pilot_id, str) else []
    seen = [row for row in claims if row.is_live and may_see(caller, row.key[0], audience_of(row))]
    row = min(seen, key=lambda one: (one.key[0] != caller.agency, one.key), default=None)
    if row is None:
        raise Invalid([Fault("pilot", "unknown_pilot", "no pilot that you may see has this id; register it first")])
    return row


@router.get("/{plan_id}", summary="One plan")
def get_plan(request: Request, caller: Caller, plan_id: str, owner: Owner = None) -> JSONResponse:
    row = readable(request, documents.claims_to, caller, "plan", plan_id, owner)
    return JSONResponse(told_row(row), headers={"ETag": etag(row.version)})


@router.put("/{plan_id}", summary="Revise a plan", openapi_extra=describes(IndicatorPlan))
def revise_plan(
    request: Request, caller: Caller, plan_id: str, body: Body, expected: IfMatch, key: IdempotencyKey = None
) -> JSONResponse:
    row = readable(request, documents.claims_to, caller, "plan", plan_id)

    def decide(state: dict[str, Any], version: int) -> changes.PlanChange:
        pilot = documents.owned("pilot", row.key[0], str(state["pilot"]))
        sites = {} if pilot is None else figures.sites_of(pilot.state)
        return changes.revise_plan(
            state, body.as_object(), version=version, sites=sites, actor=caller, audience=audience_of(row)
        )

    return change_record(request, caller, row, expected, decide, body=body, key=key)


@router.delete("/{plan_id}", summary="Withdraw a plan")
def withdraw_plan(request: Request, caller: Caller, plan_id: str, expected: IfMatch) -> JSONResponse:
    row = readable(request, documents.claims_to, caller, "plan", plan_id)

    def decide(state: dict[str, Any], version: int) -> changes.PlanChange:
        return changes.withdraw_plan(state, version=version, actor=caller, audience=audience_of(row))

    return change_record(request, caller, row, expected, decide)
