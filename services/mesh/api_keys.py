"""HTTP of keys: the secretariat revokes one that was stolen."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from shared.http.caller import Caller
from shared.http.posted import Body, describes

from .api import operator

router = APIRouter()


class RevocationPost(BaseModel):
    """Which key was stolen, and how far it was its owner who signed with it."""

    keyid: str | None = Field(None, description="The key's id; the agency's present key if left out.")
    last_good: dict[str, dict[str, Any]] | None = Field(
        None,
        description="Per ledger the last good fact: epoch, sequence, hash. This node's heads where it names none; "
        "sequence 0 if nothing in a ledger was good.",
    )
    successor: str | None = Field(
        None, description="Public key, hexadecimal, that goes on from there, if there is one."
    )


@router.post(
    "/v1/agencies/{agency}/revocations",
    tags=["agencies"],
    status_code=201,
    summary="Revoke an agency's signing key beyond its last good facts",
    openapi_extra=describes(RevocationPost),
)
def revoke(request: Request, caller: Caller, agency: str, body: Body) -> JSONResponse:
    author = operator(caller)
    revocation = request.app.state.keys.revoke(agency, body.as_object(), author)
    return JSONResponse({"agency": agency, **revocation.as_json()}, 201)
