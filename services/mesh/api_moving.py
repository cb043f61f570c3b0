"""HTTP of moving: an agency's new node has itself recorded; a node asks whom it still hosts."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from shared.http.posted import Body, describes

from .allowance import limited

router = APIRouter()


class MovePost(BaseModel):
    """The node that an agency has moved to asks to be recorded. A key of the agency has signed the request."""

    move: str = Field(description="Id of the move, as the exported file has it. It is good for one node.")
    domain: str = Field(description="JetStream domain of the node.")
    leaf: str | None = Field(description="Public half of the nkey by which its NATS server signs in; null on the hub.")
    node: str = Field(description="Address of the node's API.")
    by: str = Field("signing", description="Which key has signed: signing, or recovery where the old node is lost.")
    announcements: list[str] = Field(
        default_factory=list, description="The agency's rekeyings, as they travel, base64."
    )
    signature: str = Field(description="By that key, over the request, base64.")
    node_signature: str = Field(
        description="Over the same, by the node's nkey; on the hub by the anchor's key. Base64."
    )


class HomeProof(BaseModel):
    """Proof that the asking node has, or had, a key of the agency."""

    public: str = Field(description="Public half of the key, hexadecimal.")
    signature: str = Field(description="Over mesh and agency, base64.")


class HomesPost(BaseModel):
    """Whom the asking node believes to host."""

    agencies: dict[str, HomeProof] = Field(description="By slug. One proof that holds suffices.")


@router.post(
    "/v1/members/{agency}/moves",
    tags=["members"],
    status_code=201,
    summary="Record that an agency is hosted by another node; the same request again is answered the same",
    openapi_extra=describes(MovePost),
    dependencies=[Depends(limited)],
)
def move(request: Request, agency: str, body: Body) -> JSONResponse:
    return JSONResponse(request.app.state.moving.move(agency, body.as_object()), 201)


@router.post(
    "/v1/homes",
    tags=["members"],
    summary="The newest roster, for a node that proves a key of an agency: it says who hosts that agency",
    openapi_extra=describes(HomesPost),
    dependencies=[Depends(limited)],
)
def homes(request: Request, body: Body) -> dict[str, Any]:
    told: dict[str, Any] = request.app.state.moving.homes(body.as_object())
    return told
