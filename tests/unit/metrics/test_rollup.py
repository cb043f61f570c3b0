"""Roll-ups are set from their children, count people once, and never claim to move a country's indicator."""

from __future__ import annotations

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st
from metrics_examples import SITES, TODAY, plan, recorded

from services.metrics.current import current, record
from services.metrics.reach import Bounds, SiteReach
from services.metrics.results import Result, result
from services.metrics.rollup import PilotRow, Row, Source, choose, goals_of, of_pilot, per_country, per_goal


def a_result(pilot: str, value: int | None) -> Result:
    a_plan = plan(id=f"{pilot}-1", pilot=pilot, evidence={"design": "before_after"})
    rows = [] if value is None else [recorded(indicator=a_plan.id, pilot=pilot, value=value)]
    figures = current(record({}, rows), lambda _: "wfp", {a_plan.id: a_plan}).figures
    return result(a_plan, figures, TODAY, SITES)


def a_row(
    pilot: str, value: int | None = 500, agency: str = "wfp", source: Source = "private", **sites: int
) -> PilotRow:
    return PilotRow(
        pilot=pilot,
        agency=agency,
        source=source,
        countries=frozenset(sites),
        results=(a_result(pilot, value),),
        goals={f"{pilot}-1": goals_of(["2.3", "13.1.1"])},
        reach=tuple(SiteReach(pilot, f"{pilot}-{country}", country, direct=n) for country, n in sites.items()),
    )


def test_a_pilot_shows_its_counts_evidence_and_reach() -> None:
    row = of_pilot(a_row("crop-loss", ZMB=300, MWI=200))
    assert row.statuses == {"on_track": 1, "ahead": 0, "behind": 0, "no_data": 0}
    assert row.evidence["moderate"] == 1
    assert row.reach["direct"] == Bounds(300, 500)
    assert row.reach["indirect"] == Bounds(unknown=2)


def test_a_goal_counts_the_indicators_that_contribute_to_it() -> None:
    rows = [a_row("a", 500, ZMB=300), a_row("b", 10, ZMB=200), a_row("c", None, MWI=40)]
    goals = per_goal(rows)
    assert list(goals) == ["2", "13"]
    assert goals["2"].statuses == {"on_track": 1, "ahead": 0, "behind": 1, "no_data": 1}
    assert goals["2"].reach["direct"] == Bounds(300, 540)


def test_a_country_counts_the_reach_at_its_own_sites() -> None:
    countries = per_country([a_row("a", ZMB=300, MWI=5), a_row("b", ZMB=200)])
    assert countries["ZMB"].reach["direct"] == Bounds(300, 500)
    assert countries["MWI"].reach["direct"] == Bounds(5, 5)
    assert countries["MWI"].pilots == ("a",)


def test_shared_reach_counts_once_at_the_goal() -> None:
    rows = [a_row("a", ZMB=300), a_row("b", ZMB=200)]
    assert per_goal(rows, {frozenset("ab")})["2"].reach["direct"] == Bounds(300, 300)


def test_private_figures_for_hosted_agencies_and_published_ones_for_others_never_both() -> None:
    private = {"a": a_row("a"), "b": a_row("b", agency="fao")}
    published = {"a": a_row("a", source="published"), "b": a_row("b", agency="fao", source="published")}
    chosen = choose(private, published, hosted={"wfp"})
    assert [(row.pilot, row.source) for row in chosen] == [("a", "private"), ("b", "published")]
    assert per_goal(chosen)["2"].sources == {"private": 1, "published": 1}


def test_a_pilot_never_moves_a_national_indicator() -> None:
    """Three hundred farmers do not move 2.3.1: a roll-up has nowhere to put a value of an official indicator."""
    assert {field.name for field in fields(Row)} == {"pilots", "leads", "statuses", "evidence", "reach", "sources"}
    assert all("." not in goal for goal in per_goal([a_row("a", ZMB=300)]))


@given(st.permutations([("a", 500), ("b", 10), ("c", None)]))
def test_rows_are_set_from_their_children_in_any_order(children: list[tuple[str, int | None]]) -> None:
    rows = [a_row(pilot, value, ZMB=100) for pilot, value in children]
    assert per_goal(rows) == per_goal(reversed(rows)) == per_goal([*rows])
    assert per_country(rows)["ZMB"].pilots == ("a", "b", "c")
