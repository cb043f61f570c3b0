"""The solver finds the best team: compared with trying everything, on thousands of small pilots."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.matching.allocation import Pick
from services.matching.instance import Demand, Instance, Offer, Pool, in_preference, mask_of, members_of
from services.matching.solver import Solution, Solver, Unsolved

from .bruteforce import UNIT, best_by_brute_force

FITS = [1000, 800, 640, 500]


@st.composite
def instances(draw: st.DrawFn, shared: bool = True) -> Instance:
    agencies = draw(st.integers(2, 6))
    needs = draw(st.integers(1, 4))
    base = 1 | (draw(st.integers(0, 1)) << 1 if draw(st.booleans()) else 0)
    capability = 0
    demands = []
    for _ in range(needs):
        quantity = draw(st.sampled_from([1, 1, 2, 3])) * UNIT
        offers = []
        for _ in range(draw(st.integers(0, 4))):
            offers.append(
                Offer(
                    draw(st.integers(0, agencies - 1)),
                    capability,
                    draw(st.sampled_from(FITS)),
                    min(quantity, draw(st.integers(1, 3)) * UNIT),
                )
            )
            capability += 1
        demands.append((quantity, offers))
    pools = []
    if shared and needs > 1 and demands[0][1]:
        # The first capability of the first need can also serve others, and has not enough for all.
        first = demands[0][1][0]
        cells = {(0, first.capability)}
        for need in range(1, needs):
            if draw(st.booleans()):
                demands[need][1].append(
                    Offer(first.agency, first.capability, draw(st.sampled_from(FITS)), min(first.cap, demands[need][0]))
                )
                cells.add((need, first.capability))
        if len(cells) > 1:
            pools.append(Pool(draw(st.integers(1, 3)) * UNIT, frozenset(cells)))
    return Instance(
        agencies=tuple(f"agency-{index}" for index in range(agencies)),
        un_entities=draw(st.integers(0, 2**agencies - 1)) | (0 if draw(st.integers(0, 3)) == 0 else 1),
        base=base,
        candidates=draw(st.integers(0, 2**agencies - 1)) & ~base,
        costs=tuple(draw(st.sampled_from([0, 20_000, 50_000, 200_000])) for _ in range(agencies)),
        demands=tuple(
            Demand(
                worth=draw(st.sampled_from([50_000, 200_000, 333_333])),
                quantity=quantity,
                essential=draw(st.booleans()),
                least=draw(st.sampled_from([UNIT, quantity])),
                offers=in_preference(offers, base),
            )
            for quantity, offers in demands
        ),
        pools=tuple(pools),
        limit=draw(st.integers(1, 4)),
        least_un=draw(st.integers(1, 2)),
        work_limit=100_000,
    )


@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(instances())
def test_no_team_is_better_than_the_one_found(instance: Instance) -> None:
    _compare(instance)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(instances(), st.data())
def test_a_team_with_or_without_somebody_is_the_best_such_team(instance: Instance, data: st.DataObject) -> None:
    others = members_of(instance.candidates)
    if not others:
        return
    one = 1 << data.draw(st.sampled_from(others))
    _compare(instance, must=one)
    _compare(instance, without=one)


def _compare(instance: Instance, must: int = 0, without: int = 0) -> None:
    found = Solver(instance).solve(must=must, without=without)
    truth = best_by_brute_force(instance, must=must, without=without)
    if truth is None:
        assert isinstance(found, Unsolved)
        assert found.proven
        return
    assert isinstance(found, Solution)
    best, teams = truth
    assert found.scaled == best
    assert found.team in teams
    assert found.proven
    assert worth_of(instance, found) == found.scaled


def worth_of(instance: Instance, found: Solution) -> int:
    """The objective recomputed from the picks alone, after checking that they keep every rule."""
    value = -sum(instance.scaled_costs[one] for one in instance.partners(found.team))
    for need, demand in enumerate(instance.demands):
        picks = [pick for pick in found.picks if pick.need == need]
        assert sum(pick.units for pick in picks) <= demand.quantity
        assert all(0 < pick.units <= demand.offers[pick.offer].cap for pick in picks)
        assert all(found.team >> demand.offers[pick.offer].agency & 1 for pick in picks)
        value += sum(instance.unit_values[need] * demand.offers[pick.offer].fit * pick.units for pick in picks)
        if demand.essential and sum(pick.units for pick in picks) == demand.quantity:
            value += instance.essential_bonus
    for pool in instance.pools:
        assert sum(pick.units for pick in found.picks if _cell(instance, pick) in pool.cells) <= pool.capacity
    return value


def _cell(instance: Instance, pick: Pick) -> tuple[int, int]:
    return pick.need, instance.demands[pick.need].offers[pick.offer].capability


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False), st.integers(2, 5))
def test_among_ten_rivals_the_best_team_is_found_too(rng: random.Random, limit: int) -> None:
    """Larger than brute force over allocations can go: teams one by one, each filled best fit first."""
    rivals, needs = 10, 5
    demands = []
    for _ in range(needs):
        quantity = rng.choice([1, 2, 4]) * UNIT
        offers = [
            Offer(agency, 100 * agency + len(demands), rng.randint(500, 1000), min(quantity, rng.randint(1, 3) * UNIT))
            for agency in range(rivals)
            if rng.random() < 0.6
        ]
        demands.append(
            Demand(rng.randint(50_000, 250_000), quantity, rng.random() < 0.3, UNIT, in_preference(offers, 1))
        )
    costs = tuple(rng.randint(5_000, 60_000) for _ in range(rivals))
    everybody = 2**rivals - 1
    instance = Instance(
        tuple(f"agency-{at}" for at in range(rivals)),
        everybody,
        1,
        everybody - 1,
        costs,
        tuple(demands),
        (),
        limit,
        1,
        10**6,
    )
    found = Solver(instance).solve()
    assert isinstance(found, Solution)
    best = max(_filled(instance, team) for team in range(1, everybody + 1, 2) if team.bit_count() <= limit)
    # A partner without a part never pays here: its cost is above 0. So no rule but the limit bears on the best.
    assert found.scaled == best
    assert found.proven


def _filled(instance: Instance, team: int) -> int:
    value = -sum(instance.scaled_costs[one] for one in instance.partners(team))
    for at, demand in enumerate(instance.demands):
        left = demand.quantity
        for offer in sorted(demand.offers, key=lambda one: -one.fit):
            if team >> offer.agency & 1:
                units = min(left, offer.cap)
                value += instance.unit_values[at] * offer.fit * units
                left -= units
        value += 0 if left or not demand.essential else instance.essential_bonus
    return value


@settings(max_examples=300, deadline=None)
@given(instances(), st.integers(1, 6))
def test_a_search_that_is_cut_short_says_so_and_its_bound_holds(instance: Instance, work: int) -> None:
    found = Solver(replace(instance, work_limit=work)).solve()
    truth = best_by_brute_force(instance)
    if isinstance(found, Unsolved):
        assert truth is None or not found.proven
        return
    assert truth is not None
    assert found.scaled <= truth[0] <= found.bound
    assert worth_of(instance, found) == found.scaled


def test_mask_and_members_are_inverse() -> None:
    assert members_of(mask_of([0, 3, 5])) == (0, 3, 5)
