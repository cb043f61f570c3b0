"""Capabilities over HTTP: what an agency can bring."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from services.registry import domain
from services.registry.api.reading import Search, history_of, listed, one_of, searched
from services.registry.records.posts import CapabilityPost
from services.registry.writing import change_record, create, ledger_of
from shared.http.caller import Caller, Owner
from shared.http.paging import Paged
from shared.http.posted import Body, IdempotencyKey, IfMatch, describes

router = APIRouter(prefix="/v1/capabilities", tags=["capabilities"])

Code = Annotated[str | None, Query(max_length=60)]


@router.get("", summary="Capabilities, newest first")
def list_capabilities(
    request: Request,
    caller: Caller,
    page: Paged,
    agency: Code = None,
    code: Code = None,
    layer: Code = None,
    country: Annotated[str | None, Query(max_length=3, description="Can be used there.")] = None,
    q: Search = None,
) -> JSONResponse:
    query = searched(q)
    asked = {"agency": agency, "code": code, "layer": layer}
    query.update({column: value for column, value in asked.items() if value is not None})
    if country:
        query["$or"] = [{"delivers_to": None}, {"delivers_to": country}]
    return listed(request, caller, "capability", page, query)


@router.post("", status_code=201, summary="Register a capability", openapi_extra=describes(CapabilityPost))
def register_capability(request: Request, caller: Caller, body: Body, key: IdempotencyKey = None) -> JSONResponse:
    def decide(record_id: str) -> domain.Change:
        return domain.register_capability(body.as_object(), id=record_id, now=ledger_of(request).now(), actor=caller)

    return create(request, caller, body, key, "capability", decide)


@router.get("/{capability_id}", summary="One capability")
def get_capability(request: Request, caller: Caller, capability_id: str, owner: Owner = None) -> JSONResponse:
    return one_of(request, caller, "capability", capability_id, owner)


@router.get("/{capability_id}/history", summary="Every change of a capability")
def capability_history(request: Request, caller: Caller, capability_id: str, owner: Owner = None) -> JSONResponse:
    return history_of(request, caller, "capability", capability_id, owner)


@router.put("/{capability_id}", summary="Revise a capability", openapi_extra=describes(CapabilityPost))
def revise_capability(
    request: Request,
    caller: Caller,
    capability_id: str,
    body: Body,
    expected: IfMatch,
    key: IdempotencyKey = None,
    understood: Annotated[bool, Query(description="Shared before: I know that it cannot be called back.")] = False,
) -> JSONResponse:
    def decide(state: dict[str, Any], version: int) -> domain.Change:
        return domain.revise_capability(
            state,
            body.as_object(),
            version=version,
            now=ledger_of(request).now(),
            actor=caller,
            whole=True,
            understood=understood,
        )

    return change_record(request, caller, "capability", capability_id, expected, decide, body=body, key=key)


@router.post("/{capability_id}/confirmation", summary="It still stands: one click")
def confirm_capability(request: Request, caller: Caller, capability_id: str) -> JSONResponse:
    def decide(state: dict[str, Any], version: int) -> domain.Change:
        return domain.confirm_capability(state, version=version, now=ledger_of(request).now(), actor=caller)

    return change_record(request, caller, "capability", capability_id, None, decide)


@router.delete("/{capability_id}", summary="Withdraw a capability")
def withdraw_capability(request: Request, caller: Caller, capability_id: str, expected: IfMatch) -> JSONResponse:
    def decide(state: dict[str, Any], version: int) -> domain.Change:
        return domain.withdraw_capability(state, version=version, actor=caller)

    return change_record(request, caller, "capability", capability_id, expected, decide)
