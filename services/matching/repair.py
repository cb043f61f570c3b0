"""One pilot's team with as few members changed as possible: what a decline asks for.

The best team is found freely; then the largest set of the former members is looked for with which the best team
still covers as many essential needs. Former teams have at most a handful of partners, so all sets are tried.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from itertools import combinations

from services.matching.candidates import Index
from services.matching.explain import sentences_of
from services.matching.instance import mask_of
from services.matching.model import Pilot, Usage, World
from services.matching.plan import Plan, plan_of, read_back
from services.matching.solver import Solution
from services.matching.team import Matching
from services.matching.weights import Rules

WORK = 2_000
MOST_TRIED = 7


class Repair(Matching):
    """A matching that keeps `kept` as far as the pilot does not lose an essential need by it."""

    def __init__(
        self, pilot: Pilot, index: Index, world: World, rules: Rules, usage: Usage, kept: Iterable[str] = ()
    ) -> None:
        super().__init__(pilot, index, world, rules, usage)
        self.kept = tuple(kept)

    @cached_property
    def plan(self) -> Plan:
        free = plan_of(self.problem, self.solver)
        known = [one for one in self.kept if one in self.problem.agencies and one not in self.problem.base]
        known = known[:MOST_TRIED]
        if not free.permitted or set(known) <= set(free.team):
            return free
        for size in range(len(known), 0, -1):
            plans = [plan for some in combinations(known, size) if (plan := self._with(some)) is not None]
            plans = [plan for plan in plans if plan.essential_covered >= free.essential_covered]
            if plans:
                return max(plans, key=lambda plan: (plan.scaled, [-ord(c) for c in ",".join(plan.team)]))
        return free

    @cached_property
    def sentences(self) -> dict[str, list[str]]:
        said = self.proposal
        return sentences_of(self.problem, self.plan, said.uncovered, said.weakest_point, said.priority, said.status)

    def _with(self, members: Iterable[str]) -> Plan | None:
        must = mask_of(self.problem.agencies.index(one) for one in members)
        solution = self.solver.solve(must=must, work_limit=WORK)
        if not isinstance(solution, Solution):
            return None
        return read_back(self.problem, solution.team, solution.picks, solution)
