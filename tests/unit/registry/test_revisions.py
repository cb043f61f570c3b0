"""Revising a pilot keeps its ids, voids what rested on what changed, and never loses what it does not know."""

from __future__ import annotations

from typing import Any

import pytest

from services.registry.domain import Change, follow_screening, revise_pilot, withdraw_pilot, withdrawal_after
from services.registry.screening import CURRENT
from shared.problems import Conflict, Forbidden, Invalid

from .examples import NOW, OFFICER, Person, forming, notices_of, ready, register, screened


def revise(change: Change, actor: Person = OFFICER, **post: Any) -> Change:
    options = {name: post.pop(name) for name in ("whole", "understood") if name in post}
    return revise_pilot(change.state, post, version=change.version, now=NOW, actor=actor, **options)


def ids(change: Change, part: str = "needs") -> dict[str, str]:
    return {entry["id"]: entry["code" if part == "needs" else "country"] for entry in change.state[part]}


def test_needs_keep_their_ids_when_they_are_posted_again_in_another_order():
    change = revise(
        register(),
        needs=[
            {"code": "human.field_staff", "country": "ZMB", "quantity": 9},
            {"code": "policy.ethics_review", "quantity": 1},
            {"code": "data.earth_observation", "country": "ZMB", "quantity": 1, "essential": True},
        ],
    )
    assert ids(change) == {"n2": "human.field_staff", "n3": "policy.ethics_review", "n1": "data.earth_observation"}


def test_the_id_of_a_need_that_is_gone_is_never_given_again():
    without = revise(register(), needs=[{"id": "n1", "code": "data.earth_observation"}])
    again = revise(without, needs=[{"id": "n1", "code": "data.earth_observation"}, {"code": "human.field_staff"}])
    assert ids(again) == {"n1": "data.earth_observation", "n3": "human.field_staff"}
    with pytest.raises(Invalid) as refusal:
        revise(without, needs=[{"id": "n2", "code": "human.field_staff"}])
    assert [(fault.field, fault.code) for fault in refusal.value.faults] == [("needs[0].id", "retired")]


def test_posting_countries_keeps_their_sites_adds_new_ones_and_drops_the_others():
    pilot = register(sites=[{"country": "ZMB", "sector": "maize"}, {"country": "NER"}], countries=None)
    change = revise(pilot, countries=["ZMB", "MWI"], needs=[{"code": "funding"}])
    assert change.state["sites"] == [
        {"id": "s1", "country": "ZMB", "sector": "maize"},
        {"id": "s3", "country": "MWI"},
    ]


def test_a_patch_changes_what_it_names_and_null_takes_away():
    change = revise(register(extra=[1]), summary=None, title={"fr": "Alerte"}, people_reached=5)
    assert "summary" not in change.state
    assert set(change.state["title"]) == {"en", "fr"}
    assert (change.state["people_reached"], change.state["extra"]) == (5, [1])
    assert (change.verb, change.version) == ("revised", 2)


def test_replacing_the_whole_record_keeps_fields_this_version_does_not_know():
    pilot = register(of_a_newer_node={"a": 1})
    post = {name: pilot.state[name] for name in ("title", "problem", "countries", "needs", "starts_on", "ends_on")}
    change = revise(pilot, whole=True, **post)
    assert change.state["of_a_newer_node"] == {"a": 1}
    assert "summary" not in change.state


def test_posting_back_what_was_answered_changes_nothing():
    pilot = ready()
    assert revise(pilot, whole=True, **pilot.state).state == pilot.state
    assert revise(pilot, whole=True, **pilot.state).notices == ()


def test_a_pilot_stays_with_its_lead_for_ever():
    with pytest.raises(Invalid) as refusal:
        revise(register(), lead_agency="fao")
    assert refusal.value.faults[0].code == "fixed"
    with pytest.raises(Forbidden):
        revise(register(), Person(agency="fao"), title={"en": "Ours"})


def test_a_draft_opens_when_it_is_saved_as_no_draft_any_more():
    draft = register(draft=True)
    assert draft.state["life"] == "draft"
    assert revise(draft, people_reached=3).state["life"] == "draft"
    opened = revise(draft, draft=False)
    assert (opened.verb, opened.state["life"], opened.audience) == ("opened", "open", "mesh")
    assert "kept_as_draft" not in opened.state


def test_a_pilot_that_waited_for_a_need_opens_with_it():
    change = revise(register(needs=None), needs=[{"code": "funding"}])
    assert (change.verb, change.state["life"]) == ("opened", "open")


@pytest.mark.parametrize(
    ("post", "part"),
    [
        ({"needs": [{"code": "data.earth_observation"}]}, "needs"),
        ({"countries": ["ZMB", "MWI"]}, "sites"),
        ({"target_groups": ["children"]}, "target_groups"),
        ({"ai": {"decides": "acts"}}, "ai_decides"),
        ({"stop_rules": {"en": "Stop at the first wrong warning."}}, "risk"),
    ],
)
def test_a_material_change_voids_the_screening_and_takes_a_ready_pilot_back(post: dict[str, Any], part: str):
    pilot = ready()
    followed = follow_screening(pilot.state, screened(forming()).state, version=pilot.version, asked=CURRENT)
    assert followed is not None
    change = revise(followed, **post)
    assert change.state["screening"]["status"] == "void"
    assert change.state["screening"]["void_because"] == [part]
    assert change.state["life"] == "forming"
    assert {"screening": "voided", "life": "back-to-forming"}.items() <= notices_of(change).items()


@pytest.mark.parametrize(
    "post",
    [
        {"summary": {"en": "Said better."}},
        {"money": {"currency": "USD", "total": 10}},
        {"ai": {"approach": {"en": "A smaller model."}}},
        {"target_groups": ["women_and_girls", "rural", "extreme_poverty"]},
    ],
)
def test_any_other_change_leaves_the_screening_standing(post: dict[str, Any]):
    pilot = ready()
    followed = follow_screening(pilot.state, screened(forming()).state, version=pilot.version, asked=CURRENT)
    assert followed is not None
    change = revise(followed, **post)
    assert (change.state["screening"]["status"], change.state["life"]) == ("passed", "ready")


def test_narrowing_is_refused_until_it_is_understood_that_nothing_can_be_called_back():
    with pytest.raises(Conflict, match="cannot be called back") as refusal:
        revise(register(), visibility="private")
    assert refusal.value.faults[0].code == "cannot-be-recalled"
    change = revise(register(), visibility="private", understood=True)
    assert (change.audience, change.narrowed) == ("private", True)
    taken_back = withdrawal_after(change)
    assert taken_back is not None
    assert (taken_back.audience, taken_back.verb, taken_back.version) == ("mesh", "withdrawn", 3)
    assert taken_back.state == {"id": change.id, "withdrawn": True}


def test_sharing_a_private_record_scans_it_first():
    private = register(visibility="private", summary={"en": "Call +260 977 123 456"})
    with pytest.raises(Invalid) as refusal:
        revise(private, visibility="mesh")
    assert [(fault.field, fault.code) for fault in refusal.value.faults] == [("summary.en", "personal-data")]
    assert revise(private, visibility="mesh", summary={"en": "Call us"}).audience == "mesh"


def test_a_withdrawn_pilot_leaves_its_id_only_and_takes_no_more_commands():
    gone = withdraw_pilot(register().state, version=1, actor=OFFICER)
    assert (gone.verb, gone.version, gone.state) == ("withdrawn", 2, {"id": gone.id, "withdrawn": True})
    with pytest.raises(Conflict, match="withdrawn"):
        revise_pilot({**gone.state, "lead_agency": "wfp"}, {}, version=2, now=NOW, actor=OFFICER)


def test_a_running_pilot_is_closed_rather_than_withdrawn():
    running = register(entry="retrospective", life="running", starts_on="2026-01-01")
    with pytest.raises(Conflict, match="close it"):
        withdraw_pilot(running.state, version=1, actor=OFFICER)
