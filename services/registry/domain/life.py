"""A pilot's life: draft → open → forming → ready → running ⇄ paused → closing → closed.

Each step says what it needs; a step that is not possible is refused with all that is missing, at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any

from services.registry.domain.actors import Actor, may
from services.registry.domain.change import SYSTEM_ROLE, Change, State
from services.registry.domain.pilot_state import audience_of, refuse_withdrawn, stamp
from services.registry.domain.screenings import learning_of, standing_of
from services.registry.records.findings import Findings
from services.registry.records.hygiene import check_carriable
from services.registry.records.marks import OneOf
from services.registry.records.parts import Prose, Sentence
from services.registry.records.personal import check_personal
from services.registry.records.posts import OUTCOMES
from services.registry.records.reading import Record, read
from services.registry.screening import CURRENT, QUESTIONNAIRES
from shared.problems import Conflict, Fault

STEPS: Mapping[str, Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "open": {"forming": ("form_pilot", "forming")},
        "forming": {"ready": ("ready_pilot", "readied")},
        "ready": {"running": ("start_pilot", "started")},
        "running": {"paused": ("pause_pilot", "paused"), "closing": ("close_pilot", "closing")},
        "paused": {"running": ("resume_pilot", "resumed"), "closing": ("close_pilot", "closing")},
        "closing": {"closed": ("close_pilot", "closed")},
    }
)
"""From where to where, with the act it takes and the verb of the fact."""

NOT_STARTED = ("draft", "open", "forming", "ready")
REASONS = (
    "no_partner",
    "no_consent",
    "no_funding",
    "no_data",
    "no_capacity",
    "not_effective",
    "harm_found",
    "security",
    "priorities_changed",
    "another_does_it",
    "other",
)
"""Why a pilot stopped early or did not start; no fault of anybody's."""


class StepPost(Record):
    """What goes with a step: a pause says why and what resumes it, a close says the outcome and what was learnt."""

    reason: Sentence = None
    resumes_when: Sentence = None
    outcome: Annotated[str | None, OneOf(OUTCOMES)] = None
    reason_code: Annotated[str | None, OneOf(REASONS)] = None
    lesson: Prose = None


def advance_pilot(
    state: State,
    to: str,
    post: Any,
    *,
    version: int,
    now: datetime,
    actor: Actor,
    screening: Mapping[str, Any] | None = None,
    screening_before: str = "ready",
) -> Change:
    """The pilot one step further. `screening` is its screening's state, if there is one; `screening_before` the
    agency's own gate. Raises `Conflict` naming what is missing, `Invalid` for a faulty post, `Forbidden`."""
    agency = str(state["lead_agency"])
    life = str(state["life"])
    step = STEPS.get(life, {}).get(to)
    if to == "closed" and life in NOT_STARTED:
        step = ("close_pilot", "closed")
    role = may(actor, step[0] if step else "revise_pilot", agency)
    refuse_withdrawn(state)
    if step is None:
        raise Conflict(_not_from_here(life, to), allowed=list(next_lives(state)))
    findings = Findings()
    check_carriable(post, findings)
    words = read(StepPost, post, findings)
    _check_words(words, life, to, findings)
    check_personal(words, findings, refuse=audience_of(state) == "mesh")
    findings.refuse_if_faulty()
    lacking = missing_for(state, to, screening, screening_before)
    if lacking:
        raise Conflict(f"The pilot cannot be {to} yet: " + " ".join(f.detail for f in lacking), faults=lacking)
    new = _moved(state, to, now)
    if to == "paused":
        new["paused"] = {**words, "by": actor.id, "on": stamp(now)}
    if to == "closed":
        new["closed"] = {**words, "by": actor.id, "on": stamp(now)}
        new["outcome"] = words["outcome"]
    return Change(
        "pilot", step[1], state["id"], version + 1, agency, new, audience_of(new), role, tuple(findings.notices)
    )


def next_lives(state: Mapping[str, Any]) -> tuple[str, ...]:
    """Where a command can take the pilot from here; a draft opens by a post."""
    life = str(state["life"])
    further = tuple(STEPS.get(life, {}))
    return (*further, "closed") if life in NOT_STARTED and life != "draft" else further


def missing_for(
    state: Mapping[str, Any], to: str, screening: Mapping[str, Any] | None, screening_before: str = "ready"
) -> list[Fault]:
    """What still lacks before the pilot can be `to`; empty if nothing does."""
    lacking: list[Fault] = []
    if to == "ready" or (to == "forming" and screening_before in ("open", "forming")):
        lacking += _lacking_screening(state, screening)
    if to == "ready" and not (learning_of(state) or (screening or {}).get("learning_question")):
        detail = "A learning question is missing: say what you want to have learnt, whatever the result."
        lacking.append(Fault("learning", "missing", detail))
    if to == "running" and state["life"] == "ready":
        if (state.get("assessment") or {}).get("status") != "passed":
            detail = "The full assessment is missing: it is answered and approved by two people before a start."
            lacking.append(Fault("assessment", "missing", detail))
        if not any(_may_start(site) for site in state.get("sites") or ()):
            detail = "No site may start: record consent given, or not required, for at least one."
            lacking.append(Fault("sites", "consent-missing", detail))
    return lacking


def follow_testbed(state: State, testbed: Mapping[str, Any], *, version: int, now: datetime) -> Change | None:
    """The reaction to a testbed that names this pilot: open → forming, and back if it dissolves before the start.

    None if nothing follows: another's pilot, a draft, or a pilot that stands there already.
    """
    if state.get("withdrawn") or state["id"] not in (testbed.get("pilots") or ()):
        return None
    dissolved = testbed.get("status") in ("dissolved", "closed", "withdrawn")
    if not dissolved and state["life"] == "open":
        new = _moved(state, "forming", now)
        new["testbed"] = testbed["id"]
    elif dissolved and state["life"] in ("forming", "ready") and state.get("testbed") == testbed["id"]:
        new = _moved(state, "open", now)
        new.pop("testbed")
    else:
        return None
    agency = str(state["lead_agency"])
    verb = "forming" if new["life"] == "forming" else "reopened"
    return Change("pilot", verb, state["id"], version + 1, agency, new, audience_of(new), SYSTEM_ROLE)


def _moved(state: State, to: str, now: datetime) -> State:
    new = {name: value for name, value in state.items() if name not in ("paused", "kept_as_draft")}
    new["life"], new["life_since"] = to, stamp(now)
    return new


def _not_from_here(life: str, to: str) -> str:
    if life == "closed":
        return "The pilot is closed, which is final: register a new one, and name this one as related."
    if life == "draft":
        return "The pilot is a draft: complete it and save it with draft: false, and it opens."
    further = ", ".join(STEPS.get(life, {})) or "nowhere"
    return f"A pilot that is {life} does not become {to}: from here it can become {further}."


def _lacking_screening(state: Mapping[str, Any], screening: Mapping[str, Any] | None) -> list[Fault]:
    asked = QUESTIONNAIRES.get(str((screening or {}).get("questionnaire")), CURRENT)
    standing = standing_of(state, screening, asked)
    if standing.status == "passed":
        return []
    said = {
        "none": "The screening is missing: answer its eight questions.",
        "unfinished": "The screening is not finished: answer the questions that are left.",
        "not_passed": "The screening was not passed: see to its open points and answer them anew.",
        "void": f"The screening no longer stands: answer {', '.join(standing.ask_again)} anew.",
    }
    return [Fault("screening", standing.status, said[standing.status])]


def _may_start(site: Mapping[str, Any]) -> bool:
    return (site.get("consent") or {}).get("status") in ("given", "not_required")


def _check_words(words: Mapping[str, Any], life: str, to: str, findings: Findings) -> None:
    if to == "paused":
        wanted = {"reason": "why it pauses", "resumes_when": "what resumes it"}
    elif to == "closed":
        wanted = {"outcome": "the outcome", "lesson": "what was learnt; two sentences suffice"}
        if life in NOT_STARTED and words.get("outcome") not in (None, "not_started"):
            detail = f"A pilot that is {life} never ran: its outcome is not_started."
            findings.fault("outcome", "bad-outcome", detail)
        elif life not in NOT_STARTED and words.get("outcome") == "not_started":
            findings.fault("outcome", "bad-outcome", "The pilot did run: its outcome is another.")
        if words.get("outcome") in ("stopped_early", "not_started"):
            wanted["reason_code"] = f"why, as one of {', '.join(REASONS)}"
    else:
        return
    for name, what in wanted.items():
        if words.get(name) is None:
            findings.missing(name, f"Nothing was found: say {what}.")
