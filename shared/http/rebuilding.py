"""How far a service has folded; and rebuilding: it folds everything again from the store, into fresh collections
that are then swapped in."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from shared.http.caller import Caller
from shared.ledger.follower import LostLease
from shared.problems import Conflict, Forbidden

router = APIRouter(tags=["node"])


@router.post("/v1/rebuild", summary="Fold everything again from the ledger store")
def rebuild(request: Request, caller: Caller) -> dict[str, Any]:
    """Only the node's operator. Answers how far each ledger was folded."""
    if not caller.is_operator:
        raise Forbidden("Only the node's operator may rebuild a service (the token under `node` in tokens.json).")
    parts = request.app.state.parts
    try:
        heads = parts.follower.rebuild()
    except LostLease as lost:
        raise Conflict("Another replica of this service follows just now; send this to that one.") from lost
    told = {ledger: {"epoch": head.epoch, "sequence": head.sequence} for ledger, head in heads.items()}
    return {"service": parts.name, "ledgers": told}


@router.get("/v1/lag", summary="How many facts this service has yet to fold")
def lag(request: Request, caller: Caller) -> dict[str, Any]:  # noqa: ARG001 - any actor may ask, nobody else
    """Facts recorded and not yet folded, per ledger that this service follows; empty when it is level."""
    parts = request.app.state.parts
    return {"service": parts.name, "behind": parts.follower.lag()}
