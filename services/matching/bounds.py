"""What no team can exceed: needs are given prices, and each agency is judged alone against them.

With a price on every need, an agency's term is what its offers bring above the prices, less its cost. Since the
prices pay for what is covered twice, for any prices from 0 up

    objective(team) ≤ Σ_need quantity · price + Σ_base surplus + Σ_partners term,

so the largest terms that fit into the team's places bound every permitted team (Lagrangian relaxation of "no need
is covered beyond its quantity"; docs/matching.md, section 4). All sums are whole numbers: the bound holds exactly,
however good or bad the prices are.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from services.matching.instance import Instance, mask_of, members_of

Part = Literal["all", "value", "essential"]
"""What is bounded: the objective, its points without bonuses, or the bonuses of essential needs alone."""

ROUNDS = 40
FIRST_STEP = 0.5
LATER_STEP = 0.1
STEP_FACTOR = 0.88
PATIENCE = 8
"""Rounds without a lower bound after which the search for prices ends."""
LOWEST = -2.0
"""How far below the bonus of an essential need its price may go, in worths of its best offer."""


@dataclass(frozen=True, slots=True)
class Bound:
    """`fixed` is what every team has, `terms` what each candidate adds, in scaled points."""

    fixed: int
    terms: dict[int, int]

    def order(self) -> tuple[int, ...]:
        """The candidates by falling term."""
        return tuple(sorted(self.terms, key=lambda agency: (-self.terms[agency], agency)))


class Ahead:
    """For each place in an order of candidates: the most that those from there on can add."""

    def __init__(self, instance: Instance, order: tuple[int, ...], terms: dict[int, int]) -> None:
        self._rows = [(terms[agency], bool(instance.un_entities >> agency & 1)) for agency in order]
        self._sums: dict[int, list[int]] = {}

    def more(self, at: int, places: int) -> int:
        """The largest sum of one or more terms from `at` on, of UN entities at most `places`."""
        if places not in self._sums:
            self._sums[places] = self._suffixes(places)
        return self._sums[places][at]

    def _suffixes(self, places: int) -> list[int]:
        sums = [0] * len(self._rows)
        others, highest = 0, None
        window: list[int] = []
        for at in range(len(self._rows) - 1, -1, -1):
            term, un_entity = self._rows[at]
            highest = term if highest is None else max(highest, term)
            if term > 0 and un_entity:
                insort(window, term)
                del window[: -places or len(window)]
            elif term > 0:
                others += term
            positive = sum(window) + others
            sums[at] = positive if positive > 0 else highest
        return sums


class Pricing:
    """Finds good prices for one instance by subgradient steps; what one search learned starts the next."""

    def __init__(self, instance: Instance, part: Part) -> None:
        self.instance = instance
        self._costs = instance.scaled_costs if part != "essential" else (0,) * len(instance.agencies)
        self._supplies: dict[int, dict[int, list[tuple[int, int]]]] = {}
        self._lift, self._span, self._lowest = [], [], []
        for need, demand in enumerate(instance.demands):
            unit = instance.unit_values[need] if part != "essential" else 0
            supply = self._read(need, unit)
            counts = part != "value" and demand.essential and supply >= demand.quantity
            bonus = instance.essential_bonus // demand.quantity if counts else 0
            best = max((offer.fit for offer in demand.offers), default=1) * unit
            self._lift.append(bonus)
            self._span.append(best or bonus)
            self._lowest.append(0.0 if not bonus else LOWEST if best else -1.0)
        self._heights = [0.5 if part != "essential" else -0.5] * len(instance.demands)
        self._step = FIRST_STEP

    def _read(self, need: int, unit: int) -> int:
        """Sorts a need's offers by agency, best first, none beyond the need; answers how much all could give."""
        demand = self.instance.demands[need]
        given: dict[int, int] = {}
        for offer in demand.offers:  # in order of fit
            units = min(offer.cap, demand.quantity - given.get(offer.agency, 0))
            if units > 0:
                given[offer.agency] = given.get(offer.agency, 0) + units
                mine = self._supplies.setdefault(offer.agency, {}).setdefault(need, [])
                mine.append((offer.fit * unit, units))
        return sum(given.values())

    def lower(
        self, root: int, candidates: tuple[int, ...], places: int, try_team: Callable[[int], int | None]
    ) -> Bound:
        """The lowest bound found for teams that add one or more of `candidates` to `root`.

        `try_team` is given each round's most promising team and answers the best objective so far, or None. What
        cannot beat it is left out: agencies with which no team can, and further rounds once the bound itself cannot.
        """
        step, best, lowest, kept = self._step, None, 0, self._heights
        heights, idle = list(self._heights), 0
        for _ in range(ROUNDS):
            prices = [
                max(0, lift + round(height * span))
                for lift, height, span in zip(self._lift, heights, self._span, strict=True)
            ]
            bound = self._bound(prices, root, candidates)
            chosen, sure = self._chosen(bound, places)
            total = bound.fixed + (sure or max(bound.terms.values()))
            goal = try_team(root | mask_of(chosen))
            idle += 1
            if best is None or total < lowest:
                best, lowest, kept, idle = bound, total, list(heights), 0
            if idle >= PATIENCE or (goal is not None and total <= goal):
                break
            if goal is not None:
                able = self._able(bound, chosen, sure, places, goal)
                if len(able) < len(candidates):
                    candidates = able
                    best = Bound(best.fixed, {agency: best.terms[agency] for agency in able})
            used = self._used(prices, [*members_of(root), *chosen])
            for need, demand in enumerate(self.instance.demands):
                slack = (demand.quantity - used[need]) / demand.quantity
                moved = heights[need] - step * max(-1.0, min(1.0, slack))
                heights[need] = max(self._lowest[need], min(1.0, moved))
            step *= STEP_FACTOR
        assert best is not None  # there is at least one round
        self._heights, self._step = kept, LATER_STEP
        return best

    def _able(self, bound: Bound, chosen: list[int], sure: int, places: int, goal: int) -> tuple[int, ...]:
        """The candidates with which a team may still exceed `goal`: the best others stand beside each."""
        instance = self.instance
        un_terms = [bound.terms[agency] for agency in chosen if instance.un_entities >> agency & 1]
        crowded = min(un_terms) if un_terms and len(un_terms) >= places else 0
        return tuple(
            agency
            for agency, term in bound.terms.items()
            if agency in chosen
            or bound.fixed + sure + term - (crowded if instance.un_entities >> agency & 1 else 0) > goal
        )

    def _bound(self, prices: list[int], root: int, candidates: tuple[int, ...]) -> Bound:
        instance = self.instance
        fixed = sum([demand.quantity * price for demand, price in zip(instance.demands, prices, strict=True)])
        fixed += sum([self._surplus(agency, prices) for agency in members_of(root)])
        fixed -= sum([self._costs[agency] for agency in instance.partners(root)])
        return Bound(fixed, {agency: self._surplus(agency, prices) - self._costs[agency] for agency in candidates})

    def _surplus(self, agency: int, prices: list[int]) -> int:
        total = 0
        for need, offers in self._supplies.get(agency, {}).items():
            above = self._lift[need] - prices[need]
            for value, units in offers:
                gain = value + above
                if gain <= 0:
                    break
                total += gain * units
        return total

    def _chosen(self, bound: Bound, places: int) -> tuple[list[int], int]:
        """The agencies with the largest terms above 0 for whom there is room, and the sum of their terms."""
        chosen = []
        total = 0
        for agency in bound.order():
            un_entity = self.instance.un_entities >> agency & 1
            term = bound.terms[agency]
            if term <= 0:
                break
            if places > 0 or not un_entity:
                chosen.append(agency)
                total += term
                places -= un_entity
        return chosen, total

    def _used(self, prices: list[int], agencies: list[int]) -> list[int]:
        used = [0] * len(self.instance.demands)
        for agency in agencies:
            for need, offers in self._supplies.get(agency, {}).items():
                above = self._lift[need] - prices[need]
                used[need] += sum([units for value, units in offers if value + above > 0])
        return used
