"""Proposals over HTTP: lists, one, its release; what nobody can provide; why an agency was not asked."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from services.matching import documents
from services.matching.api.posts import ReleasePost
from services.matching.domain import Change
from services.matching.domain.responding import ROLES
from services.matching.folds import audience_of
from services.matching.lists import gaps_in
from services.matching.records import pilot_of
from services.matching.views import told_proposals
from services.matching.writing import (
    author_for,
    commit,
    following_of,
    ledger_of,
    memory_of,
    proposal_now,
    readable,
)
from shared.http.caller import Caller, Owner
from shared.http.paging import Paged, list_answer
from shared.http.posted import Body, IdempotencyKey, command_of, describes, etag
from shared.ledger.documents import rows_of
from shared.ledger.owners import the_one
from shared.problems import Conflict, Fault, Forbidden, Invalid, NotFound

router = APIRouter(prefix="/v1", tags=["proposals"])

Code = Annotated[str | None, Query(max_length=64)]


@router.get("/proposals", summary="Proposals, newest first")
def list_proposals(
    request: Request,
    caller: Caller,
    page: Paged,
    pilot: Code = None,
    agency: Annotated[str | None, Query(max_length=64, description="The lead, or in the team.")] = None,
    status: Code = None,
    invited: Annotated[str | None, Query(max_length=64, description="Open proposals that invite this agency.")] = None,
    country: Code = None,
    lead: Code = None,
) -> JSONResponse:
    asked: dict[str, Any] = {
        "lead": lead,
        "pilot": pilot,
        "agencies": agency,
        "status": status,
        "invited": invited,
        "countries": country,
    }
    query = {column: value for column, value in asked.items() if value is not None}
    if invited is not None:
        query.setdefault("status", "open")
    rows, last = documents.page("proposal", query, reader=caller.agency, after=page.after, limit=page.limit)
    return list_answer(request, told_proposals(rows, caller, ledger_of(request).now()), last)


@router.get("/proposals/{proposal_id}", summary="One proposal, with the answers to it")
def get_proposal(request: Request, caller: Caller, proposal_id: str, owner: Owner = None) -> JSONResponse:
    """To the lead, `alternatives` begin with the team that would be proposed today, where that is a better one."""
    row = readable(request, caller, "proposal", proposal_id, owner)
    told = told_proposals([row], caller, ledger_of(request).now())[0]
    if row.state.get("status") == "open" and caller.agency == row.key[0]:
        memory_of(request)
        better = following_of(request).solving.better_now(row.state)
        told["alternatives"] = [*([better] if better else []), *told.get("alternatives", ())]
    return JSONResponse(told, headers={"ETag": etag(row.version)})


@router.post(
    "/proposals/{proposal_id}/release",
    summary="Release a proposal: the invitations go out",
    openapi_extra=describes(ReleasePost),
)
def release_proposal(
    request: Request,
    caller: Caller,
    proposal_id: str,
    body: Body,
    key: IdempotencyKey = None,
    owner: Owner = None,
) -> JSONResponse:
    ledger = ledger_of(request)
    row = readable(request, caller, "proposal", proposal_id, owner)
    lead = row.key[0]
    author = author_for(ledger, caller, lead, ROLES["release"])
    post = body.as_object()
    command = command_of(caller, f"POST release/{proposal_id}", key, body.digest, proposal_id)

    def decide() -> Change:
        state, version = proposal_now(ledger, row)
        if not isinstance(post.get("proposal_hash"), str):
            raise Invalid([Fault("proposal_hash", "missing", "send the `hash` of the proposal you read")])
        if state["status"] != "draft":
            raise Conflict(f"This proposal is {state['status']}; only a draft is released.", status_now=state["status"])
        if post["proposal_hash"] != state["hash"]:
            raise Conflict("The proposal has changed since you read it: read it again.", current_hash=state["hash"])
        pilot = documents.owned("pilot", lead, str(state["pilot"]))
        if pilot is None or audience_of(pilot) != "mesh":
            raise Conflict("The pilot is private: share it with the mesh first, so that the invited can read it.")
        new = following_of(request).released(state, ledger.now())
        return Change("proposal", "released", row.id, version + 1, lead, new)

    if ledger.earlier_answer(command) is None:
        memory_of(request, exact=True)
        commit(ledger, author, decide, command)
        request.app.state.parts.wake()
    return _as_it_stands(request, caller, proposal_id, lead)


def _as_it_stands(request: Request, caller: Caller, proposal_id: str, lead: str) -> JSONResponse:
    row = readable(request, caller, "proposal", proposal_id, lead)
    told = told_proposals([row], caller, ledger_of(request).now())[0]
    return JSONResponse({**told, "notices": []}, headers={"ETag": etag(row.version)})


@router.get("/gaps", summary="What nobody can provide")
def list_gaps(
    request: Request, caller: Caller, country: Code = None, code: Code = None, pilot: Code = None, lead: Code = None
) -> JSONResponse:
    """Needs of standing proposals that nobody can meet, by code and country, the most wanted first."""
    seen: list[dict[str, Any]] = [{"audience": "mesh"}, {"agency": caller.agency}]
    query: dict[str, Any] = {"status": {"$in": ["draft", "open", "no_partner"]}, "live": True, "$or": seen}
    query |= {name: value for name, value in (("pilot", pilot), ("lead", lead)) if value is not None}
    rows = rows_of(documents.ProposalRow.objects(__raw__=query))
    found = [
        gap
        for gap in gaps_in(rows)
        if (country is None or gap["country"] in (None, country)) and (code is None or gap["code"] == code)
    ]
    return list_answer(request, found, None)


@router.get("/pilots/{pilot_id}/why-not", summary="Why an agency was not asked")
def why_not(
    request: Request,
    caller: Caller,
    pilot_id: str,
    agency: Annotated[str, Query(max_length=32)],
    lead: Annotated[
        str | None, Query(max_length=32, description="Whose pilot is meant, where several have it.")
    ] = None,
) -> dict[str, Any]:
    """Answered to the pilot's lead and to that agency itself."""
    rows = [
        one
        for one in documents.claims_to("pilot", pilot_id)
        if one.is_live and (audience_of(one) == "mesh" or caller.agency == one.key[0])
    ]
    row = the_one(rows, own=caller.agency, hosts=ledger_of(request).hosts, agency=lead)
    if row is None:
        raise NotFound(f"No pilot {pilot_id} that you may see.")
    lead = row.key[0]
    if caller.agency not in (lead, agency):
        raise Forbidden(f"Why {agency} was not asked is told to {lead} and to {agency} alone.")
    memory_of(request)
    chain = documents.proposals_of(pilot_id, lead)
    current = next((one for one in chain if caller.agency == lead or audience_of(one) == "mesh"), None)
    state = {} if current is None else current.state
    told = {"pilot": pilot_id, "proposal": state.get("id")}
    gone = next((one for one in state.get("out") or () if one["agency"] == agency), None)
    if gone is not None:
        return {**told, "agency": agency, "rule": f"was_{gone['why']}", "reasons": [_left(agency, gone["why"])]}
    without = [one["agency"] for one in state.get("out") or ()]
    team = [one["agency"] for one in state.get("team") or ()]
    found = following_of(request).solving.matching(pilot_of(row.state), without, kept=team)
    return {**told, **found.why_not(agency).as_state()}


def _left(agency: str, why: str) -> dict[str, Any]:
    said = {
        "declined": ("declined an earlier proposal for this pilot", "a décliné une proposition antérieure"),
        "withdrawn": ("withdrew from an earlier proposal for this pilot", "s’est retirée d’une proposition antérieure"),
        "silent": (
            "did not answer an earlier proposal in time",
            "n’a pas répondu à temps à une proposition antérieure",
        ),
    }[why]
    return {
        "code": f"was_{why}",
        "text": {"en": f"{agency} {said[0]}.", "fr": f"{agency} {said[1]}."},
        "agency": agency,
    }
