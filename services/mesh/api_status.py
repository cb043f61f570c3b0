"""HTTP of how the node stands: ledgers, peers, agencies, what is wrong and what to do; and what was refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from shared.access.actors import Actor
from shared.facts.fact import rfc3339
from shared.facts.names import ANCHOR, LedgerName, ledger_name
from shared.http.caller import Caller
from shared.ledger.witness import foreign_heads

from . import membership
from .alerts import alerts, unconfirmed
from .confirming import Confirming
from .contacts import Contacts, agencies_stand
from .status import Standing

router = APIRouter()


@router.get("/v1/status", tags=["node"], summary="How the node stands: ledgers, peers, trouble, and what to do")
def status(request: Request, caller: Caller) -> dict[str, Any]:
    parts, relay = request.app.state.parts, request.app.state.relay
    ground, now = parts.ground, parts.ledger.now()
    standing = replace(standing_of(request), sees=lambda ledger: may_see(caller, ledger))
    waiting = {one: why for one, why in parts.follower.waiting.items() if may_see(caller, ledger_name(one))}
    ledgers, members = standing.ledgers(), ground.roster.members()
    open_, book = _open_redactions(request, caller), ground.roster.book()
    confirming: Confirming = request.app.state.confirming
    told = confirming.confirmations.told(one.hash for one in open_)
    stands: dict[str, Any] = {
        "mesh": ground.identity.mesh,
        "anchor": ANCHOR,
        "domain": request.app.state.settings.nats_domain,
        "hub": None if ground.identity.hub is None else ground.identity.hub.domain,
        "agencies": ground.keyring.hosted(),
        "absent": ground.keyring.absent(),
        "by_agency": agencies_stand(ledgers, members, Contacts(standing, members)),
        "roster": roster_stands(ground.roster.state(), now.date()),
        "ledgers": ledgers,
        "peers": standing.peers(),
        "trouble": standing.trouble(),
        "quarantine": parts.quarantine.count(),
        "relay": {"leads": bool(relay and relay.leads), "trouble": relay.trouble if relay else "not running"},
        "intake": standing.intake_told(),
        "waiting": waiting,
        "verified": standing.verified(),
        "redactions": unconfirmed(open_, lambda one: confirming.confirmed(one, book, told), ground.store),
        "checked_at": rfc3339(now),
    }
    return {**stands, "alerts": alerts(stands, now)}


def may_see(caller: Actor, ledger: LedgerName) -> bool:
    """Whether the status names this ledger to the caller: that others have circles, and with whom, and how much they
    keep to themselves, is for the node's operator alone."""
    return caller.is_operator or ledger.agency == caller.agency or not (ledger.is_private or ledger.circle)


def _open_redactions(request: Request, caller: Actor) -> list[Any]:
    """Those that the caller sees and that somebody has not confirmed: an agency its own, the operator every one."""
    hosted = set(request.app.state.parts.ground.keyring.hosted())
    seen = hosted if caller.is_operator else hosted & {caller.agency}
    open_ = request.app.state.confirming.confirmations.open()
    return [one for one in open_ if one.ledger.split(".", 1)[0] in seen]


def roster_stands(state: Mapping[str, Any], today: date) -> dict[str, Any]:
    """Its last day, and whether that is over: then nobody new is admitted, and known keys go on."""
    return {"expires_on": state.get("expires_on"), "expired": membership.is_expired(state, today)}


def standing_of(request: Request) -> Standing:
    parts, exchange = request.app.state.parts, request.app.state.exchange
    ground = parts.ground
    return Standing(
        ground.store,
        ground.keyring,
        parts.quarantine,
        ground.database("mesh"),
        foreign_heads(ground.store),
        request.app.state.relay,
        None if exchange is None else exchange.intake,
        request.app.state.settings.nats_domain,
    )


@router.get("/v1/quarantine", tags=["node"], summary="What was refused, why, and what to do")
def quarantine(request: Request, caller: Caller, limit: Annotated[int, Query(ge=1, le=1000)] = 200) -> dict[str, Any]:
    """The operator sees all of it, an agency's admin what was said in the agency's name."""
    caller.acting_as("admin")
    kept = request.app.state.parts.quarantine
    entries = kept.entries(limit) if caller.is_operator else kept.about(caller.agency, limit)
    for entry in entries:
        entry["first_at"], entry["last_at"] = rfc3339(entry["first_at"]), rfc3339(entry["last_at"])
    return {"items": entries, "next": None}
