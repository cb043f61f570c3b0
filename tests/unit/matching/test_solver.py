"""The solver finds the best team: compared with trying everything, on thousands of small pilots."""

from __future__ import annotations

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


@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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


@settings(max_examples=300, deadline=None)
@given(instances(), st.integers(1, 6))
def test_a_search_that_is_cut_short_says_so_and_its_bound_holds(instance: Instance, work: int) -> None:
    from dataclasses import replace

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
