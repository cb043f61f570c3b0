"""HTTP of the intake: an operator pauses one agency, and takes that back."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from shared.facts.names import AGENCY
from shared.http.caller import Caller
from shared.http.posted import Body, describes
from shared.problems import Conflict, Fault, Invalid

from .accepting import Accepting
from .api import AgencyToHost, operator

router = APIRouter()


def accepting_of(request: Request) -> Accepting:
    exchange = request.app.state.exchange
    if exchange is None:
        raise Conflict("This node has no peers: it belongs to no mesh but its own.")
    accepting: Accepting = exchange.intake.accepting
    return accepting


@router.post(
    "/v1/pauses",
    tags=["node"],
    status_code=201,
    summary="Take in nothing more of one agency",
    openapi_extra=describes(AgencyToHost),
)
async def pause_intake(request: Request, caller: Caller, body: Body) -> JSONResponse:
    operator(caller)
    agency = body.as_object().get("agency")
    if not isinstance(agency, str) or not AGENCY.fullmatch(agency):
        raise Invalid([Fault("agency", "slug", "an agency's slug, such as wfp")])
    accepting = accepting_of(request)
    await run_in_threadpool(accepting.pause, agency)
    told: dict[str, Any] = {"paused": await run_in_threadpool(accepting.paused)}
    return JSONResponse(told, 201)


@router.delete("/v1/pauses/{agency}", tags=["node"], status_code=204, summary="Take in an agency's facts again")
async def resume_intake(request: Request, caller: Caller, agency: str) -> Response:
    operator(caller)
    await run_in_threadpool(accepting_of(request).resume, agency)
    return Response(status_code=204)
