"""Uploads of observations: everything wrong is said of every row, and nothing is half taken."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from metrics_examples import Q1, Q2, known, plan, row

from services.metrics.observations import Known, read_observations
from shared.problems import Invalid


def faults(*rows: Any, checked: Known | None = None) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as refusal:
        read_observations(rows, checked or known())
    return [(fault.field, fault.code) for fault in refusal.value.faults]


def notices(*rows: Any, checked: Known | None = None) -> list[tuple[str, str]]:
    accepted = read_observations(rows, checked or known())
    assert len(accepted.observations) == len(rows)
    return [(notice.field, notice.code) for notice in accepted.notices]


def test_a_good_row_is_taken_as_it_was_posted() -> None:
    posted = row(disaggregation={"SEX": "F", "AGE": "_T"}, device={"serial": "A-7"})
    (observation,) = read_observations([posted], known()).observations
    assert observation.model_dump(mode="json", exclude_unset=True) == posted
    assert observation.key.breakdown == (("SEX", "F"),)
    assert observation.place == "lusaka"


def test_each_row_has_its_own_paths() -> None:
    rows = [row(id=f"o{n}", site=None, value=n, disaggregation={"AGE": f"Y{n}"}) for n in range(20)]
    rows[17] |= {"disaggregation": {"SEX": "X"}}
    assert faults(*rows) == [("[17].disaggregation.SEX", "unknown_code")]


def test_faults_of_shape_do_not_hide_faults_between_fields() -> None:
    bad = {
        "indicator": "farmers",
        "pilot": "another",
        "site": "nowhere",
        "country": "ZZZ",
        "period": {"start": "2027-06-30", "end": "2027-04-01"},
        "value": -3,
        "unit": "households",
        "disaggregation": {"RELIGION": "A", "SHOE_SIZE": "44"},
        "basis": "guessed",
    }
    assert faults(row(id="fine"), bad, "not a row") == [
        ("[1].basis", "unknown_code"),
        ("[1].country", "unknown_place"),
        ("[1].disaggregation.RELIGION", "restricted_dimension"),
        ("[1].disaggregation.SHOE_SIZE", "unknown_dimension"),
        ("[1].id", "missing"),
        ("[1].period.end", "impossible_date"),
        ("[1].pilot", "unknown_pilot"),
        ("[1].site", "unknown_site"),
        ("[1].unit", "wrong_unit"),
        ("[1].value", "negative_people"),
        ("[2]", "wrong_type"),
    ]


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"period": {"start": "2027-02-30", "end": "2027-06-30"}}, "period.start", "impossible_date"),
        ({"period": {"start": "1027-02-01", "end": "2027-06-30"}}, "period.start", "impossible_date"),
        ({"period": {"start": 20270401, "end": "2027-06-30"}}, "period.start", "wrong_type"),
        ({"period": {"start": "2027-07-01", "end": "2027-09-30"}}, "period.end", "impossible_date"),
        ({"value": True}, "value", "wrong_type"),
        ({"value": "12"}, "value", "wrong_type"),
        ({"value": float("nan")}, "value", "out_of_range"),
        ({"value": None}, "value", "missing"),
        ({"value": 12.5}, "value", "part_of_a_person"),
        ({"numerator": 1, "denominator": 2}, "denominator", "contradiction"),
        ({"indicator": "unheard"}, "indicator", "unknown_indicator"),
        ({"country": "MWI"}, "country", "contradiction"),
        ({"sample": -1}, "sample", "out_of_range"),
        ({"disaggregation": {"AGE": "young"}}, "disaggregation.AGE", "unknown_code"),
        ({"disaggregation": {"AGE": "Y24T15"}}, "disaggregation.AGE", "unknown_code"),
        ({"disaggregation": {"TARGET_GROUP": "rural+elves"}}, "disaggregation.TARGET_GROUP", "unknown_code"),
        ({"disaggregation": {"TARGET_GROUP": "minorities"}}, "disaggregation.TARGET_GROUP", "sensitive_group"),
        (
            {"disaggregation": {"SEX": "F"}, "not_collected": [{"dimension": "SEX", "reason": "unsafe"}]},
            "not_collected[0].dimension",
            "contradiction",
        ),
        ({"not_collected": [{"dimension": "AGE", "reason": "lazy"}]}, "not_collected[0].reason", "unknown_code"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any], field: str, code: str) -> None:
    assert (f"[0].{field}", code) in faults(row(**change))


def test_a_forecast_may_be_about_the_future() -> None:
    assert notices(row(basis="modelled", period={"start": "2027-07-01", "end": "2027-09-30"})) == []


def test_a_share_cannot_exceed_its_whole_and_a_ratio_of_things_can() -> None:
    share = plan(unit="percent", measure="ratio", target=None)
    beyond = row(value=None, numerator=12, denominator=10)
    assert faults(beyond, checked=known(share)) == [("[0].numerator", "more_than_whole")]
    per_vehicle = plan(unit="t per vehicle", measure="ratio", target=None)
    assert notices(beyond, checked=known(per_vehicle)) == []
    assert faults(row(value=None, numerator=1, denominator=0), checked=known(share))[0] == (
        "[0].denominator",
        "out_of_range",
    )


def test_a_restricted_dimension_is_taken_at_the_site_that_the_assessment_names() -> None:
    allowed = known(allowed={("crop-loss", "lusaka"): {"ETHNICITY"}})
    by_ethnicity = {"disaggregation": {"ETHNICITY": "A1"}}
    assert notices(row(**by_ethnicity), checked=allowed) == []
    assert faults(row(site="kasama", **by_ethnicity), checked=allowed) == [
        ("[0].disaggregation.ETHNICITY", "restricted_dimension")
    ]


def test_a_sensitive_group_is_taken_for_a_country_only() -> None:
    of_country = row(site=None, country="ZMB", disaggregation={"TARGET_GROUP": "minorities"})
    assert notices(of_country) == []


def test_a_group_that_is_a_sex_and_an_age_has_one_spelling() -> None:
    rows = [
        row(disaggregation={"TARGET_GROUP": "women"}),
        row(id="o2", disaggregation={"SEX": "F", "AGE": "Y_GE18"}),
    ]
    assert faults(*rows) == [("[1]", "repeated_row")]


def test_the_same_figure_twice_in_one_upload_is_refused() -> None:
    assert faults(row(), row(period=Q1)) == [("[1].id", "repeated_row")]
    assert faults(row(), row(id="o2")) == [("[1]", "repeated_row")]


def test_a_correction_names_an_observation_of_this_agency() -> None:
    checked = known(earlier={"old"})
    assert notices(row(supersedes="old"), checked=checked) == []
    assert faults(row(supersedes="older"), checked=checked) == [("[0].supersedes", "unknown_observation")]


def test_odd_things_are_taken_with_a_notice() -> None:
    assert notices(row(period={"start": Q1["start"], "end": Q2["end"]})) == [("[0].period", "spans_periods")]
    average = plan(unit="meals a day", measure="average", target=None)
    assert notices(row(), checked=known(average)) == [("[0].sample", "not_publishable")]


def test_the_day_of_the_period_is_a_day() -> None:
    (observation,) = read_observations([row()], known()).observations
    assert observation.period.start == date(2027, 4, 1)
