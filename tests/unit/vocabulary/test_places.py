"""Places: who is in which group on which day, how rich, and how many live in extreme poverty."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pytest

from shared.vocabulary import places, tables

ROOT = Path(__file__).parents[3]
BEFORE_GRADUATION = date(2026, 11, 22)
AFTER_GRADUATION = date(2026, 11, 25)


def members(group: places.CountryGroup, on: date) -> set[str]:
    return {iso3 for iso3 in places.PLACES if places.status(iso3, group, on).member}


def test_the_committed_places_are_those_of_the_library():
    # In a process of its own, because the library leaves its file open, which is an error here.
    command = [sys.executable, "-m", "deploy.vocabulary.places", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_place_has_its_codes_and_a_name_in_six_languages():
    assert len(places.PLACES) == 249
    for place in places.PLACES.values():
        assert set(place.names) == set(tables.LANGUAGES), place.iso3
        assert len(place.iso2) == 2
        assert len(place.m49) == 3
        assert place.m49.isdigit()
    assert len({place.m49 for place in places.PLACES.values()}) == 249


@pytest.mark.parametrize("written", ["ZMB", "zmb", "ZM", "894", " 894 "])
def test_a_place_is_found_by_any_of_its_codes(written):
    assert places.iso3_of(written) == "ZMB"


def test_a_place_is_found_by_an_m49_code_that_lost_its_zeros():
    assert places.iso3_of("4") == places.iso3_of("004") == "AFG"


@pytest.mark.parametrize("written", ["", "Zambia", "001", "202", "XX", "٨٩٤"])
def test_regions_and_unknown_codes_are_no_place(written):
    assert places.iso3_of(written) is None


def test_places_stand_in_named_regions():
    zambia = places.PLACES["ZMB"]
    assert (zambia.region, zambia.sub_region, zambia.intermediate_region) == (
        "Africa",
        "Sub-Saharan Africa",
        "Eastern Africa",
    )
    assert places.REGIONS["Eastern Africa"].within == "Sub-Saharan Africa"
    assert places.REGIONS["Eastern Africa"].label["fr"] == "Afrique orientale"


def test_there_are_forty_four_ldcs_thirty_two_lldcs_and_fifty_three_sids():
    assert len(members("ldc", BEFORE_GRADUATION)) == 44
    assert len(members("lldc", BEFORE_GRADUATION)) == 32
    assert len(members("sids", BEFORE_GRADUATION)) == 53


def test_lao_pdr_is_an_ldc_up_to_the_day_before_it_graduates():
    before = places.status("LAO", "ldc", BEFORE_GRADUATION)
    assert (before.member, before.status, before.valid_to) == (True, "scheduled", date(2026, 11, 24))
    assert places.status("LAO", "ldc", date(2026, 11, 23)).member
    assert not places.status("LAO", "ldc", date(2026, 11, 24)).member
    assert not places.status("LAO", "ldc", AFTER_GRADUATION).member


@pytest.mark.parametrize("iso3", ["BGD", "NPL"])
def test_where_a_deferral_was_asked_for_the_status_is_open_and_says_so(iso3):
    after = places.status(iso3, "ldc", AFTER_GRADUATION)
    assert (after.member, after.status, after.valid_to) == (True, "under_review", None)
    assert "deferral" in after.source
    assert after.checked_on == BEFORE_GRADUATION


@pytest.mark.parametrize(
    ("iso3", "graduated_on"),
    [("BWA", date(1994, 12, 19)), ("VUT", date(2020, 12, 4)), ("BTN", date(2023, 12, 13)), ("STP", date(2024, 12, 13))],
)
def test_a_country_that_graduated_was_a_member_until_then(iso3, graduated_on):
    assert places.status(iso3, "ldc", graduated_on - timedelta(days=1)).member
    assert not places.status(iso3, "ldc", graduated_on).member
    assert places.status(iso3, "ldc", graduated_on).status == "decided"


def test_sao_tome_is_no_ldc_in_2025_and_still_a_small_island_state():
    assert not places.status("STP", "ldc", date(2025, 6, 1)).member
    assert places.status("STP", "sids", date(2025, 6, 1)).member


def test_a_country_is_no_member_before_it_was_included():
    assert not places.status("SSD", "ldc", date(2011, 12, 31)).member
    assert places.status("SSD", "ldc", date(2013, 1, 1)).member


def test_who_was_never_in_a_group_is_not_with_a_source_and_a_day():
    kenya = places.status("KEN", "ldc", BEFORE_GRADUATION)
    assert (kenya.member, kenya.status, kenya.checked_on) == (False, "decided", BEFORE_GRADUATION)
    assert "CDP" in kenya.source


def test_singapore_is_a_small_island_state_and_rich():
    assert places.status("SGP", "sids", BEFORE_GRADUATION).member
    assert places.income("SGP") == "high"


def test_unknown_places_and_groups_are_refused():
    with pytest.raises(KeyError):
        places.status("XXX", "ldc", BEFORE_GRADUATION)
    with pytest.raises(KeyError):
        places.extreme_poverty("XXX")
    with pytest.raises(KeyError):
        places.income("XXX")
    with pytest.raises(ValueError, match="none of ldc, lldc, sids"):
        places.status("ZMB", "g77", BEFORE_GRADUATION)  # type: ignore[arg-type]  # what a caller must not do


def test_all_poverty_figures_stand_on_one_line_with_year_and_source():
    figures = list(places.POVERTY.values())
    assert {(figure.line, figure.price_base) for figure in figures} == {(3.0, "2021 PPP")}
    for figure in figures:
        assert 0 <= figure.share <= 1
        assert 2010 <= figure.year <= 2025
        assert "World Bank" in figure.source


def test_a_poverty_figure_is_a_share_and_not_a_percentage():
    zambia = places.extreme_poverty("ZMB")
    assert zambia is not None
    assert (zambia.share, zambia.year) == (0.7166, 2022)


def test_no_high_income_place_has_a_poverty_figure():
    assert "high" not in {places.income(iso3) for iso3 in places.POVERTY}


def test_where_the_source_has_no_figure_there_is_none():
    for iso3 in ("AFG", "SOM", "KHM"):
        assert places.extreme_poverty(iso3) is None
        assert places.income(iso3) is not None


def test_most_low_and_middle_income_places_have_a_figure():
    classes = Counter(
        (places.income(iso3), iso3 in places.POVERTY)
        for iso3 in places.PLACES
        if places.income(iso3) not in (None, "high")
    )
    assert classes["low", True] >= 19
    assert classes["lower_middle", True] >= 43
