"""The sample's dates move with the reader's day, by whole quarters, and records stay what they were."""

from __future__ import annotations

from datetime import date

import pytest

from deploy.demo.portfolio import months_to_shift, moved, read

AS_OF = date(2026, 11, 15)


@pytest.mark.parametrize(
    ("today", "months"),
    [
        (date(2026, 11, 15), 0),
        (date(2027, 2, 14), 0),
        (date(2027, 2, 15), 3),
        (date(2028, 1, 1), 12),
        (date(2026, 11, 14), -3),
    ],
)
def test_dates_move_by_whole_quarters_and_never_past_today(today: date, months: int) -> None:
    assert months_to_shift(AS_OF, today) == months


def test_days_and_months_move_everywhere_and_nothing_else_does() -> None:
    pilot = {
        "starts_on": "2027-01-01",
        "needs": [{"months": ["2027-11", "2027-12"]}],
        "title": {"en": "Since 2027-01-01"},
        "people_reached": 2027,
        "sources": [{"year": 2021}],
    }
    assert moved(pilot, 3) == {
        "starts_on": "2027-04-01",
        "needs": [{"months": ["2028-02", "2028-03"]}],
        "title": {"en": "Since 2027-01-01"},
        "people_reached": 2027,
        "sources": [{"year": 2021}],
    }


@pytest.mark.parametrize(
    ("day", "months", "later"),
    [
        ("2026-09-30", 3, "2026-12-31"),
        ("2027-11-30", 3, "2028-02-29"),
        ("2026-12-31", -3, "2026-09-30"),
        ("2027-01-30", 1, "2027-02-28"),
        ("2027-01-15", 12, "2028-01-15"),
    ],
)
def test_the_end_of_a_period_stays_the_end_of_a_period(day: str, months: int, later: str) -> None:
    assert moved(day, months) == later


@pytest.mark.parametrize("today", [AS_OF, date(2027, 6, 30), date(2029, 2, 28)])
def test_on_any_day_no_capability_was_confirmed_in_the_future_and_none_has_lapsed_since_the_sample(today: date) -> None:
    sample, shift = read(today=today)
    confirmed = [date.fromisoformat(one["confirmed_on"]) for one in sample.capabilities.values()]
    assert max(confirmed) <= today
    assert (today - max(confirmed)).days <= 100
    assert read(shift=shift)[0] == sample


def test_real_agencies_answer_nothing_in_the_sample() -> None:
    sample, _ = read(today=AS_OF)
    assert sample.answers
    assert {one["agency"] for one in sample.answers} <= sample.invented
    assert {sample.owner_of(one["pilot"]) for one in sample.answers} <= sample.invented
