"""The registry's records are read as they are posted: what is missing takes its default, nothing is invented."""

from __future__ import annotations

from datetime import date

import pytest

from services.matching.model import Site, TargetGroup
from services.matching.records import agency_of, capability_of, months_between, pilot_of
from services.matching.reference import world_on
from services.matching.weights import FITS, Rules, fifths, rules_of
from shared.problems import Invalid

SHORT_POST = {
    "id": "0198-p",
    "title": {"en": "Crop-loss early warning for smallholders"},
    "lead_agency": "wfp",
    "countries": ["ZMB"],
    "target_groups": ["extreme_poverty", "rural", ["women", "rural"]],
    "people_reached": 120000,
    "needs": [
        {"id": "n2", "code": "human.field_staff", "country": "ZMB", "quantity": 2, "essential": False},
        {"id": "n1", "code": "data.earth_observation", "country": "ZMB", "quantity": 1, "essential": True},
    ],
    "starts_on": "2027-01-01",
    "ends_on": "2027-12-31",
    "visibility": "mesh",
    "a_field_of_tomorrow": {"kept": True},
}


def test_the_short_post_is_enough() -> None:
    pilot = pilot_of(SHORT_POST)
    assert [need.id for need in pilot.needs] == ["n1", "n2"]
    assert pilot.needs[0].months == pilot.months
    assert (len(pilot.months), pilot.months[0], pilot.months[-1]) == (12, "2027-01", "2027-12")
    assert pilot.needs[1].quantity == 2000
    assert pilot.sites == (Site("ZMB", 120000),)
    assert pilot.groups == (TargetGroup(("extreme_poverty",)), TargetGroup(("rural",)), TargetGroup(("rural", "women")))


def test_a_need_finds_its_country_by_its_site() -> None:
    record = {**SHORT_POST, "sites": [{"id": "s1", "country": "NER"}, {"id": "s2", "country": "MLI"}]}
    record["needs"] = [{"id": "n1", "code": "data.base_maps", "site": "s2"}, {"id": "n2", "code": "data.base_maps"}]
    pilot = pilot_of(record)
    assert [need.country for need in pilot.needs] == ["MLI", None]
    assert pilot.countries == ("MLI", "NER")


def test_people_of_the_whole_pilot_are_shared_by_sites_that_give_no_number() -> None:
    given = {"planned": {"direct": 100, "extreme_poverty": 80, "method": {"en": "survey"}}}
    sites = [{"country": "NER", "people": given}, {"country": "MLI"}, {"country": "TCD"}]
    pilot = pilot_of({**SHORT_POST, "sites": sites, "people_reached": 201})
    assert pilot.sites == (Site("MLI", 51), Site("NER", 100, 80, "stated"), Site("TCD", 50))
    unknown = pilot_of({**SHORT_POST, "sites": sites, "people_reached": None})
    assert [site.people for site in unknown.sites] == [None, 100, None]


def test_declared_partners_and_co_leads_are_fixed_organisations_are_not_agencies() -> None:
    partners = [{"agency": "fao"}, {"organisation": "A ministry"}, {"agency": "wfp"}]
    assert pilot_of({**SHORT_POST, "partners_declared": partners, "co_leads": ["itu"]}).fixed == ("fao", "itu")


def test_countries_post_both_lists_of_places_and_each_may_differ() -> None:
    both = capability_of({"id": "c", "agency": "fao", "code": "data.base_maps", "countries": ["ZMB"]})
    assert both.covers == both.delivers_to == {"ZMB"}
    apart = {"id": "c", "agency": "fao", "code": "data.base_maps", "covers": ["ZMB"], "delivers_to": ["NER"]}
    assert capability_of(apart).delivers_to == {"NER"}
    anywhere = capability_of({"id": "c", "agency": "fao", "code": "data.base_maps"})
    assert not anywhere.covers
    assert not anywhere.delivers_to
    assert anywhere.units is None


def test_months_between() -> None:
    assert months_between(date(2027, 11, 30), date(2028, 1, 1)) == ("2027-11", "2027-12", "2028-01")
    assert months_between(date(2027, 2, 1), date(2027, 1, 1)) == ()
    assert months_between(None, date(2027, 1, 1)) == ()


def test_the_vocabulary_says_kinds_siblings_places_and_un_entities() -> None:
    world = world_on(date(2027, 1, 1), [agency_of({"slug": "a-ministry", "kind": "government", "name": {"en": "M"}})])
    assert {world.code(code).kind for code in ("data.health", "human.training", "infra.gpu_compute", "funding")} == {
        *("S", "C", "X", "none")
    }
    assert "data.base_maps" in world.code("data.earth_observation").siblings
    assert world.agency("wfp").is_un_entity
    assert not world.agency("a-ministry").is_un_entity
    assert not world.agency("never-heard-of").is_un_entity
    assert {"ldc", "lldc"} <= world.place("NER").groups
    assert world.place("NER").poverty is not None
    assert world.place("XXX").income is None


def test_rules_survive_being_written_and_read() -> None:
    rules = rules_of({"team_limit": 4, "recusals": [["fao", "p1"]], "fits": {"paid": 500}, "version": "2027-1"})
    assert rules.fits == {**FITS, "paid": 500}
    assert rules_of(rules.as_state()) == rules
    assert rules_of({}) == Rules()


@pytest.mark.parametrize(
    ("state", "field"),
    [
        ({"bottom_billion": 70}, "bottom_billion"),
        ({"bottom_billion": 110, "para_9f": -10, "groups_at_risk": 0}, "bottom_billion"),
        ({"team_limit": 1}, "team_limit"),
        ({"floor": 0}, "floor"),
        ({"member_cost": -0.1}, "member_cost"),
        ({"least_share": 0}, "least_share"),
        ({"likely_days": 10}, "likely_days"),
        ({"fits": {"paid": 0}}, "fits.paid"),
        ({"fits": {"cheap": 10}}, "fits.cheap"),
        ({"recusals": [["fao"]]}, "recusals"),
        ({"work_limit": 0}, "work_limit"),
    ],
)
def test_contradictory_rules_are_refused_with_the_field(state: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        rules_of(state)
    assert field in [fault.field for fault in refusal.value.faults]


def test_all_faults_of_rules_come_at_once() -> None:
    with pytest.raises(Invalid) as refusal:
        rules_of({"bottom_billion": 70, "team_limit": 0, "floor": 2})
    assert {fault.field for fault in refusal.value.faults} == {"bottom_billion", "team_limit", "floor"}


def test_fifths() -> None:
    assert [fifths(share) for share in (0, 0.001, 0.29, 0.3, 0.5, 0.7, 0.89, 0.9, 1)] == [0, 1, 1, 2, 3, 4, 4, 5, 5]
