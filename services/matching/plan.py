"""A solved team read back in words of the problem: who covers which need with what."""

from __future__ import annotations

from dataclasses import dataclass

from services.matching.allocation import Pick
from services.matching.candidates import Suit, capacity_asked
from services.matching.instance import members_of
from services.matching.model import Offered
from services.matching.outcome import Cover
from services.matching.problem import Problem
from services.matching.solver import Solution, Solver, Unsolved


@dataclass(frozen=True)
class Plan:
    """`team` has the lead first, then the others by slug. `permitted` is false where no team satisfies the rules:
    then it is what lead and fixed members cover by themselves. `units` are thousandths per need."""

    permitted: bool
    team: tuple[str, ...]
    covers: tuple[tuple[str, Cover], ...]
    units: tuple[int, ...]
    coverage: float
    essential_covered: int
    scaled: int
    solution: Solution | Unsolved

    def covers_of(self, agency: str) -> tuple[Cover, ...]:
        return tuple(cover for one, cover in self.covers if one == agency)

    def covering(self, need: str) -> tuple[tuple[str, Cover], ...]:
        return tuple((agency, cover) for agency, cover in self.covers if cover.need == need)


def plan_of(problem: Problem, solver: Solver) -> Plan:
    solution = solver.solve()
    if isinstance(solution, Solution):
        return read_back(problem, solution.team, solution.picks, solution)
    alone = solver.base_alone()
    return read_back(problem, problem.instance.base, alone.picks, solution, scaled=alone.scaled)


def read_back(
    problem: Problem, team: int, picks: tuple[Pick, ...], solution: Solution | Unsolved, *, scaled: int | None = None
) -> Plan:
    instance = problem.instance
    lead = problem.pilot.lead
    members = sorted((instance.agencies[one] for one in members_of(team)), key=lambda slug: (slug != lead, slug))
    covers = tuple(_cover(problem, pick) for pick in picks)
    units = [0] * len(problem.needs)
    for pick in picks:
        units[pick.need] += pick.units
    weights = [problem.need_weight(need) for need in problem.needs]
    shares = [covered / demand.quantity for covered, demand in zip(units, instance.demands, strict=True)]
    return Plan(
        permitted=isinstance(solution, Solution),
        team=tuple(members),
        covers=tuple(sorted(covers, key=lambda one: (one[1].need, one[0], one[1].capability))),
        units=tuple(units),
        coverage=sum(w * s for w, s in zip(weights, shares, strict=True)) / sum(weights) if weights else 1.0,
        essential_covered=sum(
            need.essential and covered == demand.quantity
            for need, covered, demand in zip(problem.needs, units, instance.demands, strict=True)
        ),
        scaled=solution.scaled if isinstance(solution, Solution) else (scaled or 0),
        solution=solution,
    )


def _cover(problem: Problem, pick: Pick) -> tuple[str, Cover]:
    need = problem.needs[pick.need]
    offer = problem.instance.demands[pick.need].offers[pick.offer]
    suit = suit_of(problem, pick.need, problem.capabilities[offer.capability])
    quantity = capacity_asked(need, problem.world.code(need.code).kind)
    return problem.instance.agencies[offer.agency], Cover(
        need.id,
        suit.capability.id,
        pick.units,
        pick.units / quantity,
        suit.fit,
        suit.confidence,
        suit.factors,
    )


def suit_of(problem: Problem, need: int, capability: Offered) -> Suit:
    return next(suit for suit in problem.suits[need] if suit.capability.key == capability)
