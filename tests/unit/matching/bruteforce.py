"""The slow truth: every permitted team and every whole-unit allocation of an instance, tried one by one."""

from __future__ import annotations

from collections.abc import Iterator

from services.matching.instance import Instance, members_of

UNIT = 1000


def best_by_brute_force(instance: Instance, must: int = 0, without: int = 0) -> tuple[int, set[int]] | None:
    """The highest objective and all teams that reach it; None where no team is permitted."""
    best: int | None = None
    teams: set[int] = set()
    for added in _subsets(instance.candidates & ~instance.base & ~must & ~without):
        team = instance.base | must | added
        un_entities = (team & instance.un_entities).bit_count()
        base_un = (instance.base & instance.un_entities).bit_count()
        if un_entities < instance.least_un or un_entities > max(instance.limit, base_un):
            continue
        value = _best_allocation(instance, team)
        if value is None:
            continue
        value -= sum(instance.scaled_costs[one] for one in members_of(team & ~instance.base))
        if best is None or value > best:
            best, teams = value, set()
        if value == best:
            teams.add(team)
    return None if best is None else (best, teams)


def _subsets(mask: int) -> Iterator[int]:
    subset = mask
    while True:
        yield subset
        if not subset:
            return
        subset = (subset - 1) & mask


def _best_allocation(instance: Instance, team: int) -> int | None:
    cells = [
        (need, index)
        for need, demand in enumerate(instance.demands)
        for index, offer in enumerate(demand.offers)
        if team >> offer.agency & 1
    ]
    best: int | None = None

    def assign(at: int, given: dict[tuple[int, int], int]) -> None:
        nonlocal best
        if at == len(cells):
            value = _value_if_permitted(instance, team, given)
            if value is not None and (best is None or value > best):
                best = value
            return
        need, index = cells[at]
        used = sum(units for (one, _), units in given.items() if one == need)
        most = min(instance.demands[need].offers[index].cap, instance.demands[need].quantity - used)
        for units in range(0, most + 1, UNIT):
            given[cells[at]] = units
            assign(at + 1, given)
        del given[cells[at]]

    assign(0, {})
    return best


def _value_if_permitted(instance: Instance, team: int, given: dict[tuple[int, int], int]) -> int | None:
    for pool in instance.pools:
        used = sum(
            units
            for (need, index), units in given.items()
            if (need, instance.demands[need].offers[index].capability) in pool.cells
        )
        if used > pool.capacity:
            return None
    for partner in members_of(team & ~instance.base):
        if not any(
            sum(u for (n, i), u in given.items() if n == need and demand.offers[i].agency == partner) >= demand.least
            for need, demand in enumerate(instance.demands)
        ):
            return None
    value = 0
    for need, demand in enumerate(instance.demands):
        mine = {index: units for (one, index), units in given.items() if one == need}
        fitted = sum(demand.offers[index].fit * units for index, units in mine.items())
        value += demand.worth * fitted * instance.scale // (1000 * demand.quantity)
        if demand.essential and sum(mine.values()) == demand.quantity:
            value += instance.essential_bonus
    return value
