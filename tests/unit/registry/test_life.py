"""A pilot's life: each step when what it needs is there, refused with all that is missing when not."""

from __future__ import annotations

from typing import Any

import pytest

from services.registry.domain import (
    Change,
    advance_pilot,
    follow_screening,
    follow_testbed,
    next_lives,
    revise_pilot,
    screen_pilot,
    standing_of,
)
from services.registry.screening import CURRENT
from shared.problems import Conflict, Forbidden, Invalid
from shared.vocabulary.strategy import PRINCIPLES

from .examples import APPROVER, NOW, OFFICER, PILOT, Person, forming, ready, register, screened, screening_post

NO = {"answer": "no", "note": {"en": "Asked for; due in June."}}


def advance(change: Change, to: str, actor: Person = OFFICER, screening: Any = None, **post: Any) -> Change:
    return advance_pilot(change.state, to, post, version=change.version, now=NOW, actor=actor, screening=screening)


def missing(change: Change, to: str, actor: Person = OFFICER, screening: Any = None) -> set[str]:
    with pytest.raises(Conflict) as refusal:
        advance(change, to, actor, screening)
    return {fault.field for fault in refusal.value.faults}


def test_the_eight_questions_together_cover_every_principle_of_paragraph_nine():
    asked = {paragraph for question in CURRENT.questions for paragraph in question.paragraphs}
    assert len(CURRENT.questions) == 8
    assert {f"9 ({letter})" for letter in PRINCIPLES} <= asked
    assert all({"en", "fr"} == set(question.text) == set(question.note) for question in CURRENT.questions)


def test_a_testbed_that_names_the_pilot_makes_it_forming_and_a_dissolved_one_opens_it_again():
    pilot = forming()
    assert (pilot.verb, pilot.state["life"], pilot.role) == ("forming", "forming", "system")
    dissolved = {"id": "t-1", "pilots": [PILOT], "status": "dissolved"}
    again = follow_testbed(pilot.state, dissolved, version=2, now=NOW)
    assert again is not None
    assert (again.verb, again.state["life"]) == ("reopened", "open")


def test_a_testbed_moves_nothing_twice_and_no_other_pilot():
    testbed = {"id": "t-1", "pilots": [PILOT], "status": "formed"}
    assert follow_testbed(forming().state, testbed, version=2, now=NOW) is None
    assert follow_testbed(register().state, {**testbed, "pilots": ["another"]}, version=1, now=NOW) is None
    assert follow_testbed(register(draft=True).state, testbed, version=1, now=NOW) is None


def test_ready_needs_the_screening_and_a_learning_question_and_names_both():
    assert missing(forming(), "ready") == {"screening", "learning"}


def test_a_screened_pilot_with_a_learning_question_becomes_ready():
    change = ready()
    assert (change.verb, change.state["life"], change.role) == ("readied", "ready", "officer")


@pytest.mark.parametrize("question", [question.id for question in CURRENT.questions if question.must])
def test_a_no_to_what_must_be_keeps_it_from_being_ready(question: str):
    pilot = forming()
    screening = screened(pilot, **{question: NO}).state
    assert (screening["result"], screening["open_points"]) == ("not_passed", [question])
    assert missing(pilot, "ready", screening=screening) == {"screening"}


def test_another_no_passes_with_a_note_and_stays_an_open_point():
    screening = screened(forming(), women_and_ages=NO).state
    assert (screening["result"], screening["open_points"]) == ("passed", ["women_and_ages"])


def test_a_screening_tells_all_that_is_missing_or_faulty_at_once():
    post = screening_post(
        right_tool={"answer": "maybe"}, no_harm={"answer": "no"}, data_allowed="yes", invented={"answer": "yes"}
    )
    del post["answers"]["worth_it"]
    with pytest.raises(Invalid) as refusal:
        screen_pilot(register().state, post, pilot_version=1, held=None, version=0, now=NOW, actor=OFFICER)
    assert {fault.field: fault.code for fault in refusal.value.faults} == {
        "answers.right_tool.answer": "unknown-code",
        "answers.no_harm.note": "missing",
        "answers.data_allowed": "wrong-type",
        "answers.invented": "unknown-question",
        "answers.worth_it": "missing",
    }


def test_an_unfinished_screening_is_saved_and_finished_later():
    pilot = register().state
    first = screen_pilot(
        pilot,
        {"draft": True, "answers": {"right_tool": {"answer": "yes"}}},
        pilot_version=1,
        held=None,
        version=0,
        now=NOW,
        actor=OFFICER,
    )
    assert first.state["result"] == "unfinished"
    rest = screening_post()
    del rest["answers"]["right_tool"]
    second = screen_pilot(pilot, rest, pilot_version=1, held=first.state, version=1, now=NOW, actor=OFFICER)
    assert (second.state["result"], second.version, second.id) == ("passed", 2, first.id)


def test_after_a_material_change_only_the_answers_that_rested_on_it_are_asked_again():
    pilot = forming()
    screening = screened(pilot).state
    changed = revise_pilot(pilot.state, {"target_groups": ["children"]}, version=2, now=NOW, actor=OFFICER)
    standing = standing_of(changed.state, screening, CURRENT)
    assert standing.status == "void"
    assert standing.ask_again == ("no_harm", "furthest_behind", "women_and_ages")
    assert missing(changed, "ready", screening=screening) == {"screening"}
    answers = {name: {"answer": "yes"} for name in standing.ask_again}
    anew = screen_pilot(
        changed.state, {"answers": answers}, pilot_version=3, held=screening, version=1, now=NOW, actor=OFFICER
    )
    assert advance(changed, "ready", screening=anew.state).state["life"] == "ready"


def test_following_a_screening_twice_is_following_it_once():
    pilot = forming()
    screening = screened(pilot).state
    first = follow_screening(pilot.state, screening, version=2, asked=CURRENT)
    assert first is not None
    assert (first.verb, first.state["screening"]["status"]) == ("screened", "passed")
    assert follow_screening(first.state, screening, version=3, asked=CURRENT) is None


def test_a_screening_of_another_agency_or_pilot_moves_nothing():
    pilot, screening = forming().state, screened(forming()).state
    assert follow_screening(pilot, {**screening, "agency": "fao"}, version=2, asked=CURRENT) is None
    assert follow_screening(pilot, {**screening, "pilot": "another"}, version=2, asked=CURRENT) is None


def test_a_start_needs_the_full_assessment_and_a_site_that_may_start():
    assert missing(ready(), "running", APPROVER) == {"assessment", "sites"}


def test_a_start_is_an_approvers_act():
    with pytest.raises(Forbidden, match="role approver"):
        advance(ready(), "running")


def test_a_running_pilot_pauses_resumes_and_closes_with_a_lesson():
    pilot = register(entry="retrospective", life="running", starts_on="2026-01-01")
    with pytest.raises(Invalid) as refusal:
        advance(pilot, "paused")
    assert {fault.field for fault in refusal.value.faults} == {"reason", "resumes_when"}
    paused = advance(pilot, "paused", reason={"en": "Floods."}, resumes_when={"en": "Roads are open."})
    assert paused.state["paused"]["by"] == OFFICER.id
    resumed = advance(paused, "running", APPROVER)
    assert (resumed.verb, "paused" in resumed.state) == ("resumed", False)
    closing = advance(resumed, "closing")
    closed = advance(closing, "closed", outcome="completed", lesson={"en": "It worked. It was late."})
    assert (closed.state["life"], closed.state["outcome"]) == ("closed", "completed")
    assert next_lives(closed.state) == ()


def test_a_close_says_outcome_and_lesson_and_stopping_early_says_why():
    pilot = register()
    with pytest.raises(Invalid) as refusal:
        advance(pilot, "closed", outcome="not_started")
    assert {fault.field for fault in refusal.value.faults} == {"lesson", "reason_code"}
    with pytest.raises(Invalid) as refusal:
        advance(pilot, "closed", outcome="completed", lesson={"en": "Well."})
    assert {fault.field: fault.code for fault in refusal.value.faults} == {"outcome": "bad-outcome"}


@pytest.mark.parametrize(
    ("life", "to", "says"),
    [
        ("open", "ready", "from here it can become forming"),
        ("open", "running", "from here it can become forming"),
        ("draft", "open", "save it with draft: false"),
        ("forming", "paused", "from here it can become ready"),
    ],
)
def test_a_step_that_is_not_possible_from_here_says_what_is(life: str, to: str, says: str):
    pilot = {"open": register, "draft": lambda: register(draft=True), "forming": forming}[life]()
    with pytest.raises(Conflict, match=says):
        advance(pilot, to)
