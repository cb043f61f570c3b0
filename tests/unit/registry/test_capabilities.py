"""Capabilities, agencies and offices: what they may hold and who may write them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from services.registry.domain import (
    ACTS,
    Change,
    confirm_capability,
    may,
    may_read,
    register_agency,
    register_capability,
    register_office,
    revise_agency,
    revise_capability,
    withdraw_capability,
)
from shared.problems import Forbidden, Invalid

from .examples import ADMIN, CAPABILITY, FAO, NOW, OFFICER, Person, notices_of

COORDINATOR = Person(roles=("coordinator",))


def offer(**changes: Any) -> Change:
    post = {**copy.deepcopy(CAPABILITY), **changes}
    return register_capability(
        {name: value for name, value in post.items() if value is not None}, id="c-1", now=NOW, actor=FAO
    )


def codes(**changes: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as refusal:
        offer(**changes)
    return {fault.field: fault.code for fault in refusal.value.faults}


def test_countries_post_what_it_covers_and_where_it_is_delivered():
    state = offer().state
    assert state["covers"] == state["delivers_to"] == ["ZMB", "MWI"]
    apart = offer(covers=["NER"]).state
    assert (apart["covers"], apart["delivers_to"]) == (["NER"], ["ZMB", "MWI"])


def test_no_countries_means_anywhere_and_an_empty_list_is_refused():
    assert {"covers", "delivers_to"}.isdisjoint(offer(countries=None).state)
    assert codes(countries=[]) == {"countries": "empty"}


def test_units_of_what_is_shared_without_limit_are_left_out_with_a_notice():
    change = offer(code="data.earth_observation")
    assert "units" not in change.state
    assert notices_of(change) == {"units": "not-counted"}


def test_registering_and_revising_confirm_and_one_click_does_too():
    assert offer().state["confirmed_on"] == "2026-05-04"
    old = offer(confirmed_on="2025-01-01")
    assert old.state["confirmed_on"] == "2025-01-01"
    for change in (
        confirm_capability(old.state, version=1, now=NOW, actor=FAO),
        revise_capability(old.state, {"units": 4}, version=1, now=NOW, actor=FAO),
    ):
        assert (change.state["confirmed_on"], change.version) == ("2026-05-04", 2)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"code": None}, {"code": "missing"}),
        ({"title": None}, {"title": "missing"}),
        ({"units": None}, {"units": "missing"}),
        ({"units": -1}, {"units": "out-of-range"}),
        ({"unit": "GPU-h"}, {"unit": "unknown-unit"}),
        ({"available_to": "2026-01-01"}, {"available_to": "bad-dates"}),
        ({"confirmed_on": "2027-01-01"}, {"confirmed_on": "bad-dates"}),
        ({"at_most_per_month": 0}, {"at_most_per_month": "out-of-range"}),
        ({"code": "human.sector_expertise"}, {"goals": "missing"}),
        ({"label": {"trustworthiness": {"score": 5}}}, {"label.trustworthiness.score": "out-of-range"}),
        ({"label": {"trustworthiness": {"score": 3}}}, {"label.trustworthiness.reason": "missing"}),
        ({"label": {"suitability": [{"score": 3}]}}, {"label.suitability[0].reason": "missing"}),
        ({"conditions": {"en": "Call +260 977 123 456"}}, {"conditions.en": "personal-data"}),
    ],
)
def test_a_faulty_capability_is_refused_in_its_place(changes: dict[str, Any], expected: dict[str, str]):
    assert codes(**changes) == expected


def test_a_capability_is_withdrawn_by_its_agency_alone():
    with pytest.raises(Forbidden):
        withdraw_capability(offer().state, version=1, actor=OFFICER)
    assert withdraw_capability(offer().state, version=1, actor=FAO).state == {"id": "c-1", "withdrawn": True}


def test_an_agency_is_registered_by_its_admin_with_what_the_vocabulary_knows_of_it():
    change = register_agency({"slug": "wfp"}, actor=ADMIN)
    assert (change.subject, change.state["kind"], change.state["acronym"]) == ("agency/wfp", "un_entity", "WFP")
    assert change.state["name"]["fr"] == "Programme alimentaire mondial"
    with pytest.raises(Forbidden, match="role admin"):
        register_agency({"slug": "wfp"}, actor=OFFICER)
    with pytest.raises(Forbidden, match="another agency"):
        register_agency({"slug": "fao"}, actor=ADMIN)


def test_an_agency_that_the_vocabulary_does_not_list_names_itself():
    actor = Person(agency="agency-a", roles=("admin",))
    with pytest.raises(Invalid) as refusal:
        register_agency({}, actor=actor)
    assert {fault.field for fault in refusal.value.faults} == {"name", "kind"}
    post = {"name": {"en": "Agency A"}, "kind": "un_entity", "illustrative": ["name"]}
    assert notices_of(register_agency(post, actor=actor)) == {"kind": "declared"}


@pytest.mark.parametrize("slug", ["hub", "node"])
def test_the_names_of_the_rosters_signer_and_of_the_nodes_operator_are_nobodys_agency(slug: str):
    with pytest.raises(Invalid) as refusal:
        register_agency({"name": {"en": "Ours"}, "kind": "un_entity"}, actor=Person(agency=slug, roles=("admin",)))
    assert refusal.value.faults[0].code == "reserved"


def test_a_revised_agency_keeps_its_short_name():
    state = register_agency({}, actor=ADMIN).state
    assert revise_agency(state, {"website": "https://www.wfp.org"}, version=1, actor=ADMIN).state["slug"] == "wfp"
    with pytest.raises(Invalid) as refusal:
        revise_agency(state, {"slug": "fao"}, version=1, actor=ADMIN)
    assert refusal.value.faults[0].code == "fixed"


def test_an_office_of_a_country_names_it():
    post = {"name": {"en": "WFP Zambia"}, "kind": "country", "time_zone": "Africa/Lusaka"}
    with pytest.raises(Invalid) as refusal:
        register_office(post, id="o-1", actor=COORDINATOR)
    assert [fault.field for fault in refusal.value.faults] == ["countries"]
    office = register_office({**post, "countries": ["ZMB"]}, id="o-1", actor=COORDINATOR)
    assert (office.type, office.audience) == ("org.pilotmesh.office.registered.v1", "mesh")


def test_every_act_names_known_roles_and_answers_the_one_acted_in():
    roles = {"viewer", "officer", "monitor", "coordinator", "approver", "admin"}
    for act, (_, allowed) in ACTS.items():
        assert set(allowed) <= roles
        assert may(Person(roles=tuple(reversed(allowed))), act, "wfp") == allowed[0]
        with pytest.raises(Forbidden):
            may(Person(roles=("viewer",)), act, "wfp")


def test_private_records_are_read_by_their_own_agency_only():
    assert may_read(FAO, "wfp", "mesh")
    assert may_read(OFFICER, "wfp", "private")
    assert not may_read(FAO, "wfp", "private")
    assert not may_read(None, "wfp", "mesh")
