"""Testbeds over HTTP: lists, one, and a member's suspension of its part."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from services.matching import documents
from services.matching.api.posts import SuspensionPost
from services.matching.domain import Change, in_circle
from services.matching.domain.responding import ROLES
from services.matching.views import told_fact, told_testbeds
from services.matching.writing import author_for, commit, ledger_of, newest_version, readable
from shared.http.caller import Caller, Owner
from shared.http.paging import Paged, list_answer
from shared.http.posted import Body, IdempotencyKey, command_of, describes, etag
from shared.ledger.owners import ref_of
from shared.problems import Conflict, Fault, Invalid

router = APIRouter(prefix="/v1", tags=["testbeds"])

Code = Annotated[str | None, Query(max_length=64)]
WHOSE = Query(max_length=32, description="Whose testbed is meant; needed where several have this id.")


@router.get("/testbeds", summary="Testbeds, newest first")
def list_testbeds(
    request: Request,
    caller: Caller,
    page: Paged,
    pilot: Code = None,
    agency: Code = None,
    country: Code = None,
    status: Code = None,
    lead: Code = None,
) -> JSONResponse:
    asked = {"pilots": pilot, "agencies": agency, "countries": country, "status": status, "agency": lead}
    query: dict[str, Any] = {column: value for column, value in asked.items() if value is not None}
    rows, last = documents.page("testbed", query, reader=caller.agency, after=page.after, limit=page.limit)
    return list_answer(request, told_testbeds(rows, caller), last)


@router.get("/testbeds/{testbed_id}", summary="One testbed")
def get_testbed(request: Request, caller: Caller, testbed_id: str, owner: Owner = None) -> JSONResponse:
    row = readable(request, caller, "testbed", testbed_id, owner)
    return JSONResponse(told_testbeds([row], caller)[0], headers={"ETag": etag(row.version)})


@router.post(
    "/testbeds/{testbed_id}/suspensions",
    status_code=201,
    summary="Suspend one's own part at once",
    openapi_extra=describes(SuspensionPost),
)
def suspend(
    request: Request,
    caller: Caller,
    testbed_id: str,
    body: Body,
    key: IdempotencyKey = None,
    owner: Owner = None,
) -> JSONResponse:
    ledger = ledger_of(request)
    row = readable(request, caller, "testbed", testbed_id, owner)
    post = body.as_object()
    agency = post.get("agency")
    if not isinstance(agency, str):
        raise Invalid([Fault("agency", "missing", "say which agency suspends its part")])
    author = author_for(ledger, caller, agency, ROLES["suspend"])
    own_id = in_circle.suspension_id(*ref_of(row), agency)
    command = command_of(caller, f"POST suspensions/{'/'.join(ref_of(row))}", key, body.digest, own_id)
    earlier = ledger.earlier_answer(command)
    if earlier is not None:
        return JSONResponse(told_fact(earlier.fact), 201, headers={"Idempotency-Replayed": "true"})

    def decide() -> Change:
        return in_circle.suspended(
            row.state,
            agency,
            post,
            version=newest_version(ledger, agency, "suspension", own_id),
            actor=author.actor,
            role=author.role,
            now=ledger.now(),
        )

    fact, _ = commit(ledger, author, decide, command)
    request.app.state.parts.wake()
    return JSONResponse(told_fact(fact), 201, headers={"ETag": etag(fact.header.version)})


@router.delete("/testbeds/{testbed_id}/suspensions/{agency}", summary="Take one's part up again")
def resume(
    request: Request, caller: Caller, testbed_id: str, agency: str, lead: Annotated[str | None, WHOSE] = None
) -> JSONResponse:
    ledger = ledger_of(request)
    row = readable(request, caller, "testbed", testbed_id, lead)
    author = author_for(ledger, caller, agency, ROLES["resume"])
    own_id = in_circle.suspension_id(*ref_of(row), agency)

    def decide() -> Change:
        state, version, _ = ledger.current(agency, "suspension", own_id)
        if state.get("status") != "suspended":
            raise Conflict(f"{agency} takes part already.")
        return in_circle.resumed(state, version=version, actor=author.actor, role=author.role, now=ledger.now())

    fact, _ = commit(ledger, author, decide)
    return JSONResponse(told_fact(fact), headers={"ETag": etag(fact.header.version)})
