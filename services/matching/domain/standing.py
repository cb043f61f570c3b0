"""Where an agency stands with a proposal: invited, waiting its turn, and what it answered.

Invitations are the lead's word, answers are each agency's own; the two are joined here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.facts.fact import Rest, rfc3339

ACCEPTING = ("accept", "accept_with_conditions")
DECISIONS = (*ACCEPTING, "decline", "interest", "withdraw")
STATUS_OF: Mapping[str, str] = {
    "accept": "accepted",
    "accept_with_conditions": "conditional",
    "decline": "declined",
    "withdraw": "withdrawn",
    "interest": "interest",
}
UNANSWERED = ("invited", "interest")
YES = ("accepted", "conditional")
OUT = ("declined", "withdrawn", "silent")


@dataclass(frozen=True, slots=True)
class Answer:
    """The newest response of an agency to one proposal, with the fact that an actor signed."""

    id: str
    agency: str
    proposal: str
    proposal_hash: str
    decision: str
    at: str
    state: Mapping[str, Any]
    rest: Rest | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """`status` is waiting, invited, interest, accepted, conditional, declined, withdrawn or silent.

    `carried` says that the answer was given to an earlier proposal that left this member's part as it is here.
    """

    agency: str
    status: str
    answer: Answer | None = None
    carried: bool = False
    deadline: str | None = None
    office: str | None = None

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {"agency": self.agency, "status": self.status, "deadline": self.deadline}
        if self.office:
            told["office"] = self.office
        if self.answer is not None:
            told["responded_at"] = self.answer.at
            told["response"] = self.answer.id
            if self.answer.state.get("reason"):
                told["reason"] = self.answer.state["reason"]
        if self.carried:
            told["carried"] = True
        return told


def answer_to(proposal: Mapping[str, Any], agency: str, answers: Iterable[Answer]) -> tuple[Answer | None, bool]:
    """The agency's word on this proposal, and whether it was given to an earlier one and carried over.

    What was said about another hash does not count. An acceptance is carried where the proposal says so and the
    agency has not thought better of it since.
    """
    given = list(answers)
    for answer in given:
        if answer.agency == agency and answer.proposal == proposal["id"] and answer.proposal_hash == proposal["hash"]:
            return answer, False
    for carried in proposal.get("carried") or ():
        if carried["agency"] != agency:
            continue
        for answer in given:
            same = (answer.id, answer.proposal_hash) == (carried["response"], carried["proposal_hash"])
            if same and answer.agency == agency and answer.decision in ACCEPTING:
                return answer, True
    return None, False


def standings_of(proposal: Mapping[str, Any], answers: Sequence[Answer], now: datetime) -> list[Standing]:
    """One standing for every partner in the team, in the order of the invitations."""
    return [_standing(proposal, invitation, answers, now) for invitation in proposal.get("invitations") or ()]


def _standing(
    proposal: Mapping[str, Any], invitation: Mapping[str, Any], answers: Sequence[Answer], now: datetime
) -> Standing:
    agency, deadline, office = invitation["agency"], invitation.get("deadline"), invitation.get("office")
    answer, carried = answer_to(proposal, agency, answers)
    told = rfc3339(now)
    if answer is not None and answer.decision != "interest":
        status = STATUS_OF[answer.decision]
        until = answer.state.get("reserved_until")
        if status in YES and until and proposal["status"] == "open" and until < told[:10]:
            status = "silent"  # what was reserved has lapsed before the testbed formed
        return Standing(agency, status, answer, carried, deadline, office)
    if invitation.get("status") == "waiting":
        return Standing(agency, "waiting", None, False, None, office)
    if deadline and deadline < told:
        return Standing(agency, "silent", answer, False, deadline, office)
    return Standing(agency, "invited" if answer is None else "interest", answer, False, deadline, office)


def leads_word(proposal: Mapping[str, Any], answers: Sequence[Answer]) -> Answer | None:
    """The lead's acceptance of its own proposal, if its approver gave it and did not take it back."""
    answer, _ = answer_to(proposal, proposal["lead"], answers)
    return answer if answer is not None and answer.decision in ACCEPTING else None
