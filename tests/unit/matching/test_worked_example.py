"""The example that docs/matching.md computes by hand comes out of the code to the last digit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.matching.model import PlaceFacts, PovertyFacts
from services.matching.solver import Solution
from services.matching.team import Matching

from .scenes import TODAY, WORLD, match, need, offer, pilot

PAGE = (Path(__file__).parents[3] / "docs" / "matching.md").read_text("utf-8")
EXAMPLE = PAGE[PAGE.index("## 6. A worked example") :]

PLACE = PlaceFacts("ZMB", "low", {}, frozenset({"ldc"}), poverty=PovertyFacts(0.5, 2022, 3.0, "2021 PPP", "example"))


def example() -> Matching:
    people = {"direct": 1998, "method": {"en": "household list"}}
    record: dict[str, Any] = pilot(
        [
            need("n1", essential=True),
            need("n2", "human.field_staff", quantity=2, essential=True),
            need("n3", "human.gender_expertise"),
        ],
        sites=[{"id": "s1", "country": "ZMB", "people": {"planned": people}}],
        target_groups=[["rural", "women"]],
        group_actions=[{"group": ["women", "rural"], "activity": "a course", "indicator": "women reached"}],
    )
    offers = [
        offer("wfp", "human.field_staff", units=1),
        offer("fao"),
        offer("fao", "human.field_staff", units=1),
        offer("unicef", "human.field_staff", units=2, countries=[], confirmed_on="2026-12-01", cost="recover_cost"),
        offer("un-women", "human.gender_expertise", units=1, countries=[], confirmed_on=None),
    ]
    assert TODAY.isoformat() == "2027-01-15"
    return match(record, offers, world=replace(WORLD, places={"ZMB": PLACE}))


def stands(number: str) -> bool:
    return number in EXAMPLE


def test_its_priority() -> None:
    found = example().priority
    assert [round(part.points, 2) for part in found.parts] == [22.5, 20, 6.67]
    assert found.score == 0.491667
    assert example().problem.weight == pytest.approx(0.593333, abs=1e-6)
    assert all(stands(number) for number in ("22.5", "6.67", "0.491667", "0.593333"))


def test_its_worths_and_fits() -> None:
    problem = example().problem
    assert [demand.worth for demand in problem.instance.demands] == [237_333, 237_333, 118_667]
    fits = {suit.capability.agency: suit.fit for suits in problem.suits for suit in suits}
    assert fits == {"wfp": 1000, "fao": 1000, "unicef": 737, "un-women": 680}
    assert all(stands(number) for number in ("0.237333", "0.118667", "0.737", "0.680"))


@pytest.mark.parametrize(
    ("partners", "essential", "objective"),
    [
        (("fao",), 2, "0.454666"),
        (("fao", "un-women"), 2, "0.515360"),
        (("fao", "un-women", "unicef"), 2, "0.464150"),
        (("un-women", "unicef"), 1, "0.246817"),
    ],
)
def test_the_objective_of_each_team_in_its_table(partners: tuple[str, ...], essential: int, objective: str) -> None:
    one = example()
    number = {agency: 1 << at for at, agency in enumerate(one.problem.agencies)}
    must = sum(number[agency] for agency in partners)
    without = sum(bit for agency, bit in number.items() if agency not in (*partners, "wfp"))
    found = one.solver.solve(must=must, without=without)
    assert isinstance(found, Solution)
    covered, points = one.problem.instance.points(found.scaled)
    assert covered == essential
    assert f"{points / 1e6:.6f}" == objective
    assert stands(objective)


def test_its_proposal() -> None:
    one = example()
    assert one.proposal.partners == ("fao", "un-women")
    assert one.proposal.coverage == 1
    assert one.proposal.bound.proven
    assert f"{one.proposal.bound.objective:.6f}" == "0.515360"
    assert one.proposal.weakest_point.code == "to_be_asked"
    answer = one.why_not("unicef")
    assert answer.rule == "better_team_without"
    assert answer.objective is not None
    assert f"{answer.objective:.6f}" == "0.464150"
