"""HTTP of membership: the secretariat invites, suspends and renews; an agency's node joins."""

from __future__ import annotations

from datetime import date
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from shared.http.caller import Caller
from shared.http.posted import Body, describes
from shared.ledger.identity import ACTIVE, SUSPENDED
from shared.problems import Fault, Invalid

from . import domain, membership
from .api import operator

router = APIRouter()

LONGEST_DAYS = 90


class InvitePost(BaseModel):
    """Whom to invite."""

    agency: str = Field(description="Slug of the agency.", examples=["wfp"])
    days: int = Field(14, ge=1, le=LONGEST_DAYS, description="Days until the invite expires.")


class JoinPost(BaseModel):
    """An agency's node asks to be admitted. Keys are public halves; both private ones have signed the request."""

    code: str = Field(description="The invite's code.")
    agency: str
    public: str = Field(description="Ed25519 public key, hexadecimal, that signs the agency's facts.")
    recovery: str = Field(description="Public half of the recovery key that is kept offline.")
    domain: str = Field(description="JetStream domain of the node.")
    leaf: str = Field(description="Public half of the nkey by which the node's NATS server signs in.")
    node: str = Field(description="Address of the node's API.")
    signature: str = Field(description="By the signing key, over the request, base64.")
    recovery_signature: str = Field(description="By the recovery key, over the request, base64.")
    leaf_signature: str = Field(description="By the nkey of the node's link, over the request, base64.")


class ExpiryPost(BaseModel):
    """Until when the roster admits new members."""

    expires_on: date | None = Field(description="The last day, or null for none.")


@router.post(
    "/v1/invites",
    tags=["members"],
    status_code=201,
    summary="Invite an agency: single use, expires; the code is shown once",
    openapi_extra=describes(InvitePost),
)
def invite(request: Request, caller: Caller, body: Body) -> JSONResponse:
    author = operator(caller)
    post = body.as_object()
    agency, days = domain.agency_to_host(post), post.get("days", 14)
    if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= LONGEST_DAYS:
        raise Invalid([Fault("days", "range", f"a whole number from 1 to {LONGEST_DAYS}")])
    return JSONResponse(request.app.state.joining.invite(agency, days, author), 201)


@router.post(
    "/v1/members",
    tags=["members"],
    status_code=201,
    summary="Join the mesh with an invite; the same request again is answered the same",
    openapi_extra=describes(JoinPost),
)
def join(request: Request, body: Body) -> JSONResponse:
    return JSONResponse(request.app.state.joining.join(body.as_object()), 201)


@router.post("/v1/members/{agency}/suspension", tags=["members"], summary="Suspend a member: its node loses its link")
def suspend(request: Request, caller: Caller, agency: str) -> dict[str, Any]:
    return _set_status(request, caller, agency, SUSPENDED)


@router.delete("/v1/members/{agency}/suspension", tags=["members"], summary="A suspended member may link again")
def resume(request: Request, caller: Caller, agency: str) -> dict[str, Any]:
    return _set_status(request, caller, agency, ACTIVE)


def _set_status(request: Request, caller: Caller, agency: str, status: str) -> dict[str, Any]:
    author = operator(caller)
    request.app.state.roster_writer.change(author, lambda state: membership.with_status(state, agency, status))
    return {"agency": agency, "status": status}


@router.put(
    "/v1/roster/expiry",
    tags=["members"],
    summary="Set the roster's last day; afterwards nobody new is admitted",
    openapi_extra=describes(ExpiryPost),
)
def set_expiry(request: Request, caller: Caller, body: Body) -> dict[str, Any]:
    author = operator(caller)
    told = body.as_object().get("expires_on")
    try:
        expires_on = None if told is None else date.fromisoformat(told)
    except (TypeError, ValueError) as error:
        raise Invalid([Fault("expires_on", "date", "a date such as 2027-12-31, or null")]) from error
    request.app.state.roster_writer.change(author, lambda state: membership.with_expiry(state, expires_on))
    return {"expires_on": told}
