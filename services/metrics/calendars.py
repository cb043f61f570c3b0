"""The periods of a plan's calendar: when figures fall due, and which periods are over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Literal, NamedTuple

Calendar = Literal["monthly", "quarterly", "half_yearly", "yearly"]

_MONTHS: dict[Calendar, int] = {"monthly": 1, "quarterly": 3, "half_yearly": 6, "yearly": 12}
_LETTER: dict[Calendar, str] = {"quarterly": "Q", "half_yearly": "S"}


class Period(NamedTuple):
    """From the first to the last day, both included."""

    start: date
    end: date


def period_of(calendar: Calendar, day: date) -> Period:
    """The period of the calendar year in which `day` lies."""
    months = _MONTHS[calendar]
    first = date(day.year, (day.month - 1) // months * months + 1, 1)
    return Period(first, _after(first, months) - timedelta(days=1))


def periods(calendar: Calendar, first: date, last: date) -> Iterator[Period]:
    """The periods that have a day between `first` and `last`, in order."""
    period = period_of(calendar, first)
    while period.start <= last:
        yield period
        period = period_of(calendar, period.end + timedelta(days=1))


def last_closed(calendar: Calendar, today: date) -> Period:
    """The newest period that was over before `today` began."""
    return period_of(calendar, period_of(calendar, today).start - timedelta(days=1))


def is_closed(period: Period, today: date) -> bool:
    return period.end < today


def name_of(period: Period) -> str:
    """The period as SDMX writes it (`2027-Q1`, `2027-03`, `2027-S2`, `2027`), else `2027-01-05/2027-01-18`.

    SDMX 3.0, section 6, "Observational time period".
    """
    for calendar, months in _MONTHS.items():
        if period == period_of(calendar, period.start):
            year, month = period.start.year, period.start.month
            if calendar == "yearly":
                return f"{year}"
            if calendar == "monthly":
                return f"{year}-{month:02}"
            return f"{year}-{_LETTER[calendar]}{(month - 1) // months + 1}"
    return f"{period.start.isoformat()}/{period.end.isoformat()}"


def _after(first: date, months: int) -> date:
    month = first.month - 1 + months
    return date(first.year + month // 12, month % 12 + 1, 1)
