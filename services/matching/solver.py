"""The best team for one pilot, exactly: branch and bound over sets of partners (docs/matching.md, section 4).

A node is a team; its children add one agency each. The bound of what may follow a node adds up at most as many
single gains as the team has places left (coverage has falling returns, so together they never gain more), and
never more than all remaining agencies together could cover. Agencies whose every offer another one matches in
full are left out beforehand. Where the work limit ends a search, the highest bound left open is reported.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.matching.allocation import Allocation, Allocator, Pick, Work
from services.matching.bounds import Ahead, Bound, Part, Pricing
from services.matching.instance import Instance, members_of

PARTS: tuple[Part, ...] = ("all", "value", "essential")


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


class Solver:
    """Solves one instance, and variations of it; what was computed for one serves the next."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self._allocator = Allocator(instance, Work(instance.work_limit))
        self._pricings = tuple(Pricing(instance, part) for part in PARTS)

    def solve(
        self, without: int = 0, must: int = 0, limit: int | None = None, work_limit: int | None = None
    ) -> Solution | Unsolved:
        """The best team of the base, `must` and candidates, minus `without`; `limit` narrows the UN entities allowed.

        Ties: the team found first, in an order that depends on gains and slugs alone.
        """
        self._allocator.work = Work(work_limit or self.instance.work_limit)
        return _Search(self.instance, self._allocator, self._pricings, without, must, limit).run()

    def base_alone(self) -> Allocation:
        """What lead and fixed members cover by themselves, whether or not they are team enough."""
        self._allocator.work = Work(self.instance.work_limit)
        alone = self._allocator.best(self.instance.base, ())
        assert alone is not None  # the base owes nobody a part
        return alone


class _Search:
    def __init__(
        self,
        instance: Instance,
        allocator: Allocator,
        pricings: tuple[Pricing, ...],
        without: int,
        must: int,
        limit: int | None,
    ) -> None:
        self.instance, self.allocator, self.pricings = instance, allocator, pricings
        self.limit = instance.limit if limit is None else min(limit, instance.limit)
        self.root = instance.base | must
        self.work = allocator.work
        places = self.limit - self._un_count(self.root)
        self.candidates = tuple(
            agency
            for agency in members_of(instance.candidates & ~self.root & ~without)
            if (places > 0 or not instance.un_entities >> agency & 1)
            and any(allocator.can_have_part(agency, need) for need in range(len(instance.demands)))
        )
        self.best: tuple[int, int, Allocation] | None = None  # scaled, team, allocation
        self.open_bound: int | None = None
        self.bounds: tuple[Bound, ...] = ()
        self.ahead: tuple[Ahead, ...] = ()
        self.order: tuple[int, ...] = ()

    def run(self) -> Solution | Unsolved:
        if self._un_count(self.root) <= max(self.limit, self._un_count(self.instance.base)):
            self._consider(self.root)
            if self.candidates:
                self._climb()
                self._prove()
        if self.best is None:
            return Unsolved(proven=self.open_bound is None, work=self.work.done)
        scaled, team, allocation = self.best
        bound = scaled if self.open_bound is None else max(scaled, self.open_bound)
        return Solution(team, scaled, bound, allocation.picks, self.work.done)

    def _un_count(self, team: int) -> int:
        return (team & self.instance.un_entities).bit_count()

    def _hope(self, team: int) -> int:
        """What the team would be worth if no need drew on what another one uses: never less than it is worth."""
        total = -sum(self.instance.scaled_costs[agency] for agency in self.instance.partners(team))
        for need, demand in enumerate(self.instance.demands):
            value, covered = self.allocator.relaxed(need, team)
            total += value
            if demand.essential and covered == demand.quantity:
                total += self.instance.essential_bonus
        return total

    def _consider(self, team: int) -> None:
        """Takes the team if it is permitted and better than the best so far."""
        if not self.instance.enough_un(team):
            return
        hope = self._hope(team)
        if self.best is not None and hope <= self.best[0]:
            return
        self.allocator.cut = False
        allocation = self.allocator.best(team, self.instance.partners(team))
        if self.allocator.cut:
            self._leave_open(hope)
        if allocation is None:
            return
        scaled = allocation.scaled - sum(self.instance.scaled_costs[one] for one in self.instance.partners(team))
        if self.best is None or scaled > self.best[0]:
            self.best = (scaled, team, allocation)

    def _leave_open(self, bound: int) -> None:
        self.open_bound = bound if self.open_bound is None else max(self.open_bound, bound)

    def _climb(self) -> None:
        """A good team to begin with: the most promising agency first, then the next, while there is room."""
        team, places = self.root, self.limit - self._un_count(self.root)
        while True:
            able = [
                one
                for one in self.candidates
                if not team >> one & 1 and (places > 0 or not self.instance.un_entities >> one & 1)
            ]
            if not able:
                return
            hope, chosen = max((self._hope(team | 1 << one), -one) for one in able)
            if hope <= self._hope(team) and self.instance.enough_un(team):
                return
            team |= 1 << -chosen
            places -= self.instance.un_entities >> -chosen & 1
            self._consider(team)

    def _prove(self) -> None:
        """Finds prices, and where they alone do not prove the best team found, searches what they leave open."""
        places = max(0, self.limit - self._un_count(self.root))
        every, value, essential = self.pricings
        bound = every.lower(self.root, self.candidates, places, self._try)
        self.order = bound.order()
        first = Ahead(self.instance, self.order, bound.terms)
        if self.best is not None and (not self.order or bound.fixed + first.more(0, places) <= self.best[0]):
            return
        apart = [one.lower(self.root, self.order, places, self._try_only) for one in (value, essential)]
        self.bounds = (bound, *apart)
        self.ahead = (first, *(Ahead(self.instance, self.order, one.terms) for one in apart))
        self._branch(self.root, tuple(one.fixed for one in self.bounds), 0, places)

    def _try(self, team: int) -> int | None:
        self._consider(team)
        return None if self.best is None else self.best[0]

    def _try_only(self, team: int) -> None:
        """For bounds on a part of the objective, which say nothing about the whole of it."""
        self._consider(team)

    def _branch(self, team: int, fixed: tuple[int, ...], start: int, places: int) -> None:
        """Tries all teams that add to `team` one or more of the candidates from `start` on in the bounds' order.

        `fixed` are the bounds' parts for `team`; it needs no more than look-ups per child, so nodes are cheap.
        """
        bonus = self.instance.essential_bonus
        for at in range(start, len(self.order)):
            agency = self.order[at]
            un_entity = self.instance.un_entities >> agency & 1
            if un_entity and not places:
                continue
            total, value, essential = (
                one + ahead.more(at, places) for one, ahead in zip(fixed, self.ahead, strict=True)
            )
            # The number of essential needs is whole, which the bound on the objective does not know.
            bound = min(total, essential // bonus * bonus + value)
            if self.best is not None and bound <= self.best[0]:
                return
            if not self.work.spend():
                self._leave_open(bound)
                return
            child = team | 1 << agency
            self._consider(child)
            added = tuple(one + bound.terms[agency] for one, bound in zip(fixed, self.bounds, strict=True))
            self._branch(child, added, at + 1, places - un_entity)
