"""Target groups, the standing rules that follow from them, and how figures are broken down."""

from __future__ import annotations

import pytest

from shared.vocabulary import dimensions, groups, standing_rules
from shared.vocabulary.dimensions import DIMENSIONS, KEY_ORDER, TOTAL

GROUPS = [
    "extreme_poverty", "women", "girls", "women_and_girls", "children", "youth", "older_persons",
    "persons_with_disabilities", "refugees", "internally_displaced", "stateless", "migrants",
    "indigenous_peoples", "minorities", "diverse_gender", "rural", "informal_settlements",
    "small_scale_producers", "informal_workers", "workers_at_risk", "unconnected", "crisis_affected",
]  # fmt: skip


def test_every_target_group_is_there_and_says_where_its_definition_is_from():
    assert list(groups.GROUPS) == GROUPS
    for group in groups.GROUPS.values():
        assert {"en", "fr"} <= set(group.label)
        assert {"en", "fr"} <= set(group.definition)
        assert group.source


def test_two_groups_are_sensitive():
    assert [group.code for group in groups.GROUPS.values() if group.sensitive] == ["minorities", "diverse_gender"]


def consulted(pilot_groups, places):
    return [(rule.entity, rule.act) for rule in standing_rules.rules_for(pilot_groups, places)]


@pytest.mark.parametrize("group", ["refugees", "stateless"])
def test_unhcr_hears_of_pilots_for_refugees_and_stateless_people(group):
    assert consulted([group], ["ZMB"]) == [("unhcr", "inform")]


def test_unrwa_hears_too_where_it_works():
    assert consulted(["refugees"], ["ZMB", "JOR"]) == [("unhcr", "inform"), ("unrwa", "inform")]


@pytest.mark.parametrize("group", ["children", "girls"])
def test_unicef_is_asked_about_safeguarding(group):
    assert consulted([group], ["NER"]) == [("unicef", "ask")]


def test_groups_inside_an_intersection_count():
    assert consulted([["rural", "children"], "youth"], []) == [("unicef", "ask")]


def test_a_pilot_for_none_of_these_tells_nobody():
    assert consulted(["rural", "women"], ["JOR"]) == []


def test_sex_age_disability_and_target_group_are_expected_by_themselves():
    assert [code for code, known in DIMENSIONS.items() if known.expected] == [
        "SEX",
        "AGE",
        "DISABILITY_STATUS",
        "TARGET_GROUP",
    ]


def test_what_may_endanger_people_is_off_by_default():
    restricted = {code for code, known in DIMENSIONS.items() if known.restricted}
    assert restricted == {"ETHNICITY", "RELIGION", "GENDER_IDENTITY", "MIGRATION_STATUS"}
    assert not any(DIMENSIONS[code].expected or DIMENSIONS[code].standard for code in restricted)


def test_every_dimension_has_a_total():
    assert all(TOTAL in known.values for known in DIMENSIONS.values())
    assert set(DIMENSIONS["SEX"].values) == {"F", "M", "_T"}


def test_standard_dimensions_have_their_place_in_the_series_key():
    assert len(KEY_ORDER) == 16
    assert {code for code, known in DIMENSIONS.items() if known.standard} <= set(KEY_ORDER)
    assert not {code for code, known in DIMENSIONS.items() if not known.standard} & set(KEY_ORDER)


def test_the_target_groups_are_the_values_of_their_dimension():
    assert set(DIMENSIONS[dimensions.TARGET_GROUP].values) == {TOTAL, *groups.GROUPS}
