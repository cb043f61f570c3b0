"""Answers that came when a proposal could no longer count them: said so by its owner, so that nobody waits in vain.

Agencies answer on their own nodes. While a link is down a proposal may be superseded, closed or formed before an answer
to it arrives. What had been heard by then is written down with that change; the list, not a clock, tells what is late.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from services.matching.domain.change import State
from services.matching.domain.standing import ACCEPTING, Answer
from shared.facts.fact import rfc3339

OVER = ("superseded", "closed", "formed")


def heard(proposal: Mapping[str, Any], answers: Iterable[Answer]) -> dict[str, str]:
    """When each agency gave the word that the lead's node has of it now."""
    return {one.agency: one.at for one in answers if one.proposal == proposal["id"]}


def settled(proposal: Mapping[str, Any], answers: Iterable[Answer]) -> State:
    """The proposal with what had been heard when it stopped to take answers."""
    return {**proposal, "heard": heard(proposal, answers)}


def with_late_answers(proposal: Mapping[str, Any], answers: Sequence[Answer], now: datetime) -> State | None:
    """The proposal with the acceptances that came too late to count, each with why. None if there is no new one."""
    known = list(proposal.get("set_aside") or ())
    told = {(one["response"], one["answered_at"]) for one in known}
    late = []
    for answer in sorted(answers, key=lambda one: one.agency):
        why = _why(proposal, answer)
        if why is not None and (answer.id, answer.at) not in told:
            late.append(
                {
                    "agency": answer.agency,
                    "response": answer.id,
                    "decision": answer.decision,
                    "answered_at": answer.at,
                    "why": why,
                    "read_instead": proposal.get("superseded_by"),
                    "set_aside_at": rfc3339(now),
                }
            )
    if not late:
        return None
    again = {one["response"] for one in late}
    return {**proposal, "set_aside": [*(one for one in known if one["response"] not in again), *late]}


def _why(proposal: Mapping[str, Any], answer: Answer) -> str | None:
    member = answer.agency in (proposal.get("agencies") or ())
    if answer.proposal != proposal["id"] or answer.decision not in ACCEPTING or not member:
        return None
    if answer.proposal_hash != proposal["hash"]:
        return "changed"
    if proposal["status"] not in OVER or "heard" not in proposal:
        return None
    return None if proposal["heard"].get(answer.agency) == answer.at else str(proposal["status"])


def silenced_by_the_link(chain: Sequence[Mapping[str, Any]]) -> set[str]:
    """Agencies that were taken to be silent and had answered all the same. `chain`: the newest proposal first."""
    last: dict[str, Mapping[str, Any]] = {}
    for proposal in chain:
        for agency in proposal.get("agencies") or ():
            last.setdefault(agency, proposal)
    return {
        agency
        for agency, proposal in last.items()
        if any(one["agency"] == agency for one in proposal.get("set_aside") or ())
    }


def asked_again(out: Iterable[Mapping[str, Any]], answered: Collection[str]) -> list[State]:
    """Who is left out, without those whose silence was the link's."""
    return [dict(one) for one in out if one["why"] != "silent" or one["agency"] not in answered]


WORDS: Mapping[str, Mapping[str, str]] = {
    "superseded": {
        "en": "This answer arrived after the proposal had been replaced: read the newer one and answer that.",
        "fr": "Cette réponse est arrivée après le remplacement de la proposition : lisez la nouvelle et répondez-y.",
    },
    "closed": {
        "en": "This answer arrived after the proposal had been closed.",
        "fr": "Cette réponse est arrivée après la clôture de la proposition.",
    },
    "formed": {
        "en": "This answer arrived after the testbed had formed: the lead's closing names the answers that counted.",
        "fr": "Cette réponse est arrivée après la constitution du banc d’essai : l’acte de clôture du chef de file "
        "nomme les réponses retenues.",
    },
    "changed": {
        "en": "This answer was given to another wording of the proposal: read what it says now and answer that.",
        "fr": "Cette réponse porte sur un autre état de la proposition : lisez-la telle qu’elle est et répondez-y.",
    },
}
"""What people are told of an answer that was set aside, by its code."""
