"""HTTP of forgetting: an agency's redactions, and which nodes say that they have carried them out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from shared.access.actors import Actor
from shared.facts.fact import Fact, rfc3339
from shared.http.caller import Caller
from shared.http.paging import Paged, list_answer
from shared.ledger.confirmation import Confirmation
from shared.problems import NotFound

from .api_status import standing_of
from .confirming import Confirming, Redacted
from .contacts import Contacts

router = APIRouter(tags=["forgetting"])


@router.get("/v1/redactions", summary="Your agency's redactions, and which nodes have confirmed them")
def redactions(request: Request, caller: Caller, page: Paged) -> JSONResponse:
    known = _seen_by(request, caller)
    if page.after is not None:
        known = [one for one in known if one.id < page.after]
    shown = known[: page.limit]
    last = shown[-1].id if len(known) > len(shown) else None
    return list_answer(request, told_redactions(request, shown), last)


@router.get("/v1/redactions/{redaction_id}", summary="Which nodes have confirmed a redaction, and which not yet")
def redaction(request: Request, caller: Caller, redaction_id: str) -> dict[str, Any]:
    found = [one for one in _seen_by(request, caller) if one.id == redaction_id]
    if not found:
        raise NotFound("No such redaction of your agency is known here; a new one is within moments.")
    return told_redactions(request, found)[0]


def _seen_by(request: Request, caller: Actor) -> list[Redacted]:
    """An agency sees its own, the node's operator those of every agency that is hosted here."""
    confirming: Confirming = request.app.state.confirming
    hosted = request.app.state.parts.ground.keyring.hosted()
    return confirming.confirmations.of_agencies(hosted if caller.is_operator else {caller.agency} & set(hosted))


def told_redactions(request: Request, shown: list[Redacted]) -> list[dict[str, Any]]:
    ground, confirming = request.app.state.parts.ground, request.app.state.confirming
    book, contacts = ground.roster.book(), Contacts(standing_of(request), ground.roster.members())
    return [_told(ground.store.by_hash(one.hash), one, confirming.confirmed(one, book), contacts) for one in shown]


def _told(
    fact: Fact | None, one: Redacted, confirmed: Mapping[str, Confirmation], contacts: Contacts
) -> dict[str, Any]:
    state = dict(fact.state or {}) if fact is not None else {}
    nodes = [
        {
            "domain": domain,
            "agencies": list(agencies),
            "this_node": contacts.is_this_node(domain),
            "confirmed_at": confirmed[domain].at if domain in confirmed else None,
            "signed_by": confirmed[domain].agency if domain in confirmed else None,
            "gone": domain in one.gone,
            **contacts.told(domain, agencies),
        }
        for domain, agencies in sorted({**dict.fromkeys(one.gone, ()), **one.expected}.items())
    ]
    return {
        "id": one.id,
        "ledger": one.ledger,
        "place": one.place,
        "reason": state.get("reason"),
        "facts": [
            f"{one.ledger}:{named.get('epoch')}:{named.get('sequence')}"
            for named in state.get("facts") or ()
            if isinstance(named, dict)
        ],
        "recorded_at": None if fact is None else rfc3339(fact.header.time),
        "expected": len(nodes),
        "confirmed": sum(node["confirmed_at"] is not None for node in nodes),
        "nodes": nodes,
    }
