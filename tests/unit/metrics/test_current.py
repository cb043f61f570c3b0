"""Which figure counts, whatever the order in which observations arrive."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st
from metrics_examples import plan, recorded

from services.metrics.current import Current, Recorded, current, record
from services.metrics.observations import Key

PLANS = {"farmers": plan()}


def owner_is_wfp(_: Key) -> str:
    return "wfp"


def folded(*rows: Recorded) -> Current:
    return current(record({}, rows), owner_is_wfp, PLANS)


def amounts(found: Current) -> list[float]:
    return [each.observation.amount for each in found.figures.values()]


def kinds(found: Current) -> list[str]:
    return [question.kind for question in found.questions]


def test_a_correction_takes_the_place_of_what_it_supersedes() -> None:
    first, second = recorded(value=100), recorded(id="o2", sequence=2, value=90, supersedes="o1")
    for order in permutations((first, second)):
        found = folded(*order)
        assert amounts(found) == [90]
        assert found.questions == ()


def test_a_correction_may_move_a_figure_to_another_key() -> None:
    found = folded(recorded(value=100), recorded(id="o2", sequence=2, site="kasama", value=100, supersedes="o1"))
    assert [key.place for key in found.figures] == ["kasama"]


def test_nobody_corrects_the_figure_of_another_agency() -> None:
    found = folded(recorded(value=100), recorded(agency="fao", id="o2", value=3, supersedes="o1"))
    assert amounts(found) == [100]
    assert "supersedes_nothing" in kinds(found)


def test_two_agencies_that_differ_are_a_question_and_never_a_sum() -> None:
    found = folded(recorded(value=100), recorded(agency="fao", id="f1", value=140))
    assert amounts(found) == [100]
    assert kinds(found) == ["difference"]
    assert folded(recorded(value=100), recorded(agency="fao", id="f1", value=100)).questions == ()


def test_a_figure_without_its_owner_does_not_count() -> None:
    found = folded(recorded(agency="fao", value=140))
    assert found.figures == {}
    assert kinds(found) == ["no_owner_figure"]


def test_two_figures_of_one_agency_for_one_key_are_a_question() -> None:
    found = folded(recorded(value=100), recorded(id="o2", sequence=2, value=90))
    assert amounts(found) == [90]
    assert kinds(found) == ["two_versions"]


def test_observations_that_correct_each_other_in_a_circle_are_not_lost() -> None:
    found = folded(recorded(value=100, supersedes="o2"), recorded(id="o2", sequence=2, value=90, supersedes="o1"))
    assert amounts(found) == [90]


def test_parts_that_exceed_their_whole_are_a_question() -> None:
    whole = recorded(value=100)
    women = recorded(id="o2", value=70, disaggregation={"SEX": "F"})
    men = recorded(id="o3", value=60, disaggregation={"SEX": "M"})
    assert kinds(folded(whole, women, men)) == ["parts_exceed_total"]
    assert kinds(folded(whole, women)) == []


def test_an_id_that_is_recorded_again_yields_to_the_later_one_only() -> None:
    early, late = recorded(value=1), recorded(sequence=9, value=2)
    for order in permutations((early, late)):
        assert amounts(folded(*order)) == [2]


uploads = st.lists(
    st.builds(
        lambda agency, sequence, number, value, supersedes, sex: recorded(
            agency=agency,
            sequence=sequence,
            id=f"o{number}",
            value=value,
            supersedes=supersedes,
            disaggregation={"SEX": sex},
        ),
        st.sampled_from(("wfp", "fao")),
        st.integers(1, 6),
        st.integers(1, 5),
        st.integers(0, 200),
        st.none() | st.sampled_from([f"o{n}" for n in range(1, 7)]),
        st.sampled_from(("F", "M", "_T")),
    ),
    max_size=8,
    unique_by=lambda r: (r.agency, r.at),
)


@settings(max_examples=300, deadline=None)
@given(uploads.flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows), st.integers(0, len(rows)))))
def test_any_order_and_any_repetition_gives_the_same_current_set(
    case: tuple[list[Recorded], list[Recorded], int],
) -> None:
    rows, shuffled, cut = case
    at_once = current(record({}, rows), owner_is_wfp, PLANS)
    in_two_goes = record(record({}, shuffled[:cut]), [*shuffled[cut:], *shuffled[:cut]])
    again = current(in_two_goes, owner_is_wfp, PLANS)
    assert again == at_once
