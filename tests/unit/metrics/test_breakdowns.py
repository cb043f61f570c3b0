"""How the codes of a dimension add up, as far as anybody can know."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.metrics import breakdowns
from services.metrics.breakdowns import Sum, ages, sums


def test_sexes_add_up_to_their_total() -> None:
    assert sums("SEX", ["M", "F"]) == (Sum(("_T",), ("F", "M")),)


def test_target_groups_overlap_so_each_stands_against_the_rest() -> None:
    assert sums("TARGET_GROUP", ["refugees", "unconnected"]) == (
        Sum(("_T",), ("refugees",)),
        Sum(("_T",), ("unconnected",)),
    )


def test_an_intersection_lies_within_each_of_its_groups() -> None:
    found = sums("TARGET_GROUP", ["refugees", "refugees+unconnected", "unconnected"])
    assert Sum(("refugees",), ("refugees+unconnected",)) in found
    assert Sum(("unconnected",), ("refugees+unconnected",)) in found


def test_two_ways_to_tile_all_ages_are_both_known() -> None:
    found = sums("AGE", ["Y0T17", "Y_GE18", "Y0T14", "Y_GE15"])
    assert Sum(("_T",), ("Y0T17", "Y_GE18")) in found
    assert Sum(("_T",), ("Y0T14", "Y_GE15")) in found
    assert Sum(("Y0T17",), ("Y0T14",)) in found


def test_an_intersection_of_groups_is_written_in_one_way() -> None:
    posted = {"TARGET_GROUP": "unconnected+rural+refugees", "SEX": "_T"}
    assert breakdowns.of(posted) == (("TARGET_GROUP", "refugees+unconnected"), ("URBANISATION", "R"))


def test_a_group_that_contradicts_another_code_stays_a_group() -> None:
    assert breakdowns.of({"TARGET_GROUP": "girls", "SEX": "M"}) == (("SEX", "M"), ("TARGET_GROUP", "girls"))


bands = st.tuples(st.integers(0, 9), st.integers(0, 9)).map(lambda t: f"Y{min(t)}T{max(t)}") | st.integers(0, 9).map(
    lambda first: f"Y_GE{first}"
)


@given(st.sets(bands, min_size=1, max_size=6), st.lists(st.integers(0, 30), min_size=11, max_size=11))
def test_every_sum_over_ages_holds_in_every_population(codes: set[str], by_year: list[int]) -> None:
    def people(code: str) -> int:
        first, last = (0, breakdowns.OLDEST) if code == "_T" else ages(code) or (1, 0)
        return sum(number for year, number in enumerate(by_year) if first <= year <= last)

    for total in sums("AGE", codes):
        over = sum(map(people, total.wholes)) - sum(map(people, total.parts))
        assert over >= 0 if len(total.wholes) == 1 or "_T" in total.wholes else over == 0
