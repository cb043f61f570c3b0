"""The delivery record: what was sent where, how often, with what answer, and what comes next."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from shared.http.caller import Caller
from shared.http.paging import Paged, list_answer
from shared.problems import Conflict

from ..domain.deliveries import WAITING
from ..domain.subscriptions import ACTIVE, ROLES
from .telling import told_delivery

router = APIRouter(tags=["deliveries"])


@router.get("/v1/deliveries", summary="Your agency's deliveries, newest first")
def deliveries(
    request: Request,
    caller: Caller,
    page: Paged,
    subscription: Annotated[str | None, Query(max_length=100)] = None,
    status: Annotated[
        Literal["waiting", "delivered", "dead", "cancelled"] | None, Query(description="`dead` lists dead letters.")
    ] = None,
    event: Annotated[str | None, Query(max_length=200, description="A CloudEvent's id.")] = None,
) -> JSONResponse:
    found = request.app.state.deliveries.of_agency(
        caller.agency, page.limit, page.after, subscription=subscription, status=status, event=event
    )
    last = found[-1][0] if len(found) == page.limit else None
    return list_answer(request, [told_delivery(delivery) for _, delivery in found], last)


@router.get("/v1/deliveries/{delivery_id}", summary="One delivery with its attempts")
def delivery(request: Request, caller: Caller, delivery_id: str) -> dict[str, Any]:
    return told_delivery(request.app.state.deliveries.get(delivery_id, caller.agency))


@router.post("/v1/deliveries/{delivery_id}/redelivery", status_code=202, summary="Deliver it (again)")
def redeliver(request: Request, caller: Caller, delivery_id: str) -> JSONResponse:
    """With the same `webhook-id`, so that a receiver knows it again. One that waits is tried at once."""
    caller.acting_as(*ROLES)
    state = request.app.state
    known = state.deliveries.get(delivery_id, caller.agency)
    target = state.subscriptions.get(known.subscription, caller.agency)
    if target.status != ACTIVE:
        raise Conflict(f"The subscription is {target.status}; nothing is sent for it.")
    again = state.deliveries.again(delivery_id, caller.agency, state.journal.now())
    assert again.status == WAITING
    state.courier.wake()
    return JSONResponse(told_delivery(again), 202)
