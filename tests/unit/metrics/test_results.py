"""Results against the plan: value now, expected by now, status, and how much the evidence carries."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from metrics_examples import Q1, Q2, SITES, TODAY, plan, recorded

from services.metrics.current import Recorded, current, record
from services.metrics.plans import IndicatorPlan
from services.metrics.results import Result, expected_on, result


def of(a_plan: IndicatorPlan, *rows: Recorded, today: date = TODAY) -> Result:
    rows = tuple(
        recorded(**{**each.observation.model_dump(exclude_unset=True), "id": f"o{n}"}) for n, each in enumerate(rows)
    )
    found = current(record({}, rows), lambda _: "wfp", {a_plan.id: a_plan})
    return result(a_plan, found.figures, today, SITES)


def seen(value: float | None = None, **changes: Any) -> Recorded:
    return recorded(**({"value": value} | changes))


def test_the_line_from_baseline_to_target_says_what_is_expected() -> None:
    a_plan = plan(baseline={"value": 100, "on": "2027-01-01"}, target={"value": 465, "on": "2028-01-01"})
    assert expected_on(a_plan, date(2027, 1, 1)) == 100
    assert expected_on(a_plan, date(2027, 4, 11)) == 200
    assert expected_on(a_plan, date(2030, 1, 1)) == 465
    assert expected_on(a_plan, date(2020, 1, 1)) == 100


@pytest.mark.parametrize(
    ("value", "status"), [(100, "behind"), (380, "behind"), (420, "on_track"), (590, "on_track"), (700, "ahead")]
)
def test_on_track_is_within_a_tenth_of_the_planned_change(value: int, status: str) -> None:
    found = of(plan(), seen(value))
    assert found.expected == pytest.approx(1000 * 181 / 365)
    assert found.expected_on == date(2027, 6, 30)
    assert found.status == status


def test_where_less_is_better_a_low_value_is_ahead() -> None:
    waste = plan(
        unit="t", measure="latest", direction="down",
        baseline={"value": 100, "on": "2026-12-31"}, target={"value": 20, "on": "2027-12-31"},
    )  # fmt: skip
    assert of(waste, seen(30)).status == "ahead"
    assert of(waste, seen(95)).status == "behind"


def test_no_figure_and_no_target_are_said_and_are_not_zero() -> None:
    silent = of(plan())
    assert (silent.status, silent.value, silent.evidence) == ("no_data", None, "none")
    assert of(plan(target=None), seen(4)).why == "the plan has no target"


def test_counts_add_up_over_sites_and_periods() -> None:
    found = of(plan(), seen(10, period=Q1), seen(20, period=Q2), seen(5, site="kasama", period=Q2))
    assert found.value == 35


def test_the_figure_of_the_whole_pilot_takes_the_place_of_its_sites() -> None:
    found = of(plan(), seen(100, site=None), seen(60), seen(70, site="kasama"), seen(7, period=Q1))
    assert found.value == 107


def test_a_country_takes_the_place_of_its_sites_only() -> None:
    found = of(plan(), seen(100, site=None, country="ZMB"), seen(60), seen(3, site="lilongwe"))
    assert found.value == 103


def test_a_ratio_is_computed_again_and_never_averaged() -> None:
    share = plan(unit="percent", measure="ratio", target={"value": 60, "on": "2027-12-31"})
    found = of(
        share,
        seen(numerator=1, denominator=10, site="lusaka"),
        seen(numerator=90, denominator=100, site="kasama"),
    )
    assert found.value == pytest.approx(100 * 91 / 110)


def test_an_average_is_weighted_by_the_people_asked() -> None:
    meals = plan(unit="meals", measure="average", target={"value": 3, "on": "2027-12-31"})
    found = of(meals, seen(1, sample=300), seen(3, sample=100, site="kasama"))
    assert found.value == 1.5
    assert found.sample == 400


def test_of_running_totals_the_latest_of_each_site_counts() -> None:
    running = plan(measure="latest", over_places="sum")
    found = of(running, seen(10, period=Q1), seen(12, period=Q2), seen(5, site="kasama", period=Q1))
    assert found.value == 17


def test_an_older_whole_gives_way_when_all_of_its_sites_are_newer() -> None:
    running = plan(measure="latest", over_places="sum")
    whole = seen(100, site=None, period=Q1)
    newer = [seen(40, site=site, period=Q2) for site in SITES]
    assert of(running, whole, *newer[:2]).value == 100
    assert of(running, whole, *newer).value == 120


def test_people_reached_are_at_least_the_largest_and_at_most_the_sum() -> None:
    reach = plan(measure="people_reached")
    found = of(reach, seen(300), seen(200, site="kasama"), seen(250, period=Q1))
    assert (found.value, found.low, found.high) == (300, 300, 750)
    apart = plan(measure="people_reached", places_apart=True)
    assert of(apart, seen(300), seen(200, site="kasama")).low == 500


def test_a_complete_breakdown_stands_for_its_missing_total() -> None:
    women, men = seen(30, disaggregation={"SEX": "F"}), seen(12, disaggregation={"SEX": "M"})
    assert of(plan(), women, men).value == 42
    assert of(plan(), women).value is None


def test_overlapping_target_groups_are_never_added_up() -> None:
    groups = ("extreme_poverty", "refugees", "unconnected")
    assert of(plan(), *[seen(9, disaggregation={"TARGET_GROUP": g}) for g in groups]).value is None


@pytest.mark.parametrize(
    ("design", "basis", "level"),
    [
        ("comparison", "measured", "strong"),
        ("comparison", "reported", "moderate"),
        ("before_after", "measured", "moderate"),
        ("none", "measured", "limited"),
        ("none", "estimated", "weak"),
        ("comparison", "modelled", "weak"),
    ],
)
def test_evidence_is_as_strong_as_its_design_and_its_data(design: str, basis: str, level: str) -> None:
    assert of(plan(evidence={"design": design}), seen(5, basis=basis)).evidence == level


def test_a_smaller_sample_than_planned_weakens_the_evidence() -> None:
    sampled = plan(evidence={"design": "comparison", "sample": 400})
    assert of(sampled, seen(5, sample=400)).evidence == "strong"
    assert of(sampled, seen(5, sample=80)).evidence == "moderate"


def test_expected_breakdowns_that_are_missing_show_and_reasons_are_taken() -> None:
    found = of(plan(), seen(5), seen(3, disaggregation={"SEX": "F"}),
               seen(4, site="kasama", not_collected=[{"dimension": "AGE", "reason": "cost"}]))  # fmt: skip
    assert found.missing == ("DISABILITY_STATUS", "TARGET_GROUP")


def test_periods_without_a_figure_are_named() -> None:
    assert of(plan(), seen(5, period=Q2)).periods_without == ("2027-Q1",)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=5))
def test_a_ratio_lies_between_the_ratios_it_is_made_of(parts: list[tuple[int, int]]) -> None:
    rate = plan(unit="messages per alert", measure="ratio", over_time="ratio", target=None)
    rows = [
        seen(numerator=n, denominator=d, period={"start": f"2027-01-{day:02}", "end": f"2027-01-{day:02}"})
        for day, (n, d) in enumerate(parts, start=1)
    ]
    value = of(rate, *rows).value
    assert value is not None
    assert min(n / d for n, d in parts) - 1e-9 <= value <= max(n / d for n, d in parts) + 1e-9
