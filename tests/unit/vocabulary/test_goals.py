"""Goals, targets and indicators: complete, consistent and found by the codes that people write."""

from __future__ import annotations

import hashlib
import re

import pytest

from shared.vocabulary import sdg


def test_the_framework_is_complete():
    distinct = {sdg.canonical(code) for code in sdg.INDICATORS}
    assert (len(sdg.GOALS), len(sdg.TARGETS), len(sdg.INDICATORS), len(distinct)) == (17, 169, 247, 231)


def test_the_repeated_indicators_form_twelve_groups():
    assert len({indicator.same_as for indicator in sdg.INDICATORS.values()} - {None}) == 12


def test_the_codes_are_those_of_the_published_framework():
    # The digest was taken from the framework's own list (before the 2025 review): each code, and what it repeats.
    codes = [*sdg.TARGETS, *(f"{entry.code}={entry.same_as or ''}" for entry in sdg.INDICATORS.values())]
    digest = hashlib.sha256("\n".join(sorted(codes)).encode()).hexdigest()
    assert digest == "95be8c26d11321bbc822b96f0e950ba3fa9d3543c760fb6afcdf42c85424bcd9"


def test_codes_follow_the_numbering_of_the_framework():
    assert list(sdg.GOALS) == [str(number) for number in range(1, 18)]
    assert all(re.fullmatch(r"\d+\.(\d+|[a-d])", code) for code in sdg.TARGETS)
    assert all(re.fullmatch(r"\d+\.(\d+|[a-d])\.\d", code) for code in sdg.INDICATORS)


def test_every_target_has_its_goal_and_every_indicator_its_target():
    assert {target.goal for target in sdg.TARGETS.values()} == set(sdg.GOALS)
    without_indicator = {"11.c"}
    assert {indicator.target for indicator in sdg.INDICATORS.values()} == set(sdg.TARGETS) - without_indicator


def test_a_repeated_indicator_is_kept_once():
    assert sdg.canonical("13.1.1") == sdg.canonical("11.5.1") == sdg.canonical("1.5.1") == "1.5.1"
    assert sdg.INDICATORS["13.1.1"].label == sdg.INDICATORS["1.5.1"].label


def test_a_canonical_code_stands_for_itself():
    for indicator in sdg.INDICATORS.values():
        if indicator.same_as is not None:
            assert sdg.INDICATORS[indicator.same_as].same_as is None
            assert indicator.same_as != indicator.code


@pytest.mark.parametrize(("written", "kept"), [(" 1.A ", "1.a"), ("2.3", "2.3"), ("17", "17"), ("16.B.1", "10.3.1")])
def test_codes_are_found_as_people_write_them(written, kept):
    assert sdg.canonical(written) == kept


@pytest.mark.parametrize("written", ["", "18", "2.9", "2.3.9", "٢.٣", "poverty"])
def test_what_the_framework_does_not_have_is_not_found(written):
    assert sdg.canonical(written) is None


@pytest.mark.parametrize(("code", "goal"), [("2", "2"), ("2.3", "2"), ("2.3.1", "2"), ("10.a.1", "10")])
def test_each_code_belongs_to_a_goal(code, goal):
    assert sdg.goal_of(code) == goal


@pytest.mark.parametrize("code", ["99", "2.99", "2.3.99", ""])
def test_a_code_that_does_not_exist_belongs_to_no_goal(code):
    with pytest.raises(KeyError):
        sdg.goal_of(code)


def test_our_labels_are_short_and_the_official_wording_is_not_shipped():
    everything = [*sdg.GOALS.values(), *sdg.TARGETS.values(), *sdg.INDICATORS.values()]
    assert max(len(label) for entry in everything for label in entry.label.values()) <= 90
    assert not any(entry.official for entry in everything)
