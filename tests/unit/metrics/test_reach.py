"""People are counted once: the truth lies between the bounds, whatever the overlaps are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.metrics.reach import (
    NOT_KNOWN,
    Bounds,
    SiteReach,
    agreed_sharing,
    exactly,
    intersection,
    of_pilots,
    shared_union,
    union,
)

NAMES = "abcd"
populations = st.lists(st.sets(st.integers(0, 25)), min_size=1, max_size=4)
pairs = st.sets(st.frozensets(st.sampled_from(NAMES), min_size=2, max_size=2), max_size=4)


def within(truth: int, bounds: Bounds) -> bool:
    return bounds.lower is not None and bounds.upper is not None and bounds.lower <= truth <= bounds.upper


@given(populations)
def test_the_truth_of_any_overlap_lies_between_largest_and_sum(groups: list[set[int]]) -> None:
    assert within(len(set().union(*groups)), union(exactly(len(group)) for group in groups))


@given(populations, pairs)
def test_the_truth_lies_within_the_bounds_that_shared_reach_tightens(
    groups: list[set[int]], shared: set[frozenset[str]]
) -> None:
    people = dict(zip(NAMES, groups, strict=False))
    for _ in NAMES:  # make the declarations true: of each pair the smaller lies within the larger
        for pair in sorted(shared, key=sorted):
            if pair <= people.keys():
                small, large = sorted(pair, key=lambda name: len(people[name]))
                people[large] = people[large] | people[small]
    parts = {name: exactly(len(group)) for name, group in people.items()}
    true = {p for p in shared if p <= people.keys() and any(people[x] <= people[y] for x in p for y in p if x != y)}
    tight, loose = shared_union(parts, true), union(parts.values())
    assert within(len(set().union(*people.values())), tight)
    assert tight.lower == loose.lower
    assert tight.upper is not None
    assert loose.upper is not None
    assert tight.upper <= loose.upper


@given(populations, st.integers(0, 40))
def test_an_intersection_is_counted_once_within_its_bounds(groups: list[set[int]], others: int) -> None:
    population = set().union(*groups) | {100 + n for n in range(others)}
    bounds = intersection([exactly(len(group)) for group in groups], exactly(len(population)))
    assert within(len(set.intersection(*groups)), bounds)


counts = st.lists(st.none() | st.integers(0, 500), min_size=1, max_size=6)


@given(counts, st.integers(0, 500), st.data())
def test_more_people_never_make_the_bounds_smaller(people: list[int | None], more: int, data: st.DataObject) -> None:
    which = data.draw(st.integers(0, len(people) - 1))
    grown = [(n or 0) + more if i == which else n for i, n in enumerate(people)]
    before, after = union(map(exactly, people)), union(map(exactly, grown))
    assert (after.lower or 0) >= (before.lower or 0)
    assert (after.upper or 0) >= (before.upper or 0)


def test_a_number_that_is_not_known_is_not_zero() -> None:
    bounds = union([exactly(120), exactly(None), exactly(30)])
    assert bounds == Bounds(120, 150, unknown=1)
    assert not bounds.complete
    assert union([exactly(None)]) == NOT_KNOWN
    assert union([exactly(0)]) == Bounds(0, 0)


def test_a_negative_number_of_people_is_an_error() -> None:
    with pytest.raises(ValueError, match="-1 people"):
        exactly(-1)


def test_two_pilots_that_share_their_reach_count_once() -> None:
    parts = {"a": exactly(300), "b": exactly(200), "c": exactly(100)}
    assert shared_union(parts, {frozenset("ab")}) == Bounds(300, 400)
    assert shared_union(parts, {frozenset("ab"), frozenset("bc")}) == Bounds(300, 300)


def test_a_small_pilot_between_two_large_ones_does_not_join_them() -> None:
    parts = {"a": exactly(300), "b": exactly(50), "c": exactly(100)}
    assert shared_union(parts, {frozenset("ab"), frozenset("bc")}) == Bounds(300, 400)


def test_sizes_that_are_not_certain_take_nobody_off() -> None:
    parts = {"a": Bounds(100, 300), "b": Bounds(150, 200)}
    assert shared_union(parts, {frozenset("ab")}) == Bounds(150, 500)


def test_one_lead_alone_does_not_take_people_off_anothers_pilot() -> None:
    leads = {"a": "wfp", "b": "fao", "c": "wfp"}
    sharing = agreed_sharing({"a": ["b", "c"]}, leads)
    assert sharing.agreed == {frozenset("ac")}
    assert sharing.one_sided == (("a", "b"),)
    assert frozenset("ab") in agreed_sharing({"a": ["b"], "b": ["a"]}, leads).agreed


def test_sites_of_a_pilot_add_up_only_where_it_says_that_they_are_apart() -> None:
    sites = [SiteReach("a", "s1", "ZMB", direct=100), SiteReach("a", "s2", "ZMB", direct=60)]
    assert of_pilots(sites, "direct") == Bounds(100, 160)
    assert of_pilots(sites, "direct", apart={"a"}) == Bounds(160, 160)
    assert of_pilots(sites, "indirect") == Bounds(unknown=2)
