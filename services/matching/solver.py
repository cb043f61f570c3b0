"""The best team for one pilot, exactly: branch and bound over sets of partners (docs/matching.md, section 4).

A node is a team; its children add one agency each. The bound of what may follow a node adds up at most as many
single gains as the team has places left (coverage has falling returns, so together they never gain more), and
never more than all remaining agencies together could cover. Agencies whose every offer another one matches in
full are left out beforehand. Where the work limit ends a search, the highest bound left open is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.matching.allocation import Allocation, Allocator, Pick, Work, fill
from services.matching.instance import Instance, members_of


@dataclass(frozen=True, slots=True)
class Solution:
    """`scaled` is the objective, `bound` what no permitted team exceeds; `proven` when they are equal."""

    team: int
    scaled: int
    bound: int
    picks: tuple[Pick, ...]
    work: int

    @property
    def proven(self) -> bool:
        return self.scaled == self.bound


@dataclass(frozen=True, slots=True)
class Unsolved:
    """No permitted team was found; with `proven` there is none, otherwise the work limit came first."""

    proven: bool
    work: int


@dataclass(frozen=True, slots=True)
class _Gain:
    agency: int
    net: int
    essentials: int
    un_entity: bool


class Solver:
    """Solves one instance, and variations of it; what was computed for one serves the next."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self._allocator = Allocator(instance, Work(instance.work_limit))

    def solve(self, without: int = 0, must: int = 0, limit: int | None = None) -> Solution | Unsolved:
        """The best team of the base, `must` and candidates, minus `without`; `limit` narrows the UN entities allowed.

        Ties: the team found first, in an order that depends on gains and slugs alone.
        """
        search = _Search(self.instance, self._allocator, without, must, limit)
        return search.run()

    def base_alone(self) -> Allocation:
        """What lead and fixed members cover by themselves, whether or not they are team enough."""
        self._allocator.work = Work(self.instance.work_limit)
        alone = self._allocator.best(self.instance.base, ())
        assert alone is not None  # the base owes nobody a part
        return alone


class _Search:
    def __init__(
        self, instance: Instance, allocator: Allocator, without: int, must: int, limit: int | None
    ) -> None:
        self.instance, self.allocator = instance, allocator
        self.limit = instance.limit if limit is None else min(limit, instance.limit)
        self.root = instance.base | must
        self.work = allocator.work = Work(instance.work_limit)
        allowed = [
            agency
            for agency in members_of(instance.candidates & ~self.root & ~without)
            if any(allocator.can_have_part(agency, need) for need in range(len(instance.demands)))
        ]
        self.remaining = self._undominated(allowed)
        self.best: tuple[int, int, Allocation] | None = None  # scaled, team, allocation
        self.open_bound: int | None = None

    def run(self) -> Solution | Unsolved:
        if self._un_count(self.root) <= max(self.limit, self._un_count(self.instance.base)):
            self._consider(self.root)
            self._branch(self.root, self.remaining)
        if self.best is None:
            return Unsolved(proven=self.open_bound is None, work=self.work.done)
        scaled, team, allocation = self.best
        bound = scaled if self.open_bound is None else max(scaled, self.open_bound)
        return Solution(team, scaled, bound, allocation.picks, self.work.done)

    def _un_count(self, team: int) -> int:
        return (team & self.instance.un_entities).bit_count()

    def _cost(self, team: int) -> int:
        return sum(self.instance.scaled_costs[agency] for agency in self.instance.partners(team))

    def _relaxed(self, team: int) -> tuple[int, int]:
        """Scaled coverage and number of complete essential needs, no need minding any other."""
        value = essentials = 0
        for need, demand in enumerate(self.instance.demands):
            one, complete = self.allocator.relaxed(need, team)
            value += one
            essentials += complete and demand.essential
        return value, essentials

    def _consider(self, team: int) -> None:
        """Takes the team if it is permitted and better than the best so far."""
        if not self.instance.enough_un(team):
            return
        value, essentials = self._relaxed(team)
        cost = self._cost(team)
        hope = value + essentials * self.instance.essential_bonus - cost
        if self.best is not None and hope <= self.best[0]:
            return
        self.allocator.cut = False
        allocation = self.allocator.best(team, self.instance.partners(team))
        if self.allocator.cut:
            self._leave_open(hope)
        if allocation is not None and (self.best is None or allocation.scaled - cost > self.best[0]):
            self.best = (allocation.scaled - cost, team, allocation)

    def _leave_open(self, bound: int) -> None:
        self.open_bound = bound if self.open_bound is None else max(self.open_bound, bound)

    def _branch(self, team: int, remaining: Sequence[int]) -> None:
        places = self.limit - self._un_count(team)
        gains = self._gains(team, remaining, places)
        if not gains:
            return
        value, essentials = self._relaxed(team)
        value -= self._cost(team)
        for at, gain in enumerate(gains):
            after = gains[at:]
            bound = self._bound(team, value, essentials, after, places)
            if self.best is not None and bound <= self.best[0]:
                return
            if not self.work.spend():
                self._leave_open(bound)
                return
            child = team | 1 << gain.agency
            self._consider(child)
            self._branch(child, [one.agency for one in after[1:]])

    def _gains(self, team: int, remaining: Sequence[int], places: int) -> list[_Gain]:
        """What each agency that still has a place would add, the most promising first."""
        bonus = self.instance.essential_bonus
        gains = []
        now = [self.allocator.relaxed(need, team) for need in range(len(self.instance.demands))]
        for agency in remaining:
            un_entity = bool(self.instance.un_entities >> agency & 1)
            if un_entity and places <= 0:
                continue
            net = -self.instance.scaled_costs[agency]
            essentials = 0
            for need, demand in enumerate(self.instance.demands):
                if self.instance.involved[need] >> agency & 1:
                    net += self.allocator.relaxed(need, team | 1 << agency)[0] - now[need][0]
                    essentials += demand.essential and not now[need][1]
            gains.append(_Gain(agency, net, essentials, un_entity))
        gains.sort(key=lambda gain: (-gain.net - bonus * gain.essentials, gain.agency))
        return gains

    def _bound(self, team: int, value: int, essentials: int, after: Sequence[_Gain], places: int) -> int:
        """No team that adds at least one of `after` to `team` is worth more. `value` is net of the team's cost."""
        everybody = team
        for gain in after:
            everybody |= 1 << gain.agency
        all_value, all_essentials = self._relaxed(everybody)
        now_value, _ = self._relaxed(team)
        cheapest = min(self.instance.scaled_costs[gain.agency] for gain in after)
        together = all_value - now_value - cheapest
        singly = _best_sum([(gain.net, gain.un_entity) for gain in after], places)
        completed = _best_sum([(gain.essentials, gain.un_entity) for gain in after], places)
        more = min(all_essentials - essentials, max(0, completed))
        return value + min(together, singly) + (essentials + more) * self.instance.essential_bonus

    def _undominated(self, agencies: Sequence[int]) -> list[int]:
        """Leaves out whoever another can replace everywhere at no loss (docs/matching.md, section 4).

        Not done where a team needs two or more partners to have enough UN entities: then both may be needed.
        """
        lacking = self.instance.least_un - self._un_count(self.root)
        if lacking > 1:
            return list(agencies)
        profiles = {agency: self._profile(agency) for agency in agencies}
        kept: list[int] = []
        order = sorted(agencies, key=lambda one: (self.instance.scaled_costs[one], one))
        for agency in order:
            if not any(self._replaces(profiles, other, agency) for other in agencies if other != agency):
                kept.append(agency)
        return sorted(kept)

    def _profile(self, agency: int) -> tuple[tuple[int, int], ...]:
        """Per need: (best fit that the agency offers, worst fit with which it would cover the whole; 0 if it cannot)."""
        shared = {need for pool in self.instance.pools for need, _ in pool.cells}
        profile = []
        for need, demand in enumerate(self.instance.demands):
            picks = fill(need, demand, 1 << agency, {}, {}) or []
            fits = [demand.offers[pick.offer].fit for pick in picks]
            whole = sum(pick.units for pick in picks) == demand.quantity and need not in shared
            profile.append((max(fits, default=0), min(fits) if whole else 0))
        return tuple(profile)

    def _replaces(self, profiles: dict[int, tuple[tuple[int, int], ...]], other: int, agency: int) -> bool:
        costs = self.instance.scaled_costs
        if costs[other] > costs[agency]:
            return False
        if (self.instance.un_entities >> other ^ self.instance.un_entities >> agency) & 1:
            return False
        mine, theirs = profiles[agency], profiles[other]
        if any(best > whole for (best, _), (_, whole) in zip(mine, theirs, strict=True)):
            return False
        mutual = costs[other] == costs[agency] and all(
            best <= whole for (best, _), (_, whole) in zip(theirs, mine, strict=True)
        )
        return other < agency or not mutual


def _best_sum(gains: Sequence[tuple[int, bool]], places: int) -> int:
    """The largest sum of one or more gains, of UN entities at most `places`."""
    positive_un = sorted((gain for gain, un_entity in gains if un_entity and gain > 0), reverse=True)
    total = sum(positive_un[:places]) + sum(gain for gain, un_entity in gains if not un_entity and gain > 0)
    return total if total > 0 else max(gain for gain, _ in gains)
