"""Priority goes to those furthest behind, and says what it rests on."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from services.matching.model import World
from services.matching.priority import Priority, priority
from services.matching.records import pilot_of
from services.matching.reference import world_on
from services.matching.weights import Rules

from .scenes import PLACES, WORLD, pilot


def of(world: World = WORLD, rules: Rules | None = None, **record: Any) -> Priority:
    return priority(pilot_of(pilot(**record)), world, rules or Rules())


def people(country: str, count: int | None, *, method: str = "", poor: int | None = None) -> dict[str, Any]:
    planned = {"direct": count, "extreme_poverty": poor, "method": {"en": method} if method else None}
    return {"id": f"s-{country.lower()}", "country": country, "people": {"planned": planned}}


EVERY_BOX = {
    "target_groups": [
        *("extreme_poverty", "women", "girls", "children", "youth", "older_persons", "persons_with_disabilities"),
        *("refugees", "stateless", "migrants", "rural", "unconnected", "crisis_affected"),
    ],
    "group_actions": [
        {"group": group, "activity": "a course", "indicator": "people trained, by group"}
        for group in ("women", "girls", "children", "youth", "refugees", "rural")
    ],
    "people_reached": 5_000_000,
}


@pytest.mark.parametrize("world", [WORLD, world_on(date(2026, 11, 22))], ids=["small world", "vocabulary"])
def test_a_singapore_pilot_with_every_box_ticked_ranks_below_400_documented_people_in_niger(world: World) -> None:
    everything_declared = [people("SGP", 5_000_000, method="our own estimate", poor=5_000_000)]
    singapore = of(world, sites=everything_declared, countries=["SGP"], **EVERY_BOX)
    niger = of(world, sites=[people("NER", 400, method="household list")], countries=["NER"])
    assert singapore.score < niger.score
    assert singapore.without_declarations < niger.without_declarations
    assert niger.score == niger.without_declarations
    assert singapore.score <= 0.2


def test_in_high_income_places_the_first_two_parts_are_zero() -> None:
    parts = {part.code: part.points for part in of(countries=["SGP"], people_reached=10_000).parts}
    assert parts["bottom_billion"] == 0
    assert parts["para_9f"] == 0


def test_the_share_of_poor_people_weighs_more_than_their_number() -> None:
    few_poor = of(sites=[people("NER", 1_000, method="list")])
    many_less_poor = of(
        sites=[people("ZMB", 1_000_000, method="list")], rules=replace(Rules(), para_9f=0, bottom_billion=80)
    )
    assert few_poor.score > many_less_poor.score


def test_more_people_count_more_by_their_logarithm() -> None:
    hundred, thousand, million, more = (
        of(sites=[people("ZMB", count, method="list")]).parts[0].points for count in (100, 1_000, 2_000_000, 8_000_000)
    )
    assert hundred < thousand < million
    assert million == more  # the reference is reached
    assert 60 * 0.5 / 2 < hundred < million == 60 * 0.5


def test_a_pilots_own_poverty_count_needs_a_method_and_is_marked_declared() -> None:
    without = of(sites=[people("ZMB", 100, poor=100)])
    with_method = of(sites=[people("ZMB", 100, poor=100, method="survey of 2026")])
    assert without.parts[0].points < with_method.parts[0].points
    assert with_method.parts[0].basis == "declared"
    official = of(sites=[people("ZMB", 100, method="survey of 2026")])
    assert with_method.without_declarations == official.score


def test_people_whom_nobody_says_how_they_were_counted_do_not_count_without_declarations() -> None:
    declared = of(people_reached=500_000)
    assert declared.parts[0].basis == "declared"
    assert declared.without_declarations < declared.score
    assert declared.without_declarations == of().score


def test_not_knowing_how_many_is_not_reaching_nobody() -> None:
    unknown = of(sites=[people("ZMB", None)]).parts[0]
    assert unknown.points == 60 * 0.5 / 2
    assert "people_unknown" in [reason["code"] for reason in unknown.reasons]


def test_without_a_figure_the_income_class_is_taken_and_said() -> None:
    part = of(countries=["SOM"]).parts[0]
    assert part.basis == "income_class"
    assert part.points == pytest.approx(60 * 0.4 / 2)
    assert part.reasons[0]["code"] == "poverty_by_income_class"
    nothing = of(countries=["VEN"]).parts[0]
    assert (nothing.points, nothing.basis, nothing.reasons[0]["code"]) == (0, "none", "poverty_unknown")


def test_a_poverty_figure_names_its_year_line_and_source() -> None:
    reason = of(countries=["NER"]).parts[0].reasons[0]
    assert reason["text"]["en"] == "In Niger 60% of people live on less than 3.00 dollars a day (survey year 2021)."
    assert (reason["source"], reason["price_base"]) == ("a source", "2021 PPP")


def test_groups_count_with_an_activity_and_an_indicator_at_most_three_and_poverty_not_again() -> None:
    def groups(*backed: Any, named: tuple[Any, ...] = ()) -> float:
        actions = [{"group": group, "activity": "x", "indicator": "y"} for group in backed]
        return of(target_groups=[*backed, *named], group_actions=actions).parts[2].points

    assert groups() == 0
    assert groups(named=("women", "rural")) == 0
    assert groups("women") == pytest.approx(20 / 3)
    assert groups("women", "rural", "youth") == groups("women", "rural", "youth", "refugees") == 20
    assert groups("extreme_poverty") == 0
    assert groups(["rural", "women", "persons_with_disabilities"]) == pytest.approx(20 / 3)
    half = of(target_groups=["women"], group_actions=[{"group": "women", "activity": "x"}]).parts[2]
    assert half.points == 0


def test_sites_weigh_by_their_people() -> None:
    mostly_niger = of(sites=[people("NER", 900, method="list"), people("SGP", 100, method="list")])
    assert mostly_niger.parts[1].points == pytest.approx(18)
    evenly = of(countries=["NER", "SGP"])
    assert evenly.parts[1].points == pytest.approx(10)


def test_the_order_of_sites_and_groups_does_not_matter() -> None:
    sites = [people("NER", 900, method="list"), people("SGP", 100), people("ZMB", 333)]
    one = of(sites=sites, target_groups=["women", "rural"])
    other = of(sites=sites[::-1], target_groups=["rural", "women"])
    assert one == other


def test_a_group_under_review_is_counted_and_said() -> None:
    nepal = replace(PLACES["NER"], unsettled=frozenset({"ldc"}))
    world = replace(WORLD, places={"NER": nepal})
    part = of(world, countries=["NER"]).parts[1]
    assert part.points == 20
    assert part.reasons[0]["code"] == "country_group_unsettled"
