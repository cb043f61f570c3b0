"""An agency's rules of matching over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse

from services.matching.api.posts import RulesPost
from services.matching.domain.agency_rules import set_rules
from services.matching.domain.responding import ROLES
from services.matching.views import told_fact
from services.matching.writing import author_for, commit, ledger_of, memory_of
from shared.facts.names import AGENCY
from shared.http.caller import Caller
from shared.http.posted import Body, describes, etag, if_match
from shared.problems import NotFound, Stale

router = APIRouter(prefix="/v1", tags=["rules"])

Expected = Annotated[
    str | None, Header(alias="If-Match", description="The version you changed; none is needed for the first rules.")
]


@router.get("/rules/{agency}", summary="An agency's rules; the node's defaults where it set none")
def get_rules(request: Request, caller: Caller, agency: str) -> JSONResponse:  # noqa: ARG001 - any actor may read
    if AGENCY.fullmatch(agency) is None:
        raise NotFound(f"{agency!r} is no agency.")
    newest = ledger_of(request).newest(agency, "rules", agency)
    if newest is not None and newest.state is not None:
        told = told_fact(newest)
        told.pop("notices")
        return JSONResponse(told, headers={"ETag": etag(newest.header.version)})
    rules = memory_of(request).rules_of(agency)
    return JSONResponse({**rules.as_state(), "version": 0, "audience": "mesh"}, headers={"ETag": etag(0)})


@router.put("/rules/{agency}", summary="Set an agency's rules", openapi_extra=describes(RulesPost))
def put_rules(request: Request, caller: Caller, agency: str, body: Body, expected: Expected = None) -> JSONResponse:
    ledger = ledger_of(request)
    author = author_for(ledger, caller, agency, ROLES["rules"])
    newest = ledger.newest(agency, "rules", agency)
    version = 0 if newest is None else newest.header.version
    if (newest is not None or expected is not None) and if_match(expected) != version:
        raise Stale(f"The rules are at version {version}: read them again.", current_version=version)
    change = set_rules(body.as_object(), agency, version, memory_of(request).defaults)
    fact, _ = commit(ledger, author, lambda: change)
    request.app.state.parts.wake()
    return JSONResponse(told_fact(fact), headers={"ETag": etag(fact.header.version)})
