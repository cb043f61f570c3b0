"""Answering the screening, and what follows from it for the pilot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.registry.domain.actors import Actor, may
from services.registry.domain.change import SYSTEM_ROLE, Change, State
from services.registry.domain.material import changed_parts, material_digests
from services.registry.domain.pilot_state import audience_of, refuse_withdrawn, stamp
from services.registry.records.findings import Findings
from services.registry.records.hygiene import check_carriable
from services.registry.records.personal import check_personal
from services.registry.records.screening import read_screening
from services.registry.screening import CURRENT, QUESTIONNAIRES, Questionnaire
from shared.facts.ids import derived_id
from shared.problems import Conflict

OVER = ("closing", "closed")


def screening_id(pilot: str) -> str:
    """A pilot has one screening, answered anew as its next version."""
    return derived_id("screening", pilot)


def screen_pilot(
    pilot: State,
    post: Any,
    *,
    pilot_version: int,
    held: State | None,
    version: int,
    now: datetime,
    actor: Actor,
) -> Change:
    """The screening after the posted answers, bound to the digests of what the pilot is now.

    `held` is the screening before, `version` its version (0 if there was none). Answers given before stand unless
    posted anew or unless what they rest on has changed since; `draft: true` saves an unfinished one.
    """
    agency = str(pilot["lead_agency"])
    role = may(actor, "screen_pilot", agency)
    refuse_withdrawn(pilot)
    if pilot["life"] in OVER:
        raise Conflict(f"The pilot is {pilot['life']}: there is nothing left to screen.")
    findings = Findings()
    check_carriable(post, findings)
    screening, asked = read_screening({**post, "answers": _with_standing(post, pilot, held)}, findings)
    audience = audience_of(pilot)
    check_personal(screening, findings, refuse=audience == "mesh")
    findings.refuse_if_faulty()
    told = learning_of(pilot) or screening.get("learning_question") or (held or {}).get("learning_question")
    if told and not screening.get("learning_question"):
        screening["learning_question"] = told
    if not told:
        findings.notice("learning_question", "missing", "To be ready the pilot needs a learning question.")
    state: State = {
        **screening,
        "id": screening_id(pilot["id"]),
        "pilot": pilot["id"],
        "pilot_version": pilot_version,
        "agency": agency,
        **verdict(asked, screening["answers"]),
        "rests_on": material_digests(pilot),
        "answered_on": stamp(now),
        "answered_by": actor.id,
    }
    notices = tuple(findings.notices)
    return Change("screening", "answered", state["id"], version + 1, agency, state, audience, role, notices)


def verdict(asked: Questionnaire, answers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """`passed` if every question is answered and every `must` with yes; other noes are open points."""
    given = {name: answer.get("answer") for name, answer in answers.items()}
    noes = [question for question in asked.questions if given.get(question.id) == "no"]
    if any(given.get(question.id) is None for question in asked.questions):
        result = "unfinished"
    elif any(question.must for question in noes):
        result = "not_passed"
    else:
        result = "passed"
    return {"result": result, "open_points": [question.id for question in noes]}


@dataclass(frozen=True, slots=True)
class Standing:
    """How a screening stands for a pilot as it is now. `ask_again` are the questions whose ground has changed."""

    status: str
    changed: tuple[str, ...] = ()
    ask_again: tuple[str, ...] = ()


def standing_of(pilot: Mapping[str, Any], screening: Mapping[str, Any] | None, asked: Questionnaire) -> Standing:
    """`none`, `unfinished`, `passed`, `not_passed`, or `void` because something material changed since."""
    if screening is None or screening.get("withdrawn"):
        return Standing("none")
    changed = changed_parts(screening["rests_on"], pilot)
    if changed:
        again = [question.id for question in asked.questions if set(question.rests_on) & set(changed)]
        return Standing("void", tuple(changed), tuple(again))
    return Standing(str(screening["result"]))


def follow_screening(pilot: State, screening: State, *, version: int, asked: Questionnaire) -> Change | None:
    """The reaction to a screening: the pilot's own record says how it stands, so that cards and invitations can.

    None if that is what it says already, or if the screening is another pilot's.
    """
    if pilot.get("withdrawn") or screening.get("pilot") != pilot["id"]:
        return None
    if screening.get("agency") != pilot["lead_agency"]:
        return None
    standing = standing_of(pilot, screening, asked)
    summary: dict[str, Any] = {
        "status": standing.status,
        "id": screening["id"],
        "questionnaire": screening["questionnaire"],
        "answered_on": screening["answered_on"],
        "open_points": screening["open_points"],
        "rests_on": screening["rests_on"],
    }
    if standing.changed:
        summary["void_because"] = list(standing.changed)
    if pilot.get("screening") == summary:
        return None
    state = {**pilot, "screening": summary}
    agency = str(pilot["lead_agency"])
    return Change("pilot", "screened", pilot["id"], version + 1, agency, state, audience_of(pilot), SYSTEM_ROLE)


def learning_of(pilot: Mapping[str, Any]) -> Any:
    """The pilot's first learning question, None if it has none."""
    return next((entry["question"] for entry in pilot.get("learning") or () if entry.get("question")), None)


def _with_standing(post: Mapping[str, Any], pilot: State, held: State | None) -> Any:
    """The posted answers over the earlier ones that still stand."""
    posted = post.get("answers")
    if held is None or not isinstance(posted, dict) or held.get("withdrawn"):
        return posted
    asked = QUESTIONNAIRES.get(str(held.get("questionnaire")), CURRENT)
    if post.get("questionnaire", asked.version) != asked.version:
        return posted
    again = standing_of(pilot, held, asked).ask_again
    stand = {name: answer for name, answer in held["answers"].items() if name not in again}
    return {**stand, **posted}
