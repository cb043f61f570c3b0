"""What agencies say about proposals: responses, questions, answers, and the lead's closing."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from services.matching import documents
from services.matching.api.posts import AnswerPost, FormationPost, QuestionPost, ResponsePost
from services.matching.domain import Change, in_circle, responding
from services.matching.domain.formation import essential_open
from services.matching.domain.responding import ROLES
from services.matching.domain.standing import ACCEPTING, DECISIONS, standings_of
from services.matching.promises import check_capacity, turn_of
from services.matching.views import lacking_of, told_fact, told_responses, told_testbeds
from services.matching.writing import (
    author_for,
    commit,
    following_of,
    ledger_of,
    memory_of,
    newest_version,
    proposal_now,
    readable,
)
from shared.access.actors import Actor
from shared.facts.ids import new_id
from shared.http.caller import Caller, Owner
from shared.http.paging import Paged, list_answer
from shared.http.posted import Body, IdempotencyKey, command_of, describes, etag
from shared.ledger.drafts import Recorded
from shared.ledger.owners import ref_of
from shared.ledger.rows import Row
from shared.problems import Conflict, Fault, Invalid, NotFound

router = APIRouter(prefix="/v1", tags=["answers"])

Code = Annotated[str | None, Query(max_length=64)]


@router.get("/responses", summary="Responses, newest first")
def list_responses(
    request: Request,
    caller: Caller,
    page: Paged,
    proposal: Code = None,
    agency: Code = None,
    pilot: Code = None,
    lead: Code = None,
) -> JSONResponse:
    asked = {"proposal": proposal, "agency": agency, "pilot": pilot, "lead": lead}
    query: dict[str, Any] = {column: value for column, value in asked.items() if value is not None}
    rows, last = documents.page("response", query, reader=caller.agency, after=page.after, limit=page.limit)
    return list_answer(request, told_responses(rows, caller), last)


@router.post(
    "/proposals/{proposal_id}/responses",
    status_code=201,
    summary="Accept, accept with conditions, decline, show interest, withdraw",
    openapi_extra=describes(ResponsePost),
)
def respond(
    request: Request,
    caller: Caller,
    proposal_id: str,
    body: Body,
    key: IdempotencyKey = None,
    owner: Owner = None,
) -> JSONResponse:
    post = body.as_object()
    agency, decision = _word(post, "agency"), _word(post, "decision")
    if decision not in ROLES or decision not in DECISIONS:
        known = ", ".join(DECISIONS)
        raise Invalid([Fault("decision", "unknown", f"expected one of {known}")])
    row = readable(request, caller, "proposal", proposal_id, owner)
    return _respond(request, caller, row, agency, post, body.digest, key)


def _respond(
    request: Request, caller: Actor, row: Row, agency: str, post: dict[str, Any], digest: str, key: str | None
) -> JSONResponse:
    ledger = ledger_of(request)
    author = author_for(ledger, caller, agency, ROLES[str(post["decision"])])
    own_id = responding.response_id(*ref_of(row), agency)
    command = command_of(caller, f"POST responses/{'/'.join(ref_of(row))}", key, digest, own_id)
    earlier = ledger.earlier_answer(command)
    if earlier is not None:
        return _replayed(earlier)

    def decide() -> Change:
        state, _ = proposal_now(ledger, row)
        answers = documents.answers_to([row])
        now = ledger.now()
        standing = next((one for one in standings_of(state, answers, now) if one.agency == agency), None)
        change = responding.responded(
            state,
            agency,
            post,
            standing=standing,
            previous=next((one for one in answers if (one.id, one.agency) == (own_id, agency)), None),
            version=newest_version(ledger, agency, "response", own_id),
            actor=author.actor,
            role=author.role,
            now=now,
        )
        if change.state["decision"] in ACCEPTING:
            check_capacity(change.state, memory_of(request, exact=True), now)
        return change

    with turn_of(agency) if post["decision"] in ACCEPTING else nullcontext():
        fact, _ = commit(ledger, author, decide, command)
    request.app.state.parts.wake()
    return JSONResponse(told_fact(fact), 201, headers={"ETag": etag(fact.header.version)})


@router.post(
    "/proposals/{proposal_id}/formation",
    status_code=201,
    summary="The lead says yes and closes: the testbed forms with those who accepted",
    openapi_extra=describes(FormationPost),
)
def form(
    request: Request,
    caller: Caller,
    proposal_id: str,
    body: Body,
    key: IdempotencyKey = None,
    owner: Owner = None,
) -> JSONResponse:
    """Records the lead's acceptance; the testbed follows from it. Refused, with all that lacks, where the rule is not
    met by the others."""
    ledger = ledger_of(request)
    row = readable(request, caller, "proposal", proposal_id, owner)
    lead = row.key[0]
    author_for(ledger, caller, lead, ROLES["form"])
    post = body.as_object()
    if row.state.get("status") == "open":
        memory = memory_of(request)
        world = memory.world(ledger.now().date())
        lacks = lacking_of(row, lambda agency: world.agency(agency).is_un_entity, ledger.now(), closing=True)
        if lacks and post.get("proposal_hash") == row.state["hash"]:
            raise Conflict("The testbed cannot form yet: " + " ".join(one.detail for one in lacks), faults=lacks)
        said = {"agency": lead, "decision": "accept", "close": True, "proposal_hash": post.get("proposal_hash")}
        _respond(request, caller, row, lead, said, body.digest, key)
        following_of(request).follow(lead, str(row.state["pilot"]))
    elif row.state.get("status") != "formed":
        responding.check_answerable(row.state, str(post.get("proposal_hash")))
    now = readable(request, caller, "proposal", proposal_id, lead).state
    testbed = documents.owned("testbed", lead, str(now.get("testbed")))
    if testbed is None:
        raise Conflict("The lead's acceptance is recorded; the testbed forms as soon as the answers are in.")
    told = told_testbeds([testbed], caller)[0]
    notices = [
        {"field": "open_needs", "code": "essential-open", "detail": f"The essential need {need} is covered by nobody."}
        for need in essential_open(row.state)
    ]
    return JSONResponse({**told, "notices": notices}, 201, headers={"ETag": etag(testbed.version)})


@router.post(
    "/proposals/{proposal_id}/questions",
    status_code=201,
    summary="Ask the lead something",
    openapi_extra=describes(QuestionPost),
)
def ask(
    request: Request,
    caller: Caller,
    proposal_id: str,
    body: Body,
    key: IdempotencyKey = None,
    owner: Owner = None,
) -> JSONResponse:
    ledger = ledger_of(request)
    row = readable(request, caller, "proposal", proposal_id, owner)
    post = body.as_object()
    agency = _word(post, "agency")
    author = author_for(ledger, caller, agency, ROLES["ask"])
    own_id = new_id()
    command = command_of(caller, f"POST questions/{'/'.join(ref_of(row))}", key, body.digest, own_id)
    earlier = ledger.earlier_answer(command)
    if earlier is not None:
        return _replayed(earlier)
    state, _ = proposal_now(ledger, row)
    change = in_circle.asked(state, agency, post, id=own_id, actor=author.actor, now=ledger.now())
    fact, _ = commit(ledger, author, lambda: change, command)
    return JSONResponse(told_fact(fact), 201, headers={"ETag": etag(fact.header.version)})


@router.post(
    "/proposals/{proposal_id}/answers",
    status_code=201,
    summary="The lead answers a question",
    openapi_extra=describes(AnswerPost),
)
def answer(
    request: Request,
    caller: Caller,
    proposal_id: str,
    body: Body,
    key: IdempotencyKey = None,
    owner: Owner = None,
) -> JSONResponse:
    ledger = ledger_of(request)
    row = readable(request, caller, "proposal", proposal_id, owner)
    author = author_for(ledger, caller, row.key[0], ROLES["answer"])
    post = body.as_object()
    question = _question(row, _word(post, "question"), post.get("asked_by"))
    own_id = in_circle.answer_id(question.key[0], question.id)
    command = command_of(caller, f"POST answers/{'/'.join(ref_of(row))}", key, body.digest, own_id)
    earlier = ledger.earlier_answer(command)
    if earlier is not None:
        return _replayed(earlier)

    def decide() -> Change:
        return in_circle.answered(
            row.state,
            question.state,
            post,
            version=newest_version(ledger, row.key[0], "answer", own_id),
            actor=author.actor,
            now=ledger.now(),
        )

    fact, _ = commit(ledger, author, decide, command)
    return JSONResponse(told_fact(fact), 201, headers={"ETag": etag(fact.header.version)})


def _question(proposal: Row, question_id: str, asked_by: object) -> Row:
    """The question about this proposal, of whoever asked it. Raises NotFound, or SeveralOwners."""
    asked = [
        one
        for one in documents.claims_to("question", question_id)
        if documents.named_by(one, "proposal") == ref_of(proposal) and asked_by in (None, one.key[0])
    ]
    if not asked:
        raise NotFound("This proposal has no such question; name it by its `id`.")
    if len(asked) > 1:
        named = ", ".join(one.key[0] for one in asked)
        said = f"{named} each asked a question with this id: say whose you answer."
        raise Conflict(said, faults=[Fault("asked_by", "several", said)])
    return asked[0]


def _replayed(earlier: Recorded) -> JSONResponse:
    headers = {"ETag": etag(earlier.fact.header.version), "Idempotency-Replayed": "true"}
    return JSONResponse(told_fact(earlier.fact), 201, headers=headers)


def _word(post: dict[str, Any], name: str) -> str:
    value = post.get(name)
    if not isinstance(value, str) or not value:
        raise Invalid([Fault(name, "missing", "expected a text")])
    return value
