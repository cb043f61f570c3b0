"""Whatever is posted, the registry answers with a change or with a refusal; nothing unknown is lost."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.registry.domain import (
    advance_pilot,
    register_agency,
    register_capability,
    register_office,
    register_pilot,
    revise_capability,
    revise_pilot,
    screen_pilot,
)
from services.registry.folds import capability_columns, pilot_card, pilot_columns
from services.registry.records.posts import CapabilityPost, PilotPost
from shared.problems import Conflict, Forbidden, Invalid
from shared.vocabulary.capability import CODES

from .examples import ADMIN, CAPABILITY, FAO, NOW, OFFICER, PILOT, SHORT, Person, ready, register, screening_post

texts = st.text(st.characters(codec=None), max_size=12) | st.sampled_from(["en", "ZMB", "2.3", "", "٢", "\ud800", "n1"])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
clean_names = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
clean = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | st.text("abc éü中", max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(clean_names, inner, max_size=3),
    max_leaves=8,
)


def places_in(value: Any) -> list[tuple[Any, Any]]:
    """Every (holder, key) of a JSON value."""
    keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
    found = [(value, key) for key in keys]
    for key in keys:
        if isinstance(value[key], dict | list):
            found += places_in(value[key])
    return found


@st.composite
def spoilt(draw: st.DrawFn, post: dict[str, Any], fields: list[str]) -> dict[str, Any]:
    """A good post with something else in up to four of its places, known fields among them."""
    result = copy.deepcopy(post)
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            result[draw(st.sampled_from(fields))] = draw(anything)
        elif places := places_in(result):
            holder, key = draw(st.sampled_from(places))
            holder[key] = draw(anything)
    return result


def check_refusal(refusal: Invalid) -> None:
    assert refusal.faults
    for fault in refusal.faults:
        assert fault.code
        fault.field.encode()
        check_said(fault.detail)


def check_said(detail: str) -> None:
    assert detail.strip()
    detail.encode()


@settings(max_examples=400, deadline=None)
@given(anything | spoilt(SHORT, list(PilotPost.model_fields)))
def test_any_post_as_a_pilot_is_registered_or_refused_in_words(post: Any):
    try:
        change = register_pilot(post, id=PILOT, now=NOW, actor=OFFICER)
    except Invalid as refusal:
        check_refusal(refusal)
    except Forbidden:
        assert post["lead_agency"] != "wfp"
    else:
        json.dumps(change.state, allow_nan=False).encode()
        pilot_columns(change.state)
        pilot_card(change.state)
        again = revise_pilot(change.state, change.state, version=1, now=NOW, actor=OFFICER, whole=True)
        assert again.state == change.state


@settings(max_examples=200, deadline=None)
@given(anything | spoilt(CAPABILITY, list(CapabilityPost.model_fields)))
def test_any_post_as_a_capability_is_registered_or_refused_in_words(post: Any):
    try:
        change = register_capability(post, id="c-1", now=NOW, actor=FAO)
    except Invalid as refusal:
        check_refusal(refusal)
    except Forbidden:
        assert post.get("agency") != "fao"
    else:
        json.dumps(change.state, allow_nan=False).encode()
        capability_columns(change.state)
        again = revise_capability(change.state, change.state, version=1, now=NOW, actor=FAO, whole=True)
        assert again.state == change.state


@settings(max_examples=200, deadline=None)
@given(anything | spoilt(screening_post(), ["answers", "questionnaire", "learning_question", "draft"]))
def test_any_post_as_a_screening_is_taken_or_refused_in_words(post: Any):
    try:
        change = screen_pilot(register().state, post, pilot_version=1, held=None, version=0, now=NOW, actor=OFFICER)
    except Invalid as refusal:
        check_refusal(refusal)
    else:
        assert change.state["result"] in ("passed", "not_passed", "unfinished")


@settings(max_examples=150, deadline=None)
@given(anything, st.sampled_from(["running", "closed", "paused", "", "nowhere"]))
def test_any_post_with_a_step_is_taken_or_refused_in_words(post: Any, to: str):
    everybody = Person(roles=("officer", "approver"))
    try:
        advance_pilot(ready().state, to, post, version=3, now=NOW, actor=everybody)
    except Invalid as refusal:
        check_refusal(refusal)
    except Conflict as refusal:
        check_said(refusal.detail)


@settings(max_examples=150, deadline=None)
@given(anything)
def test_any_post_as_an_agency_or_office_is_taken_or_refused_in_words(post: Any):
    for command in (
        lambda: register_agency(post, actor=ADMIN),
        lambda: register_office(post, id="o-1", actor=ADMIN),
    ):
        try:
            command()
        except Invalid as refusal:
            check_refusal(refusal)
        except Forbidden:
            assert isinstance(post, dict)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(clean_names.map(lambda name: f"zz_{name}"), clean, max_size=4))
def test_fields_that_nobody_knows_survive_registering_and_revising(extra: dict[str, Any]):
    change = register(**{name: value for name, value in extra.items() if value is not None})
    revised = revise_pilot(change.state, {"people_reached": 7}, version=1, now=NOW, actor=OFFICER)
    kept = {name: value for name, value in extra.items() if value is not None}
    assert {name: revised.state[name] for name in kept} == kept


needs = st.lists(
    st.fixed_dictionaries(
        {
            "code": st.sampled_from(
                [code for code, known in CODES.items() if known.kind == "C" and not known.goal_required]
            )
        },
        optional={"quantity": st.integers(1, 9), "essential": st.booleans()},
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=200, deadline=None)
@given(needs, st.data())
def test_needs_keep_their_ids_through_any_order(posted: list[dict[str, Any]], data: st.DataObject):
    first = register(needs=posted)
    named = {need["id"]: {k: v for k, v in need.items() if k != "id"} for need in first.state["needs"]}
    shuffled = data.draw(st.permutations(posted))
    second = revise_pilot(first.state, {"needs": shuffled}, version=1, now=NOW, actor=OFFICER)
    assert {need["id"]: {k: v for k, v in need.items() if k != "id"} for need in second.state["needs"]} == named


@settings(max_examples=200, deadline=None)
@given(st.lists(needs, min_size=1, max_size=4))
def test_the_ids_of_needs_are_distinct_and_never_mean_another_kind_of_need_again(revisions: list[list[dict[str, Any]]]):
    change = register(needs=revisions[0])
    meant = {need["id"]: need["code"] for need in change.state["needs"]}
    for version, posted in enumerate(revisions[1:], start=1):
        change = revise_pilot(change.state, {"needs": posted}, version=version, now=NOW, actor=OFFICER)
        now = {need["id"]: need["code"] for need in change.state["needs"]}
        assert len(now) == len(posted)
        assert all(meant.setdefault(own, code) == code for own, code in now.items())


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(list(PilotPost.model_fields)), anything))
def test_any_state_of_another_node_is_projected_without_a_crash(state: dict[str, Any]):
    pilot_columns(state)
    pilot_card(state)
    capability_columns({**state, "code": state.get("title")})
