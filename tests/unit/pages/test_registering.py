"""Registering a pilot: saved at every question, with kindred pilots and helpers at once, opened by its own click."""

from __future__ import annotations

import pytest

from services.pages.drafting import STEPS, lacking, step_after
from services.pages.plain_words import suggested
from tests.unit.pages import sample_records as sample
from tests.unit.pages.conftest import Reader
from tests.unit.pages.fake_node import FakeNode

DRAFT = f"/pilots/{sample.DRAFT}/draft"
RECORD = f"/registry/v1/pilots/{sample.DRAFT}"


def test_the_first_question_makes_a_draft_of_ones_own_agency(approver: Reader, node: FakeNode) -> None:
    answer = approver.sends(approver.opens("/pilots/new"), "/pilots/new", title=" Radio warnings ")
    assert answer.headers["location"] == f"{DRAFT}/problem"
    assert node.said == [
        (
            "POST",
            "/registry/v1/pilots",
            {"title": {"en": "Radio warnings"}, "language": "en", "lead_agency": "wfp", "draft": True},
        )
    ]


@pytest.mark.parametrize(
    ("step", "fields", "saved"),
    [
        ("title", {"title": "Un titre"}, {"title": {"fr": "Un titre"}, "language": "fr"}),
        ("problem", {"problem": "Deux phrases.\r\nVoilà."}, {"problem": {"fr": "Deux phrases.\nVoilà."}}),
        (
            "place",
            {"country": "ZMB", "area": "Luangwa"},
            {"sites": [{"country": "ZMB", "admin_area": {"name": "Luangwa"}}]},
        ),
        ("place", {"country": "ZMB"}, {"sites": [{"country": "ZMB"}]}),
        (
            "need",
            {"words": "Quelqu’un", "essential": "1"},
            {"needs": [{"words": {"fr": "Quelqu’un"}, "essential": True}]},
        ),
        (
            "kind",
            {"code": "human.translation", "quantity": "0,5"},
            {"needs": [{"code": "human.translation", "quantity": 0.5}]},
        ),
        ("kind", {"code": "none"}, {"needs": [{"code": "other"}]}),
        ("kind", {"other_code": "data.base_maps"}, {"needs": [{"code": "data.base_maps"}]}),
        (
            "kind",
            {"code": "human.sector_expertise", "goal": "2"},
            {"needs": [{"code": "human.sector_expertise", "qualifiers": {"goal": "2"}}]},
        ),
        ("dates", {"starts_on": "2027-01-01"}, {"starts_on": "2027-01-01"}),
    ],
)
def test_every_question_saves_its_own_answer(
    approver: Reader, node: FakeNode, step: str, fields: dict[str, str], saved: dict[str, object]
) -> None:
    node.pilots[1]["language"] = "fr"
    page = approver.opens(f"{DRAFT}/{step}")
    answer = approver.sends(page, f"/draft/{step}", **fields)
    assert answer.status_code == 303
    assert node.said == [("PATCH", RECORD, saved)]
    assert node.headers[0]["if-match"] == '"1"'


@pytest.mark.parametrize(
    ("step", "fields", "field"),
    [
        ("title", {"title": "  "}, "title"),
        ("problem", {}, "problem"),
        ("place", {"country": "XXX"}, "country"),
        ("need", {}, "words"),
        ("kind", {}, "code"),
        ("kind", {"code": "no.such_code"}, "code"),
        ("kind", {"code": "human.sector_expertise"}, "goal"),
        ("kind", {"code": "human.translation", "quantity": "many"}, "quantity"),
        ("dates", {}, "starts_on"),
    ],
)
def test_what_is_missing_is_said_at_its_field(
    approver: Reader, node: FakeNode, step: str, fields: dict[str, str], field: str
) -> None:
    answer = approver.sends(approver.opens(f"{DRAFT}/{step}"), f"/draft/{step}", **fields)
    assert answer.status_code == 422
    assert f'href="#{field}"' in answer.text
    assert f'id="{field}"' in answer.text
    assert "To correct: " in answer.text.partition("<title>")[2].partition("</title>")[0]
    assert node.said == []


def test_what_the_registry_finds_wrong_is_said_at_its_field_in_its_language(approver: Reader, node: FakeNode) -> None:
    page = approver.opens(f"{DRAFT}/dates?lang=fr")
    fault = {"field": "ends_on", "code": "bad-dates", "detail": "It ends before it starts."}
    node.refuse[RECORD] = (422, {"type": "x/invalid", "detail": "…", "errors": [fault]})
    node.refuse_only = "PATCH"
    answer = approver.sends(page, "/draft/dates", starts_on="2027-02-01", ends_on="2027-01-01")
    assert answer.status_code == 422
    assert '<a href="#ends_on" lang="en">It ends before it starts.</a>' in answer.text
    assert 'value="2027-02-01"' in answer.text


def test_personal_data_is_told_at_once_although_a_draft_may_hold_it(approver: Reader, node: FakeNode) -> None:
    notice = {"field": "problem.en", "code": "personal-data", "detail": "A telephone number was found."}
    page = approver.opens(f"{DRAFT}/problem")
    node.notices = [notice]
    answer = approver.sends(page, "/draft/problem", problem="Call +260 977 123456")
    assert answer.status_code == 200
    assert "A telephone number was found." in answer.text


def test_the_overview_shows_kindred_pilots_and_who_could_help(approver: Reader, node: FakeNode) -> None:
    node.pilots[1].update(countries=["ZMB"], needs=[{"id": "n1", "code": "human.field_staff"}])
    page = approver.opens(DRAFT).text
    assert "Fall armyworm early warning by phone" in page
    assert page.index("Fall armyworm") < page.index("Boreholes that call for help")
    assert "Field staff in Zambia" in page
    assert "confirmed on 5\N{NO-BREAK SPACE}November\N{NO-BREAK SPACE}2026" in page


def test_a_draft_is_opened_by_a_click_that_says_what_it_means(approver: Reader, node: FakeNode) -> None:
    assert "Open the pilot" not in approver.opens(DRAFT).text
    node.pilots[1].update(sample.PILOTS[2], id=sample.DRAFT, lead_agency="wfp", life="draft")
    page = approver.opens(DRAFT)
    assert "All agencies of the mesh will see it" in page.text
    answer = approver.sends(page, "/draft")
    assert answer.headers["location"] == f"/pilots/{sample.DRAFT}"
    assert node.said == [("PATCH", RECORD, {"draft": False})]


def test_a_pilot_of_another_agency_is_not_revised(approver: Reader) -> None:
    assert approver.opens(f"/pilots/{sample.PILOT}/draft").status_code == 403


def test_a_running_pilot_is_not_revised_here(approver: Reader, node: FakeNode) -> None:
    node.pilots[1]["life"] = "running"
    assert approver.opens(DRAFT).status_code == 409


def test_questions_follow_each_other_until_nothing_lacks() -> None:
    pilot: dict[str, object] = {"title": {"en": "x"}}
    assert step_after(pilot, "title") == "problem"
    pilot |= {"problem": {"en": "x"}, "countries": ["ZMB"], "needs": [{"code": "other", "words": {"en": "x"}}]}
    assert step_after(pilot, "need") == "kind"
    assert lacking(pilot) == ["dates"]
    assert step_after({**pilot, "starts_on": "a", "ends_on": "b"}, STEPS[-1]) == ""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("somebody who knows satellite images of fields", "data.earth_observation"),
        ("quelqu’un qui traduit en bemba", "human.translation"),
        ("power for the tablets", "infra.power"),
        ("a lawyer who writes data sharing agreements", "policy.data_sharing_agreements"),
        ("drones", "infra.drones"),
    ],
)
def test_plain_words_lead_to_the_kind_of_help_that_is_meant(words: str, code: str) -> None:
    assert suggested([words])[0] == code


@pytest.mark.parametrize("words", ["", "we need some people who have this", "xyzzy"])
def test_words_that_say_nothing_suggest_nothing(words: str) -> None:
    assert suggested([words]) == []


def test_the_screening_is_answered_on_one_page_and_can_be_finished_later(approver: Reader, node: FakeNode) -> None:
    path = f"/pilots/{sample.DRAFT}/screening"
    page = approver.opens(path)
    answers = {"answer-right_tool": "no", "note-right_tool": "Still asking", "learning_question": "Who hears it?"}
    later = approver.sends(page, "/screening", unfinished="1", **answers)
    assert later.headers["location"] == f"/pilots/{sample.DRAFT}?said=screening"
    assert node.said[0][2] == {
        "questionnaire": "2025-1",
        "answers": {"right_tool": {"answer": "no", "note": {"en": "Still asking"}}},
        "learning_question": {"en": "Who hears it?"},
        "draft": True,
    }
