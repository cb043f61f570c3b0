"""Who in a given team covers what: the best use of its members' capabilities, found exactly.

A need that shares no capacity is filled greedily, best fit first; with lower bounds per agency greedy stays optimal
(bounds first, then the rest: an exchange of any two units shows it). Needs that share a capability's capacity are
searched over that capacity only. Each partner must cover at least `least` of some need: if the best allocation
leaves one without, all ways to give every partner such a part are tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from services.matching.instance import Demand, Instance, whole_step

FINEST = 64  # steps in which shared capacity is divided at most; a coarser grid makes the bound say so


@dataclass(frozen=True, slots=True)
class Pick:
    """`offer` is the place in the need's list of offers; `units` thousandths."""

    need: int
    offer: int
    units: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """`scaled` is what the picks are worth, with the bonus of each essential need they complete."""

    scaled: int
    picks: tuple[Pick, ...]


@dataclass(slots=True)
class Work:
    """Counts steps instead of seconds, so that a run stops at the same place on every machine."""

    limit: int
    done: int = 0

    def spend(self) -> bool:
        """Counts one step; False when there is no more to spend."""
        self.done += 1
        return self.done <= self.limit

    @property
    def exhausted(self) -> bool:
        return self.done > self.limit


Lower = Mapping[tuple[int, int], int]
"""(need, agency) → thousandths that the agency must cover of it."""


@dataclass(slots=True)
class Allocator:
    """Allocations of one instance. `cut` becomes true when a search was not finished: better may then exist."""

    instance: Instance
    work: Work
    cut: bool = False
    _relaxed: list[dict[int, tuple[int, int]]] = field(init=False)
    _supplies: list[dict[int, list[tuple[int, int]]]] = field(init=False)

    def __post_init__(self) -> None:
        self._relaxed = [{} for _ in self.instance.demands]
        self._supplies = [{} for _ in self.instance.demands]
        for supplies, demand in zip(self._supplies, self.instance.demands, strict=True):
            for offer in demand.offers:
                supplies.setdefault(1 << offer.agency, []).append((offer.fit, offer.cap))

    def relaxed(self, need: int, team: int) -> tuple[int, int]:
        """What a team could make of one need if no other need drew on it: (scaled coverage, thousandths covered)."""
        team &= self.instance.involved[need]
        known = self._relaxed[need].get(team)
        if known is None:
            supplies = self._supplies[need]
            offers: list[tuple[int, int]] = []
            rest = team
            while rest:
                lowest = rest & -rest
                offers += supplies[lowest]
                rest ^= lowest
            offers.sort(reverse=True)
            quantity = left = self.instance.demands[need].quantity
            fitted = 0
            for fit, cap in offers:
                units = cap if cap < left else left
                fitted += fit * units
                left -= units
                if not left:
                    break
            known = self._relaxed[need][team] = (self.instance.unit_values[need] * fitted, quantity - left)
        return known

    def best(self, team: int, partners: tuple[int, ...]) -> Allocation | None:
        """The best allocation in which every partner has a real part; None if there is none."""
        free = self._allocate(team, {})
        assert free is not None  # nothing can be missing where nothing is bound
        without = [partner for partner in partners if not self._has_part(partner, free.picks)]
        if not without:
            return free
        found: Allocation | None = None
        for lower in self._parts(partners, 0, {}):
            if not self.work.spend():
                self.cut = True
                break
            one = self._allocate(team, lower)
            if one is not None and (found is None or one.scaled > found.scaled):
                found = one
                if found.scaled == free.scaled:
                    break
        return found

    def can_have_part(self, agency: int, need: int) -> bool:
        demand = self.instance.demands[need]
        return sum(offer.cap for offer in demand.offers if offer.agency == agency) >= demand.least

    def _has_part(self, agency: int, picks: tuple[Pick, ...]) -> bool:
        units: dict[int, int] = {}
        for pick in picks:
            if self.instance.demands[pick.need].offers[pick.offer].agency == agency:
                units[pick.need] = units.get(pick.need, 0) + pick.units
        return any(amount >= self.instance.demands[need].least for need, amount in units.items())

    def _parts(self, partners: tuple[int, ...], at: int, lower: dict[tuple[int, int], int]) -> Iterator[Lower]:
        if at == len(partners):
            yield dict(lower)
            return
        for need, demand in enumerate(self.instance.demands):
            taken = sum(units for (one, _), units in lower.items() if one == need)
            if taken + demand.least <= demand.quantity and self.can_have_part(partners[at], need):
                lower[need, partners[at]] = demand.least
                yield from self._parts(partners, at + 1, lower)
                del lower[need, partners[at]]

    def _allocate(self, team: int, lower: Lower) -> Allocation | None:
        scaled = 0
        picks: list[Pick] = []
        for component in self.instance.components:
            one = _Shared(self, component, team, lower).solve()
            if one is None:
                return None
            scaled += one.scaled
            picks.extend(one.picks)
        return Allocation(scaled, tuple(picks))

    def _value(self, need: int, picks: list[Pick]) -> tuple[int, bool]:
        offers = self.instance.demands[need].offers
        fitted = sum(offers[pick.offer].fit * pick.units for pick in picks)
        complete = sum(pick.units for pick in picks) == self.instance.demands[need].quantity
        return self.instance.unit_values[need] * fitted, complete

    def worth(self, picks: list[Pick], needs: tuple[int, ...]) -> int:
        """Scaled value of picks with the bonus of each essential need they complete."""
        total = 0
        for need in needs:
            value, complete = self._value(need, [pick for pick in picks if pick.need == need])
            total += value
            if complete and self.instance.demands[need].essential:
                total += self.instance.essential_bonus
        return total


def fill(need: int, demand: Demand, team: int, lower: Mapping[int, int], caps: Mapping[int, int]) -> list[Pick] | None:
    """The best cover of one need by a team: `lower` thousandths per agency first, the rest by best fit.

    `caps` narrows what single offers may give. None if the lower bounds cannot be met.
    """
    left = demand.quantity
    taken: dict[int, int] = {}
    for agency in sorted(lower):
        owed = lower[agency]
        for index, offer in enumerate(demand.offers):
            if offer.agency == agency and owed:
                units = min(owed, caps.get(index, offer.cap))
                taken[index] = units
                owed, left = owed - units, left - units
        if owed:
            return None
    if left < 0:
        return None
    for index, offer in enumerate(demand.offers):
        if not left:
            break
        if team >> offer.agency & 1:
            units = min(left, caps.get(index, offer.cap) - taken.get(index, 0))
            if units > 0:
                taken[index] = taken.get(index, 0) + units
                left -= units
    return [Pick(need, index, units) for index, units in sorted(taken.items()) if units]


class _Shared:
    """A component of needs under one team: exact search over how shared capacity is divided among them."""

    def __init__(self, allocator: Allocator, needs: tuple[int, ...], team: int, lower: Lower) -> None:
        self.allocator, self.needs, self.team = allocator, needs, team
        self.lower = {need: {agency: units for (one, agency), units in lower.items() if one == need} for need in needs}
        demands = allocator.instance.demands
        where = {
            (need, offer.capability): index
            for need in needs
            for index, offer in enumerate(demands[need].offers)
            if team >> offer.agency & 1
        }
        self.pools = []
        for pool in allocator.instance.pools:
            cells = frozenset((need, where[need, one]) for need, one in pool.cells if (need, one) in where)
            if cells:
                self.pools.append((pool.capacity, cells))
        self.cells = sorted({cell for _, cells in self.pools for cell in cells})
        self.best: Allocation | None = None

    def solve(self) -> Allocation | None:
        """The best allocation of these needs; None if the lower bounds cannot be met (or were not within the work)."""
        if self._divide(0, {}, [capacity for capacity, _ in self.pools]):
            return self.best
        self.allocator.cut = True
        return self.best or (None if any(self.lower.values()) else Allocation(0, ()))

    def _divide(self, at: int, given: dict[tuple[int, int], int], left: list[int]) -> bool:
        """Searches from cell `at` on; False if some of it was left out."""
        picks = self._fill(given, left)
        if picks is None:
            return True
        value = self.allocator.worth(picks, self.needs)
        if self.best is not None and value <= self.best.scaled:
            return True
        if self._fits(picks):
            self.best = Allocation(value, tuple(picks))
            return True
        if not self.allocator.work.spend():
            return False
        need, index = cell = self.cells[at]
        mine = [place for place, (_, cells) in enumerate(self.pools) if cell in cells]
        demand = self.allocator.instance.demands[need]
        most = min(demand.quantity, demand.offers[index].cap, *(left[place] for place in mine))
        step = self._step(most)
        exact = step <= 0 or most // step <= FINEST
        if not exact:
            step *= -(-(most // step) // FINEST)
        for units in [*range(most, 0, -step), 0] if most else [0]:
            for place in mine:
                left[place] -= units
            given[cell] = units
            exact = self._divide(at + 1, given, left) and exact
            del given[cell]
            for place in mine:
                left[place] += units
        return exact

    def _step(self, most: int) -> int:
        demands = self.allocator.instance.demands
        caps = [offer.cap for need in self.needs for offer in demands[need].offers]
        bounds = [units for lower in self.lower.values() for units in lower.values()]
        quantities = [demands[need].quantity for need in self.needs]
        return whole_step(most, *caps, *bounds, *quantities, *(capacity for capacity, _ in self.pools))

    def _fill(self, given: dict[tuple[int, int], int], left: list[int]) -> list[Pick] | None:
        """Each need by itself, as if what is left of the shared capacity were all its own."""
        picks: list[Pick] = []
        for need in self.needs:
            demand = self.allocator.instance.demands[need]
            caps = {}
            for cell in self.cells:
                if cell[0] == need:
                    open_to_it = [left[place] for place, (_, cells) in enumerate(self.pools) if cell in cells]
                    caps[cell[1]] = given.get(cell, min(demand.offers[cell[1]].cap, *open_to_it))
            one = fill(need, demand, self.team, self.lower[need], caps)
            if one is None:
                return None
            picks.extend(one)
        return picks

    def _fits(self, picks: list[Pick]) -> bool:
        used = {(pick.need, pick.offer): pick.units for pick in picks}
        return all(sum(used.get(cell, 0) for cell in cells) <= capacity for capacity, cells in self.pools)
