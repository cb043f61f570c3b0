"""HTTP of hubs: what a node that takes links shows of itself, and whether this node may move to such a one."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from shared.http.caller import Caller
from shared.http.posted import Body, describes
from shared.ledger.identity import ROSTER_LEDGER

from .allowance import limited
from .api import operator
from .hubs import Hubs

router = APIRouter()

Number = Annotated[int, Query(ge=1, le=2**31)]


class RehomingPost(BaseModel):
    """What another hub has shown (`GET /v1/hub`, all pages of its roster together)."""

    card: dict[str, Any] = Field(description="The hub's signed card.")
    head: dict[str, Any] = Field(description="Epoch, sequence and hash of its roster's newest fact.")
    roster: list[dict[str, Any]] = Field(description="Its roster's facts from this node's newest one on.")
    even_if_behind: bool = Field(False, description="Whether its roster may be older than this node's.")


@router.get(
    "/v1/hub",
    tags=["hubs"],
    summary="This hub's or standby's card, and its roster's chain without content",
    dependencies=[Depends(limited)],
)
def hub_card(request: Request, epoch: Number = 1, sequence: Number = 1) -> dict[str, Any]:
    return _hubs(request).shown(epoch, sequence)


@router.get("/v1/roster/head", tags=["hubs"], summary="How far the roster has come here")
def roster_head(request: Request, caller: Caller) -> dict[str, Any]:  # noqa: ARG001 - any actor may ask, nobody else
    head = request.app.state.parts.ground.store.head(ROSTER_LEDGER)
    return {"epoch": head.epoch, "sequence": head.sequence, "hash": head.hash}


@router.post(
    "/v1/rehoming",
    tags=["hubs"],
    summary="Whether this node may move to that hub; changes nothing",
    openapi_extra=describes(RehomingPost),
)
def check_hub(request: Request, caller: Caller, body: Body) -> dict[str, Any]:
    operator(caller)
    post = body.as_object()
    card = _hubs(request).check(post, even_if_behind=post.get("even_if_behind") is True)
    return {
        "domain": card.domain,
        "url": card.url,
        "leaf": list(card.leaf),
        "authority": card.authority,
    }


def _hubs(request: Request) -> Hubs:
    hubs: Hubs = request.app.state.hubs
    return hubs
