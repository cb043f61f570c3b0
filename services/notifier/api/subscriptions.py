"""Subscriptions: have events posted to a webhook, signed."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from shared.access.actors import Actor
from shared.facts.fact import rfc3339
from shared.facts.ids import derived_id, new_id
from shared.http.caller import Caller
from shared.http.paging import Paged, list_answer
from shared.http.posted import Body, IdempotencyKey, describes
from shared.problems import Conflict, ReusedKey

from ..documents import raw_of_secrets
from ..domain import subscriptions as rules
from ..domain.deliveries import test_of
from ..domain.subscriptions import Secret, Subscription
from .telling import told_delivery

router = APIRouter(tags=["subscriptions"])

SHOWN_ONCE = "The secret is shown once. Check every notice's signature with it (see docs/events.md)."


class SubscriptionPost(BaseModel):
    """Where to post what. Lists that are left out or empty ask for everything of that sort."""

    url: str = Field(description="http or https; public addresses only, unless the operator allows others.")
    kinds: list[str] = Field(default_factory=list, examples=[["proposal", "testbed"]])
    agencies: list[str] = Field(default_factory=list, examples=[["wfp"]])
    countries: list[str] = Field(default_factory=list, examples=[["ZMB"]])
    goals: list[str] = Field(default_factory=list, examples=[["2"]])
    secret: str | None = Field(None, description="`whsec_` and base64 of 24 to 64 bytes; made here if left out.")


def told(subscription: Subscription) -> dict[str, Any]:
    return {
        "id": subscription.id,
        "agency": subscription.agency,
        "url": subscription.url,
        **subscription.filters.as_json(),
        "status": subscription.status,
        "reason": subscription.reason,
        "created_at": rfc3339(subscription.created_at),
    }


@router.post(
    "/v1/subscriptions",
    status_code=201,
    summary="Have events posted to a webhook",
    openapi_extra=describes(SubscriptionPost),
)
def subscribe(request: Request, caller: Caller, body: Body, idempotency_key: IdempotencyKey = None) -> JSONResponse:
    caller.acting_as(*rules.ROLES)
    post = rules.read_subscription(body.as_object())
    state = request.app.state
    if state.subscriptions.count(caller.agency) >= rules.MOST_PER_AGENCY:
        raise Conflict(f"Your agency has {rules.MOST_PER_AGENCY} subscriptions; remove one first.")
    identity = new_id()
    if idempotency_key is not None:
        identity = derived_id("subscription", caller.agency, caller.id, idempotency_key)
    subscription = Subscription(
        id=identity,
        agency=caller.agency,
        actor=caller.id,
        url=post.url,
        filters=post.filters,
        secrets=(Secret(post.secret or rules.secret_of(secrets.token_bytes(rules.NEW_SECRET_BYTES))),),
        created_at=state.journal.now(),
        begins_epoch=state.journal.epoch,
        begins_after=None,
        request_digest=body.digest,
    )
    if not state.subscriptions.add(subscription):
        subscription = state.subscriptions.get(identity, caller.agency)
        if subscription.request_digest != body.digest:
            raise ReusedKey("This Idempotency-Key came with another body before; send a new key with a new request.")
    if subscription.begins_after is None:  # read once planners can see it: whatever comes later is told
        begins = state.journal.durable_head()
        subscription = state.subscriptions.change(identity, caller.agency, begins_after=begins)
    secret = subscription.signing_secrets(state.journal.now())[0]
    answer = {**told(subscription), "secret": secret, "notice": SHOWN_ONCE}
    return JSONResponse(answer, 201, headers={"Location": f"/notifier/v1/subscriptions/{subscription.id}"})


@router.get("/v1/subscriptions", summary="Your agency's subscriptions")
def subscriptions(request: Request, caller: Caller, page: Paged) -> JSONResponse:
    found = request.app.state.subscriptions.of_agency(caller.agency, page.limit, page.after)
    return list_answer(request, [told(one) for one in found], found[-1].id if len(found) == page.limit else None)


@router.get("/v1/subscriptions/{subscription_id}", summary="One subscription")
def subscription(request: Request, caller: Caller, subscription_id: str) -> dict[str, Any]:
    return told(request.app.state.subscriptions.get(subscription_id, caller.agency))


@router.delete("/v1/subscriptions/{subscription_id}", status_code=204, summary="End a subscription")
def unsubscribe(request: Request, caller: Caller, subscription_id: str) -> Response:
    """What waits is not delivered any more; the record of what was delivered stays."""
    caller.acting_as(*rules.ROLES)
    state = request.app.state
    state.subscriptions.remove(subscription_id, caller.agency)
    state.deliveries.cancel(subscription_id, "the subscription was removed", state.journal.now())
    return Response(status_code=204)


@router.post("/v1/subscriptions/{subscription_id}/pause", summary="Send nothing for now; what happens waits")
def pause(request: Request, caller: Caller, subscription_id: str) -> dict[str, Any]:
    return told(_changed(request, caller, subscription_id, status=rules.PAUSED, reason=f"paused by {caller.id}"))


@router.post("/v1/subscriptions/{subscription_id}/resume", summary="Go on sending")
def resume(
    request: Request,
    caller: Caller,
    subscription_id: str,
    skip: Annotated[bool, Query(description="True: what happened during the pause is not sent.")] = False,
) -> dict[str, Any]:
    state = request.app.state
    if skip:
        caller.acting_as(*rules.ROLES)
        state.subscriptions.get(subscription_id, caller.agency)
        state.deliveries.cancel(subscription_id, "skipped after a pause", state.journal.now())
    resumed = _changed(request, caller, subscription_id, status=rules.ACTIVE, reason=None)
    state.courier.wake()
    return told(resumed)


@router.post("/v1/subscriptions/{subscription_id}/test", status_code=202, summary="Send a notice that means nothing")
def test(request: Request, caller: Caller, subscription_id: str) -> JSONResponse:
    """Answers with the delivery; read it again to see what came of it."""
    caller.acting_as(*rules.ROLES)
    state = request.app.state
    found = state.subscriptions.get(subscription_id, caller.agency)
    if found.status != rules.ACTIVE:
        raise Conflict(f"This subscription is {found.status}; nothing is sent for it.")
    delivery = test_of(found, state.mesh, new_id(), state.journal.now())
    state.deliveries.plan([delivery])
    state.courier.wake()
    place = f"/notifier/v1/deliveries/{delivery.id}"
    return JSONResponse(told_delivery(delivery), 202, headers={"Location": place})


@router.post("/v1/subscriptions/{subscription_id}/secret", summary="Replace the signing secret")
def rotate(request: Request, caller: Caller, subscription_id: str) -> dict[str, Any]:
    """For a day, notices carry two signatures: by the new secret and by the one before."""
    caller.acting_as(*rules.ROLES)
    state = request.app.state
    found = state.subscriptions.get(subscription_id, caller.agency)
    fresh = rules.secret_of(secrets.token_bytes(rules.NEW_SECRET_BYTES))
    kept = rules.rotated(found.secrets, fresh, state.journal.now())
    changed = state.subscriptions.change(found.id, caller.agency, secrets=raw_of_secrets(kept))
    return {**told(changed), "secret": fresh, "notice": SHOWN_ONCE}


def _changed(request: Request, caller: Actor, subscription_id: str, **fields: Any) -> Subscription:
    """Raises NotFound, Forbidden, or Conflict once the subscription has ended."""
    caller.acting_as(*rules.ROLES)
    known: Subscription = request.app.state.subscriptions.get(subscription_id, caller.agency)
    if known.status == rules.ENDED:
        raise Conflict(f"This subscription has ended ({known.reason}); make a new one.")
    changed: Subscription = request.app.state.subscriptions.change(subscription_id, caller.agency, **fields)
    return changed
