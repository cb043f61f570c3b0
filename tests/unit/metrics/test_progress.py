"""What leaves the agency: closed periods, protected figures, editions checked against every edition before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics_examples import Q1, Q2, SITES, TODAY, plan, recorded

from services.metrics import editions
from services.metrics.current import Position, Recorded, current, record
from services.metrics.editions import Edition, Progress, Snapshot
from services.metrics.plans import IndicatorPlan
from services.metrics.progress import Due, due
from services.metrics.results import result

Figures = dict[tuple[str, ...], tuple[str, float | None]]


def seen(value: float | None = None, **changes: Any) -> dict[str, Any]:
    return {"site": None, "value": value} | changes


def run(
    a_plan: IndicatorPlan, *rows: dict[str, Any], history: Sequence[Edition] = (), today: date = TODAY, **more: Any
) -> Due:
    figures = current(record({}, _numbered(a_plan, rows)), lambda _: "wfp", {a_plan.id: a_plan}).figures
    return due(a_plan, figures, today, sites=SITES, history=history, **more)


def _numbered(a_plan: IndicatorPlan, rows: Sequence[dict[str, Any]]) -> list[Recorded]:
    return [recorded(**row | {"id": f"o{n}", "indicator": a_plan.id}) for n, row in enumerate(rows)]


def by_key(progress: Progress) -> Figures:
    return {
        (figure.place, *sorted(figure.disaggregation.values())): (figure.state, figure.value)
        for figure in progress.figures
    }


def test_only_periods_that_are_over_are_published() -> None:
    made = run(plan(), seen(120, period=Q1), seen(130, period=Q2), today=date(2027, 6, 30))
    assert [edition.period.end for edition in made.editions] == [date(2027, 3, 31)]


def test_small_figures_are_withheld_with_what_would_betray_them() -> None:
    (edition,) = run(
        plan(), seen(100), seen(96, disaggregation={"SEX": "F"}), seen(4, disaggregation={"SEX": "M"})
    ).editions
    assert by_key(edition.progress) == {
        ("_T",): ("shown", 100),
        ("_T", "F"): ("withheld", None),
        ("_T", "M"): ("withheld", None),
    }


def test_what_is_published_does_not_carry_what_is_withheld() -> None:
    (edition,) = run(plan(), seen(1234, site="lusaka"), seen(7, site="kasama")).editions
    assert "1241" not in edition.progress.model_dump_json() or "1234" not in edition.progress.model_dump_json()
    for figure in edition.progress.figures:
        if figure.state == "withheld":
            assert set(figure.model_dump(exclude_none=True)) == {"place", "disaggregation", "state"}


def test_sites_and_their_total_cannot_be_subtracted() -> None:
    (edition,) = run(plan(), seen(120, site="lusaka"), seen(130, site="lilongwe"), seen(6, site="kasama")).editions
    states = [state for state, _ in by_key(edition.progress).values()]
    assert states.count("withheld") == 2


def test_nothing_is_published_twice() -> None:
    first = run(plan(), seen(120))
    assert run(plan(), seen(120), history=first.editions).editions == ()


def test_a_correction_of_a_few_people_keeps_the_earlier_figure_and_says_so() -> None:
    first = run(plan(), seen(120))
    second = run(plan(), seen(123), history=first.editions)
    ((figure,),) = [edition.progress.figures for edition in second.editions]
    assert (figure.state, figure.value, figure.since) == ("kept", 120, 1)
    third = run(plan(), seen(180), history=[*first.editions, *second.editions])
    assert by_key(third.editions[0].progress) == {("_T",): ("shown", 180)}
    assert third.editions[0].progress.edition == 3


def test_running_totals_of_two_periods_do_not_betray_the_newcomers() -> None:
    running = plan(measure="people_reached", over_time="latest")
    made = run(running, seen(100, period=Q1), seen(103, period=Q2))
    assert [by_key(edition.progress) for edition in made.editions] == [{("_T",): ("shown", 100)}]
    assert [held.reason for held in made.held_back] == ["too_small"]
    separate = plan(over_time="sum")
    assert len(run(separate, seen(100, period=Q1), seen(103, period=Q2)).editions) == 2


def test_a_share_is_shown_only_if_both_sides_of_it_are_many() -> None:
    share = plan(unit="percent", measure="ratio", target=None)
    for numerator, state in ((50, "shown"), (4, "withheld"), (97, "withheld")):
        parts = {"numerator": numerator, "denominator": 100}
        made = run(share, seen(**parts), seen(site="lusaka", **parts))
        states = {figure.state for edition in made.editions for figure in edition.progress.figures}
        assert states == ({state} if state == "shown" else set()), numerator


def test_an_average_is_shown_with_the_people_behind_it_or_not_at_all() -> None:
    meals = plan(unit="meals", measure="average", target=None)
    (edition,) = run(meals, seen(2.5, sample=40), seen(1, site="lusaka", sample=4), seen(3, site="kasama")).editions
    assert by_key(edition.progress) == {
        ("_T",): ("shown", 2.5),
        ("lusaka",): ("withheld", None),
        ("kasama",): ("withheld", None),
    }


def test_things_are_shown_however_few() -> None:
    hectares = plan(unit="ha", measure="sum", target=None)
    (edition,) = run(hectares, seen(2.5)).editions
    assert by_key(edition.progress) == {("_T",): ("shown", 2.5)}
    assert edition.progress.threshold == 0


def test_restricted_dimensions_and_sensitive_groups_do_not_leave_by_themselves() -> None:
    rows = [
        seen(500),
        seen(80, disaggregation={"ETHNICITY": "A1"}),
        seen(70, site=None, country="ZMB", disaggregation={"TARGET_GROUP": "minorities"}),
    ]
    (edition,) = run(plan(), *rows).editions
    assert by_key(edition.progress) == {("_T",): ("shown", 500)}
    (released,) = run(plan(released_groups=["minorities"]), *rows).editions
    assert by_key(released.progress)[("ZMB", "minorities")] == ("shown", 70)


def test_figures_that_contradict_each_other_wait_for_an_answer() -> None:
    made = run(plan(), seen(100), seen(70, disaggregation={"SEX": "F"}), seen(60, disaggregation={"SEX": "M"}))
    assert made.editions == ()
    assert [held.reason for held in made.held_back] == ["parts_exceed_total"]


def test_a_new_calendar_does_not_cut_published_periods_in_pieces() -> None:
    quarterly = run(plan(), seen(120, period=Q1))
    january = {"start": "2027-01-01", "end": "2027-01-31"}
    made = run(plan(calendar="monthly"), seen(110, period=january), history=quarterly.editions)
    assert [held.reason for held in made.held_back] == ["calendar_changed"]


def test_an_agency_sets_its_own_threshold() -> None:
    assert run(plan(), seen(20), threshold=25).editions == ()
    assert len(run(plan(), seen(20), threshold=3).editions) == 1


def test_other_nodes_read_the_same_result_from_what_is_published() -> None:
    rows = [seen(420, site="lusaka"), seen(30, site="lilongwe")]
    (edition,) = run(plan(), *rows).editions
    at = Position(1, 7, 0, "wfp.metrics")
    known = list(editions.as_recorded(edition.progress, plan(), "wfp", at))
    figures = current(record({}, known), lambda _: "wfp", {"farmers": plan()}).figures
    assert result(plan(), figures, TODAY).value == 450


def test_editions_survive_being_written_down() -> None:
    (edition,) = run(plan(), seen(420, site="lusaka"), seen(3, site="lilongwe")).editions
    assert Progress.model_validate_json(edition.progress.model_dump_json()) == edition.progress
    again = Snapshot.model_validate_json(edition.snapshot.model_dump_json())
    assert editions.version_of(again) == editions.version_of(edition.snapshot)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 150), min_size=1, max_size=6))
def test_two_editions_never_differ_by_a_few_people(totals: list[int]) -> None:
    history: list[Edition] = []
    for total in totals:
        history += run(plan(), seen(total), history=history).editions
    shown = [f.value for e in history for f in e.progress.figures if f.state == "shown" and f.value is not None]
    assert all(value == 0 or value >= 10 for value in shown)
    differences = {abs(one - other) for one in shown for other in shown}
    assert not differences & set(range(1, 10))


@pytest.mark.parametrize("place", ["ZMB", "_T", "lusaka"])
def test_the_place_of_a_published_figure_is_read_back(place: str) -> None:
    where = {"ZMB": {"country": "ZMB"}, "_T": {}, "lusaka": {"site": "lusaka"}}[place]
    (edition,) = run(plan(), seen(420, **where)).editions
    places = {each.observation.place for each in editions.as_recorded(
        edition.progress, plan(), "wfp", Position(1, 1, 0, "wfp.metrics"))}  # fmt: skip
    assert place in places
