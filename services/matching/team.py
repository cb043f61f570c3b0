"""The best team for one pilot, with what it leaves open, its alternatives and its reasons: matching's front door."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from services.matching.alternatives import alternatives_of
from services.matching.candidates import Index
from services.matching.explain import four_sentences, notes_of, reasons_of
from services.matching.gaps import uncovered_needs
from services.matching.model import Pilot, Usage, World
from services.matching.outcome import BoundSaid, Member, Proposal, Status
from services.matching.plan import Plan, plan_of
from services.matching.priority import Priority, priority
from services.matching.problem import Problem, problem_of
from services.matching.solver import Solution, Solver
from services.matching.weakest import weakest_point
from services.matching.weights import POINT, Rules
from services.matching.why_not import WhyNot, why_not

__all__ = ["Matching", "propose"]


@dataclass
class Matching:
    """One pilot's matching: the proposal, and answers about it. Nothing is computed before it is asked for."""

    pilot: Pilot
    index: Index
    world: World
    rules: Rules
    usage: Usage

    @cached_property
    def priority(self) -> Priority:
        return priority(self.pilot, self.world, self.rules)

    @cached_property
    def problem(self) -> Problem:
        return problem_of(self.pilot, self.index, self.world, self.rules, self.usage, self.priority.score)

    @cached_property
    def solver(self) -> Solver:
        return Solver(self.problem.instance)

    @cached_property
    def plan(self) -> Plan:
        return plan_of(self.problem, self.solver)

    @cached_property
    def proposal(self) -> Proposal:
        problem, plan = self.problem, self.plan
        status: Status = "proposed" if plan.permitted else "no_meaningful_partner"
        if not problem.needs:
            status = "nothing_to_match"
        uncovered = uncovered_needs(problem, plan)
        weakest = weakest_point(problem, plan, uncovered, status)
        return Proposal(
            pilot=self.pilot.id,
            status=status,
            team=tuple(self._member(agency) for agency in plan.team),
            uncovered=uncovered,
            already_met=tuple(need.id for need in self.pilot.needs if need.already_met),
            coverage=plan.coverage,
            essential_covered=plan.essential_covered,
            essential_total=sum(need.essential for need in problem.needs),
            priority=self.priority,
            weakest_point=weakest,
            sentences=four_sentences(problem, plan, uncovered, weakest, self.priority, status),
            alternatives=alternatives_of(problem, plan, self.solver) if status == "proposed" else (),
            bound=self._bound(),
            notes=notes_of(problem, plan),
            rules=self.rules.version,
        )

    def why_not(self, agency: str) -> WhyNot:
        """Why an agency is not in the team: the exact rule, or the better candidate."""
        return why_not(self.problem, self.plan, self.solver, agency)

    def _member(self, agency: str) -> Member:
        lead = agency == self.pilot.lead
        fixed = not lead and agency in self.problem.base
        return Member(
            agency,
            "lead" if lead else "partner",
            self.plan.covers_of(agency),
            reasons_of(self.problem, self.plan, agency),
            fixed,
        )

    def _bound(self) -> BoundSaid:
        instance, solution = self.problem.instance, self.plan.solution
        scaled = solution.scaled if isinstance(solution, Solution) else self.plan.scaled
        essential, points = instance.points(scaled)
        essential_bound, points_bound = essential, points
        if isinstance(solution, Solution):
            essential_bound, points_bound = instance.points(solution.bound)
        return BoundSaid(
            points / POINT, points_bound / POINT, essential, essential_bound, solution.proven, solution.work
        )


def propose(pilot: Pilot, index: Index, world: World, rules: Rules, usage: Usage) -> Proposal:
    """The proposal for one pilot. Depends on the values given and nothing else, in no order of theirs."""
    return Matching(pilot, index, world, rules, usage).proposal
