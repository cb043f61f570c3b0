"""What an indicator plan promises, and what is refused of it."""

from __future__ import annotations

from typing import Any

import pytest
from metrics_examples import PLAN, SITES, plan

from services.metrics.plans import read_plan
from shared.problems import Invalid


def faults(**changes: Any) -> set[tuple[str, str]]:
    with pytest.raises(Invalid) as refusal:
        read_plan(PLAN | changes, sites=SITES)
    return {(fault.field, fault.code) for fault in refusal.value.faults}


def test_a_short_plan_asks_for_sex_age_disability_and_target_groups_by_itself() -> None:
    assert plan().dimensions == ("SEX", "AGE", "DISABILITY_STATUS", "TARGET_GROUP")


def test_every_fault_of_a_plan_is_told_at_once() -> None:
    found = faults(
        code="two words",
        title={"xx": "no such language"},
        measure="tally",
        contributes_to=["2.3", "99.1"],
        baseline={"value": "12", "on": "2027-02-30"},
        dimensions=["SEX", "RELIGION", "SHOE_SIZE"],
        owners={"nowhere": "wfp"},
    )
    assert found == {
        ("code", "malformed"),
        ("title", "bad_text"),
        ("measure", "unknown_code"),
        ("contributes_to[1]", "unknown_code"),
        ("baseline.value", "wrong_type"),
        ("baseline.on", "impossible_date"),
        ("dimensions[1]", "restricted_dimension"),
        ("dimensions[2]", "unknown_dimension"),
        ("owners.nowhere", "unknown_site"),
    }


def test_a_target_before_its_baseline_or_against_its_direction_is_refused() -> None:
    late = {"value": 900, "on": "2028-01-01"}
    assert faults(baseline=late) == {("target.on", "impossible_date")}
    assert faults(direction="down") == {("direction", "contradiction")}


def test_a_negative_number_of_people_is_refused() -> None:
    assert ("baseline.value", "negative_people") in faults(baseline={"value": -1, "on": "2026-12-31"})


def test_a_restricted_dimension_is_taken_where_the_assessment_allows_it() -> None:
    asked = read_plan(PLAN | {"dimensions": ["SEX", "ETHNICITY"]}, allowed=("ETHNICITY",))
    assert asked.dimensions == ("SEX", "ETHNICITY")


def test_fields_that_are_not_known_stay_as_they_were_posted() -> None:
    posted = PLAN | {"dashboard": {"colour": "blue"}, "target": PLAN["target"] | {"note": "end line"}}
    kept = read_plan(posted).model_dump()
    assert kept["dashboard"] == {"colour": "blue"}
    assert kept["target"]["note"] == "end line"


def test_codes_typed_with_arabic_digits_are_the_same_codes() -> None:
    assert plan(contributes_to=["٢.٣"]).contributes_to == ("2.3",)


def test_one_agency_owns_each_place() -> None:
    shared = plan(owner=None, owners={"lilongwe": "fao", "ZMB": "unicef"})
    assert shared.owner_at("lilongwe", "MWI", "wfp") == "fao"
    assert shared.owner_at("kasama", "ZMB", "wfp") == "unicef"
    assert shared.owner_at("_T", None, "wfp") == "wfp"


@pytest.mark.parametrize(
    ("unit", "measure", "counts", "protects"),
    [
        ("people", "count", True, True),
        ("people", "average", False, True),
        ("percent", "ratio", False, True),
        ("ha", "sum", False, False),
        ("kilograms of joy", "sum", False, True),
        ("ha", "people_reached", True, True),
    ],
)
def test_figures_protect_people_unless_the_unit_is_a_thing(
    unit: str, measure: str, counts: bool, protects: bool
) -> None:
    of_unit = plan(unit=unit, measure=measure)
    assert (of_unit.counts_people, of_unit.protects_people) == (counts, protects)


def test_nobody_can_declare_people_to_be_things() -> None:
    assert faults(about_people=False) == {("about_people", "contradiction")}
    assert not plan(unit="jars", about_people=False).protects_people
