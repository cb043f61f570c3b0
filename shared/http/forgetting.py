"""Redaction: an agency names facts of its own whose content must go. One router, the same in every service."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from shared.access.actors import require
from shared.facts.ids import new_id
from shared.facts.names import COMMON_KINDS, ledger_name
from shared.http.caller import Caller
from shared.http.posted import Body, IdempotencyKey, command_of, describes
from shared.ledger.drafts import Draft
from shared.ledger.ledger import Ledger
from shared.problems import Fault, Invalid, Misdirected

REASONS = ("personal_data", "security_of_people", "error", "legal")


class RedactionPost(BaseModel):
    """Which facts of one ledger are to be forgotten, and why. What was read before cannot be called back."""

    ledger: str = Field(description="Such as `wfp.registry`; only a ledger of your own agency.")
    facts: list[str] = Field(min_length=1, max_length=500, description="Places `<ledger>:<epoch>:<sequence>`.")
    reason: str = Field(description=f"One of {', '.join(REASONS)}.")


router = APIRouter(tags=["forgetting"])


@router.post(
    "/v1/redactions",
    status_code=201,
    summary="Redact facts of your agency on every node",
    openapi_extra=describes(RedactionPost),
)
def redact(request: Request, caller: Caller, body: Body, idempotency_key: IdempotencyKey = None) -> JSONResponse:
    ledger: Ledger = request.app.state.parts.ledger
    post = body.as_object()
    name = _ledger_of(post, ledger.service)
    author = require(caller, name.agency, "admin")
    if not ledger.hosts(name.agency):
        raise Misdirected.of(name.agency)
    redaction_id = new_id()
    draft = Draft(
        agency=name.agency,
        service=ledger.service,
        kind="fact",
        verb="redacted",
        id=redaction_id,
        version=1,
        state={"facts": _named(post, ledger, str(name)), "reason": post["reason"]},
        author=author,
        audience=name.audience,
        command=command_of(caller, "redactions", idempotency_key, body.digest, redaction_id),
    )
    recorded = ledger.record(draft)
    state = dict(recorded.fact.state or {})
    return JSONResponse({"id": recorded.answer or redaction_id, "ledger": str(name), **state}, 201)


def _ledger_of(post: dict[str, Any], service: str) -> Any:
    faults = []
    if post.get("reason") not in REASONS:
        faults.append(Fault("reason", "reason", f"one of {', '.join(REASONS)}"))
    if not isinstance(post.get("facts"), list) or not 0 < len(post["facts"]) <= 500:
        faults.append(Fault("facts", "places", "a list of 1 to 500 places `<ledger>:<epoch>:<sequence>`"))
    name = None
    try:
        name = ledger_name(str(post.get("ledger")))
    except ValueError as error:
        faults.append(Fault("ledger", "ledger", str(error)))
    if name is not None and name.service != service:
        faults.append(Fault("ledger", "ledger", f"a ledger of {name.service}; post this to /{name.service}"))
    if faults:
        raise Invalid(faults)
    return name


def _named(post: dict[str, Any], ledger: Ledger, name: str) -> list[dict[str, Any]]:
    faults, named = [], []
    for number, place in enumerate(post["facts"]):
        parts = str(place).split(":")
        numbers = parts[1:] if len(parts) == 3 and parts[0] == name else ()
        if len(numbers) != 2 or not all(n.isascii() and n.isdigit() and len(n) < 16 for n in numbers):
            faults.append(Fault(f"facts[{number}]", "place", f"expected {name}:<epoch>:<sequence>, found {place!r}"))
            continue
        epoch, sequence = int(numbers[0]), int(numbers[1])
        fact = ledger.store.at(name, epoch, sequence)
        if fact is None:
            faults.append(Fault(f"facts[{number}]", "place", f"{place} is not in the ledger"))
        elif fact.header.kind in COMMON_KINDS:
            faults.append(Fault(f"facts[{number}]", "place", f"{place} is a fact about its ledger; those stay"))
        else:
            named.append({"epoch": epoch, "sequence": sequence, "subject": fact.header.subject})
    if faults:
        raise Invalid(faults)
    return named
