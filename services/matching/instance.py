"""One pilot's team problem as whole numbers (docs/matching.md, section 3): needs, offers, shared capacity, members.

Agencies are numbered in the order of their slugs, needs and capabilities in the order of their ids: the same
problem is the same instance whatever order its records came in. A set of agencies is a bit mask.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import gcd, lcm

from services.matching.model import THOUSAND
from services.matching.weights import PER_MILLE


@dataclass(frozen=True, slots=True)
class Offer:
    """A capability that suits a need exactly. `fit` is per mille, `cap` the thousandths it can give to this need."""

    agency: int
    capability: int
    fit: int
    cap: int


@dataclass(frozen=True, slots=True)
class Demand:
    """A need in the solver's eyes: `worth` points when fully covered at full fit, `least` thousandths per partner."""

    worth: int
    quantity: int
    essential: bool
    least: int
    offers: tuple[Offer, ...]


@dataclass(frozen=True, slots=True)
class Pool:
    """Capacity that several needs draw on: months of one capability, or its stock. `cells` are (need, capability)."""

    capacity: int
    cells: frozenset[tuple[int, int]]


@dataclass(frozen=True)
class Instance:
    """`base` are lead and fixed members, `candidates` who may be added, `costs` points for adding an agency.

    `limit` and `least_un` bound the UN entities of a team, base included.
    """

    agencies: tuple[str, ...]
    un_entities: int
    base: int
    candidates: int
    costs: tuple[int, ...]
    demands: tuple[Demand, ...]
    pools: tuple[Pool, ...]
    limit: int
    least_un: int
    work_limit: int

    @cached_property
    def scale(self) -> int:
        """Objective values are points times this, which makes the value of a thousandth of any need whole."""
        return PER_MILLE * lcm(*(demand.quantity for demand in self.demands), 1)

    @cached_property
    def unit_values(self) -> tuple[int, ...]:
        """Scaled points of one thousandth of each need at one per mille of fit."""
        return tuple(demand.worth * self.scale // (PER_MILLE * demand.quantity) for demand in self.demands)

    @cached_property
    def scaled_costs(self) -> tuple[int, ...]:
        return tuple(cost * self.scale for cost in self.costs)

    @cached_property
    def essential_bonus(self) -> int:
        """More than all coverage and cost together: one more essential need covered outweighs everything else."""
        return self.scale * (1 + sum(demand.worth for demand in self.demands) + sum(self.costs))

    @cached_property
    def involved(self) -> tuple[int, ...]:
        """For each need the mask of agencies that offer something for it."""
        return tuple(mask_of(offer.agency for offer in demand.offers) for demand in self.demands)

    @cached_property
    def components(self) -> tuple[tuple[int, ...], ...]:
        """Needs that share a pool, directly or by a chain, belong together; most needs stand alone."""
        groups = [{need} for need in range(len(self.demands))]
        for pool in self.pools:
            needs = {need for need, _ in pool.cells}
            touched = [group for group in groups if group & needs]
            groups = [group for group in groups if not group & needs] + [set().union(*touched)]
        return tuple(sorted(tuple(sorted(group)) for group in groups))

    def partners(self, team: int) -> tuple[int, ...]:
        return members_of(team & ~self.base)

    def enough_un(self, team: int) -> bool:
        return (team & self.un_entities).bit_count() >= self.least_un

    def points(self, scaled: int) -> tuple[int, float]:
        """An objective value taken apart: essential needs fully covered, and points of coverage less costs.

        Points lie between minus all costs and all worths, so the bonus (one more than both) tells them apart; of a
        bound the pair is a bound in the same sense, essential needs first.
        """
        costs = self.scale * sum(self.costs)
        essential, rest = divmod(scaled + costs, self.essential_bonus)
        return essential, (rest - costs) / self.scale


def members_of(mask: int) -> tuple[int, ...]:
    return tuple(index for index in range(mask.bit_length()) if mask >> index & 1)


def mask_of(indices: Iterable[int]) -> int:
    mask = 0
    for index in indices:
        mask |= 1 << index
    return mask


def whole_step(*amounts: int) -> int:
    """The largest step in which all amounts can be counted: a whole unit where all are whole."""
    step = gcd(*amounts)
    return step if step else THOUSAND


def in_preference(offers: Sequence[Offer], base: int) -> tuple[Offer, ...]:
    """Best fit first; then the base, then whoever can give most, then the order of slugs and ids."""
    return tuple(
        sorted(offers, key=lambda one: (-one.fit, not base >> one.agency & 1, -one.cap, one.agency, one.capability))
    )
