"""Records as they are answered: the owner's state joined with what others said of it in their own ledgers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from services.matching import documents
from services.matching.documents import SHARED, AnswerRow, QuestionRow
from services.matching.domain import formation, late
from services.matching.domain.responding import WORDS
from services.matching.domain.standing import UNANSWERED, Answer, Standing, answer_to, leads_word, standings_of
from services.matching.folds import audience_of
from services.matching.writing import may_read
from shared.access.actors import Actor
from shared.facts.fact import Fact, rfc3339
from shared.ledger.documents import rows_of
from shared.ledger.owners import Ref, ref_of
from shared.ledger.rows import Row
from shared.problems import Fault

Told = dict[str, Any]


def told_row(row: Row) -> Told:
    return {
        **row.state,
        "id": row.id,
        "agency": row.key[0],
        "version": row.version,
        "audience": audience_of(row),
        "ledger_place": row.shown.place,
        "changed_at": rfc3339(row.shown.time),
    }


def told_fact(fact: Fact, notices: Sequence[Mapping[str, Any]] = ()) -> Told:
    header = fact.header
    return {
        **(fact.state or {}),
        "id": header.subject.split("/", 1)[1],
        "agency": header.agency,
        "version": header.version,
        "audience": header.ledger.audience,
        "ledger_place": fact.place,
        "changed_at": rfc3339(header.time),
        "notices": list(notices),
    }


def told_proposals(rows: Sequence[Row], caller: Actor, now: datetime) -> list[Told]:
    """Proposals with the answers to them. Words and questions only for agencies of the team."""
    by_proposal: dict[Ref, list[Answer]] = {}
    for answer in documents.answers_to(rows):
        by_proposal.setdefault((str(answer.state.get("lead")), answer.proposal), []).append(answer)
    questions = _questions(rows, caller)
    told = []
    for row in rows:
        wanted = [row.id, *(one["proposal"] for one in row.state.get("carried") or ())]
        answers = [answer for proposal in wanted for answer in by_proposal.get((row.key[0], proposal), ())]
        told.append(_proposal(row, answers, questions.get(ref_of(row), []), now))
    return told


def _proposal(row: Row, answers: Sequence[Answer], questions: list[Told], now: datetime) -> Told:
    state = row.state
    standings = {one.agency: one for one in standings_of(state, answers, now)}
    told = told_row(row)
    told["invitations"] = [one.as_json() for one in standings.values()]
    told["team"] = []
    for member in state.get("team") or ():
        standing = standings.get(member["agency"])
        answer = answer_to(state, member["agency"], answers)[0]
        response: Told | None = None
        if answer is not None:
            response = {"id": answer.id, "decision": answer.decision, "at": answer.at}
            if standing is not None and standing.carried:
                response["carried"] = True
        told["team"].append({**member, "response": response})
    told["set_aside"] = [_told_aside(one) for one in state.get("set_aside") or ()]
    told["questions"] = questions
    told["awaits"] = _awaited(state, standings.values(), answers)
    return told


def _told_aside(one: Mapping[str, Any]) -> Told:
    return {**one, "text": dict(late.WORDS.get(str(one.get("why")), {}))}


def _awaited(state: Mapping[str, Any], standings: Collection[Standing], answers: Sequence[Answer]) -> list[str]:
    """Agencies whose word is needed now: a draft waits for the lead alone, and so does what only the lead can close."""
    if state.get("status") == "draft":
        return [str(state["lead"])]
    if state.get("status") != "open":
        return []
    asked = [one.agency for one in standings if one.status in UNANSWERED]
    lead = leads_word(state, answers)
    settled = formation.is_settled(list(standings))
    conditional = any(
        one.status == "conditional" and one not in formation.counted(list(standings), lead) for one in standings
    )
    closes = settled and (conditional or formation.essential_open(state))
    return [str(state["lead"]), *asked] if lead is None or closes else asked


def _questions(rows: Sequence[Row], caller: Actor) -> dict[Ref, list[Told]]:
    """Questions about these proposals of their leads, each with what that lead answered to that agency."""
    wanted = {ref_of(row) for row in rows if caller.agency in (row.state.get("agencies") or ())}
    if not wanted:
        return {}
    ids = sorted({proposal for _, proposal in wanted})
    answers = {
        (row.key[0], row.state.get("asked_by"), row.state.get("question")): row.state
        for row in rows_of(AnswerRow.objects(proposal__in=ids))
        if row.is_live and may_read(caller, row)
    }
    found: dict[Ref, list[Told]] = {}
    for row in sorted(rows_of(QuestionRow.objects(proposal__in=ids)), key=lambda row: (row.id, row.key)):
        about = documents.named_by(row, "proposal")
        if row.is_live and about in wanted and may_read(caller, row):
            told = {name: row.state.get(name) for name in ("id", "agency", "question", "asked_at")}
            answer = answers.get((about[0], row.key[0], row.id))
            if answer is not None:
                told |= {"answer": answer.get("answer"), "answered_at": answer.get("answered_at")}
            found.setdefault(about, []).append(told)
    return found


def told_responses(rows: Sequence[Row], caller: Actor) -> list[Told]:
    """Responses, and what became of those that came too late: the proposal's owner says so in its own ledger."""
    proposals = documents.those_owned("proposal", {documents.named_by(row, "proposal") for row in rows})
    told = []
    for row in rows:
        one = told_response(row, caller)
        proposal = proposals.get(documents.named_by(row, "proposal"))
        if proposal is not None and may_read(caller, proposal):
            for aside in proposal.state.get("set_aside") or ():
                if (aside["response"], aside["answered_at"]) == (row.id, row.state.get("responded_at")):
                    one["set_aside"] = _told_aside(aside)
        told.append(one)
    return told


def told_response(row: Row, caller: Actor) -> Told:
    """A response; its words, where it has any, for agencies of the circle in which they were said."""
    told = told_row(row)
    signed = documents.signed_track(row)
    if signed.verb != SHARED and row.shown.verb == SHARED and signed.state is not None:
        words = Row(row.key, (signed,))
        if may_read(caller, words) and words.state.get("responded_at") == row.state.get("responded_at"):
            told.update({name: words.state[name] for name in WORDS if name in words.state})
    return told


def told_testbeds(rows: Sequence[Row], caller: Actor) -> list[Told]:
    """Testbeds with the suspensions that members declared in their own ledgers."""
    declared = documents.suspensions_of(rows)
    told = []
    for row in rows:
        suspended = {one.key[0]: one for one in declared.get(ref_of(row), ()) if one.state.get("status") == "suspended"}
        one = told_row(row)
        one["members"] = [
            {**member, "suspended": _suspension(suspended[member["agency"]], caller)}
            if member["agency"] in suspended
            else member
            for member in row.state.get("members") or ()
        ]
        told.append(one)
    return told


def _suspension(row: Row, caller: Actor) -> Told:
    told = {"since": row.state.get("since"), "id": row.id}
    signed = Row(row.key, (documents.signed_track(row),))
    if may_read(caller, signed) and signed.state.get("reason"):
        told["reason"] = signed.state["reason"]
    return told


def lacking_of(row: Row, is_un: formation.IsUn, now: datetime, *, closing: bool = False) -> list[Fault]:
    """What the proposal lacks before its testbed can form; with `closing`, as if the lead said yes just now."""
    answers = documents.answers_to([row])
    if closing:
        lead = Answer(
            "", str(row.state["lead"]), row.id, str(row.state["hash"]), "accept", rfc3339(now), {"close": True}
        )
        answers = [lead, *(one for one in answers if one.agency != lead.agency)]
    return formation.lacking(row.state, standings_of(row.state, answers, now), answers, is_un)
