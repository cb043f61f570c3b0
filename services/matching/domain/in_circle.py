"""What is said within a circle: questions and answers about a proposal, suspensions of a part in a testbed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.matching.domain.change import Change, State
from services.matching.domain.free_text import free_text
from services.matching.domain.responding import check_answerable, check_hash, mesh_copy
from shared.facts.fact import rfc3339
from shared.facts.ids import derived_id
from shared.problems import Fault, Forbidden, Invalid


def asked(
    proposal: Mapping[str, Any],
    agency: str,
    post: Mapping[str, Any],
    *,
    id: str,  # noqa: A002 - the record's word
    actor: str,
    now: datetime,
) -> Change:
    """A question of a member of the team; its words stay in the proposal's circle."""
    faults: list[Fault] = []
    check_hash(post, faults)
    text = free_text(post.get("question"), "question", faults, needed=True)
    if faults:
        raise Invalid(faults)
    check_answerable(proposal, post["proposal_hash"])
    if agency not in proposal["agencies"]:
        raise Forbidden(f"{agency} is not in this team: only its members may ask.")
    state: State = {
        "id": id,
        "agency": agency,
        "proposal": proposal["id"],
        "pilot": proposal["pilot"],
        "lead": proposal["lead"],
        "question": text,
        "asked_at": rfc3339(now),
        "by": actor,
        "circle": proposal["circle"],
        "agencies": sorted(proposal["agencies"]),
    }
    return Change("question", "asked", id, 1, agency, state, str(proposal["circle"]))


def answer_id(asked_by: str, question: str) -> str:
    return derived_id("answer", asked_by, question)


def answered(
    proposal: Mapping[str, Any],
    question: Mapping[str, Any],
    post: Mapping[str, Any],
    *,
    version: int,
    actor: str,
    now: datetime,
) -> Change:
    """The lead's answer, its own aggregate; answering again replaces the words."""
    faults: list[Fault] = []
    text = free_text(post.get("answer"), "answer", faults, needed=True)
    if faults:
        raise Invalid(faults)
    lead = str(proposal["lead"])
    state: State = {
        "id": answer_id(str(question["agency"]), str(question["id"])),
        "agency": lead,
        "proposal": proposal["id"],
        "pilot": proposal["pilot"],
        "question": question["id"],
        "asked_by": question["agency"],
        "answer": text,
        "answered_at": rfc3339(now),
        "by": actor,
        "circle": proposal["circle"],
        "agencies": sorted({*proposal["agencies"], str(question["agency"])}),
    }
    return Change("answer", "given", state["id"], version + 1, lead, state, str(proposal["circle"]))


def suspension_id(lead: str, testbed: str, agency: str) -> str:
    return derived_id("suspension", lead, testbed, agency)


def suspended(
    testbed: Mapping[str, Any],
    agency: str,
    post: Mapping[str, Any],
    *,
    version: int,
    actor: str,
    role: str,
    now: datetime,
) -> Change:
    """A member stops its part at once; why is for the circle, that it did is for everybody."""
    faults: list[Fault] = []
    text = free_text(post.get("reason"), "reason", faults, needed=True)
    if faults:
        raise Invalid(faults)
    if agency not in testbed["agencies"]:
        raise Forbidden(f"{agency} is not a member of this testbed.")
    state: State = {
        "id": suspension_id(str(testbed.get("lead")), str(testbed["id"]), agency),
        "agency": agency,
        "testbed": testbed["id"],
        "lead": testbed.get("lead"),
        "pilots": list(testbed["pilots"]),
        "status": "suspended",
        "reason": text,
        "since": rfc3339(now),
        "by": actor,
        "role": role,
        "circle": testbed["circle"],
        "agencies": sorted(testbed["agencies"]),
    }
    return Change("suspension", "declared", state["id"], version + 1, agency, state, str(testbed["circle"]))


def resumed(suspension: Mapping[str, Any], *, version: int, actor: str, role: str, now: datetime) -> Change:
    state = mesh_copy(suspension, ("reason",)) | {
        "status": "lifted",
        "lifted_at": rfc3339(now),
        "by": actor,
        "role": role,
    }
    return Change("suspension", "lifted", str(suspension["id"]), version + 1, str(suspension["agency"]), state)
