"""Agencies and their offices over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from services.registry import domain
from services.registry.api.reading import Search, listed, one_of, searched
from services.registry.records.posts import AgencyPost, OfficePost
from services.registry.writing import change_record, create, ledger_of
from shared.http.caller import Caller, Owner
from shared.http.paging import Paged
from shared.http.posted import Body, IdempotencyKey, IfMatch, describes
from shared.problems import Conflict

router = APIRouter(prefix="/v1", tags=["agencies"])


@router.get("/agencies", summary="Organisations that take part")
def list_agencies(request: Request, caller: Caller, page: Paged, q: Search = None) -> JSONResponse:
    return listed(request, caller, "agency", page, searched(q))


@router.post("/agencies", status_code=201, summary="Register your agency", openapi_extra=describes(AgencyPost))
def register_agency(request: Request, caller: Caller, body: Body, key: IdempotencyKey = None) -> JSONResponse:
    def decide(_: str) -> domain.Change:
        change = domain.register_agency(body.as_object(), actor=caller)
        if ledger_of(request).newest(change.agency, "agency", change.id) is not None:
            raise Conflict(f"{change.agency} is registered already: revise it with PUT and If-Match.")
        return change

    return create(request, caller, body, key, "agency", decide)


@router.get("/agencies/{slug}", summary="One agency")
def get_agency(request: Request, caller: Caller, slug: str) -> JSONResponse:
    return one_of(request, caller, "agency", slug)


@router.put("/agencies/{slug}", summary="Revise your agency", openapi_extra=describes(AgencyPost))
def revise_agency(
    request: Request, caller: Caller, slug: str, body: Body, expected: IfMatch, key: IdempotencyKey = None
) -> JSONResponse:
    def decide(state: dict[str, Any], version: int) -> domain.Change:
        return domain.revise_agency(state, body.as_object(), version=version, actor=caller, whole=True)

    return change_record(request, caller, "agency", slug, expected, decide, body=body, key=key)


@router.delete("/agencies/{slug}", summary="Withdraw your agency's record")
def withdraw_agency(request: Request, caller: Caller, slug: str, expected: IfMatch) -> JSONResponse:
    def decide(state: dict[str, Any], version: int) -> domain.Change:
        return domain.withdraw_agency(state, version=version, actor=caller)

    return change_record(request, caller, "agency", slug, expected, decide)


@router.get("/offices", summary="Offices of agencies")
def list_offices(
    request: Request,
    caller: Caller,
    page: Paged,
    agency: Annotated[str | None, Query(max_length=40)] = None,
    country: Annotated[str | None, Query(max_length=3)] = None,
) -> JSONResponse:
    query: dict[str, Any] = {}
    if agency:
        query["agency"] = agency
    if country:
        query["countries"] = country
    return listed(request, caller, "office", page, query)


@router.post("/offices", status_code=201, summary="Register an office", openapi_extra=describes(OfficePost))
def register_office(request: Request, caller: Caller, body: Body, key: IdempotencyKey = None) -> JSONResponse:
    def decide(record_id: str) -> domain.Change:
        return domain.register_office(body.as_object(), id=record_id, actor=caller)

    return create(request, caller, body, key, "office", decide)


@router.get("/offices/{office_id}", summary="One office")
def get_office(request: Request, caller: Caller, office_id: str, owner: Owner = None) -> JSONResponse:
    return one_of(request, caller, "office", office_id, owner)


@router.put("/offices/{office_id}", summary="Revise an office", openapi_extra=describes(OfficePost))
def revise_office(
    request: Request,
    caller: Caller,
    office_id: str,
    body: Body,
    expected: IfMatch,
    key: IdempotencyKey = None,
    understood: Annotated[bool, Query(description="Shared before: I know that it cannot be called back.")] = False,
) -> JSONResponse:
    def decide(state: dict[str, Any], version: int) -> domain.Change:
        return domain.revise_office(
            state, body.as_object(), version=version, actor=caller, whole=True, understood=understood
        )

    return change_record(request, caller, "office", office_id, expected, decide, body=body, key=key)


@router.delete("/offices/{office_id}", summary="Withdraw an office")
def withdraw_office(request: Request, caller: Caller, office_id: str, expected: IfMatch) -> JSONResponse:
    def decide(state: dict[str, Any], version: int) -> domain.Change:
        return domain.withdraw_office(state, version=version, actor=caller)

    return change_record(request, caller, "office", office_id, expected, decide)
