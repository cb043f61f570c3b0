"""Results of a pilot's indicator against its plan: value now, expected by now, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Literal

from services.metrics import breakdowns, calendars
from services.metrics.breakdowns import EVERYBODY, Breakdown
from services.metrics.calendars import Period
from services.metrics.current import Recorded
from services.metrics.formulas import Figure, combine, figure_of, over_places, over_time
from services.metrics.observations import Basis, Key
from services.metrics.plans import Design, IndicatorPlan
from shared.vocabulary.dimensions import DIMENSIONS, TOTAL

Status = Literal["on_track", "ahead", "behind", "no_data"]
Level = Literal["strong", "moderate", "limited", "weak", "none"]

LEVELS: tuple[Level, ...] = ("none", "weak", "limited", "moderate", "strong")
TOLERANCE = 0.1
"""On track is within a tenth of the planned change of what is expected by now."""


@dataclass(frozen=True, slots=True)
class Result:
    """One indicator of one pilot.

    `value` is between `low` and `high` (equal unless people may be met twice). `expected` is what the line
    from baseline to target says for `expected_on`, the end of the last period that is over. `progress` is
    the share of the planned change (1 = target met; may be negative). `why` says what is missing where the
    status is `no_data`. `missing` are dimensions of the plan without a figure or a reason in the last period.
    """

    pilot: str
    indicator: str
    code: str
    unit: str
    status: Status
    why: str
    value: float | None
    low: float | None
    high: float | None
    as_of: date | None
    expected: float | None
    expected_on: date | None
    progress: float | None
    evidence: Level
    basis: Basis | None
    sample: int | None
    uncertainty: float | None
    missing: tuple[str, ...]
    periods_without: tuple[str, ...]


def result(
    plan: IndicatorPlan, figures: Mapping[Key, Recorded], today: date, sites: Mapping[str, str] | None = None
) -> Result:
    """The result from the figures that count (`current.current`); `sites` maps the pilot's sites to countries."""
    own = {key: each for key, each in figures.items() if key.indicator == plan.id}
    now = value_of(plan, own, EVERYBODY, sites or {})
    due = calendars.last_closed(plan.calendar, today).end
    expected = expected_on(plan, due)
    status, why = _status(plan, now, expected)
    return Result(
        pilot=plan.pilot,
        indicator=plan.id,
        code=plan.code,
        unit=plan.unit,
        status=status,
        why=why,
        value=now.value if now else None,
        low=now.low if now else None,
        high=now.high if now else None,
        as_of=now.on if now else None,
        expected=expected,
        expected_on=due if expected is not None else None,
        progress=_progress(plan, now.value) if now else None,
        evidence=evidence_level(plan, now),
        basis=now.basis if now else None,
        sample=now.sample if now else None,
        uncertainty=now.uncertainty if now else None,
        missing=_missing(plan, own),
        periods_without=_periods_without(plan, own, today),
    )


def expected_on(plan: IndicatorPlan, day: date) -> float | None:
    """The straight line from baseline to target on a day, level before and after; None without both."""
    if plan.baseline is None or plan.target is None:
        return None
    span = (plan.target.on - plan.baseline.on).days
    gone = min(max((day - plan.baseline.on).days, 0), span)
    return plan.baseline.value + (plan.target.value - plan.baseline.value) * gone / span


def value_of(
    plan: IndicatorPlan, figures: Mapping[Key, Recorded], breakdown: Breakdown, sites: Mapping[str, str]
) -> Figure | None:
    """The value of all places and periods for a breakdown.

    A figure for the whole pilot takes the place of its countries' and sites' in the same period, a
    country's that of its sites.
    """
    by_period: dict[Period, dict[str, dict[Breakdown, Figure]]] = {}
    for key, each in figures.items():
        at_place = by_period.setdefault(key.period, {}).setdefault(key.place, {})
        at_place[key.breakdown] = figure_of(each.observation, plan)
    factor = plan.share_factor or 1
    of_period: dict[Period, dict[str, Figure]] = {}
    for period, places in by_period.items():
        found = {place: figure for place, parts in places.items() if (figure := among(plan, parts, breakdown))}
        if found:
            of_period[period] = found
    rule = over_time(plan)
    if rule == "latest":
        return combine(over_places(plan), _newest_per_place(of_period, sites), factor)
    wholes = [combine(over_places(plan), widest(places, sites), factor) for places in of_period.values()]
    return combine(rule, [whole for whole in wholes if whole is not None], factor)


def _newest_per_place(of_period: Mapping[Period, Mapping[str, Figure]], sites: Mapping[str, str]) -> list[Figure]:
    newest: dict[str, Figure] = {}
    for period in sorted(of_period, key=lambda p: (p.end, p.start)):
        newest.update(of_period[period])
    return widest(newest, sites)


def widest(places: Mapping[str, Figure], sites: Mapping[str, str]) -> list[Figure]:
    """The figures that cover every place once: the wider figure, unless all of its sites have newer ones."""
    wide = {place for place in places if place == TOTAL or place in sites.values()}
    kept = {place for place in wide if not _all_newer(place, places, sites)}
    return [
        figure
        for place, figure in sorted(places.items())
        if (place in kept or place not in wide) and not any(_covers(other, place, sites) for other in kept)
    ]


def _all_newer(wide: str, places: Mapping[str, Figure], sites: Mapping[str, str]) -> bool:
    inside = {place for place in {*places, *sites} if _covers(wide, place, sites) and place not in sites.values()}
    newer = {place for place, figure in places.items() if figure.on > places[wide].on}
    return bool(inside) and all(place in newer or sites.get(place) in newer for place in inside)


def _covers(wide: str, narrow: str, sites: Mapping[str, str]) -> bool:
    return narrow != wide and (wide == TOTAL or sites.get(narrow) == wide)


def among(plan: IndicatorPlan, parts: Mapping[Breakdown, Figure], breakdown: Breakdown) -> Figure | None:
    """The figure for a breakdown, else put together from a dimension that is completely reported."""
    if breakdown in parts:
        return parts[breakdown]
    finer: dict[str, dict[str, Figure]] = {}
    for each, figure in parts.items():
        added = set(each) - set(breakdown)
        if len(added) == 1 and set(breakdown) <= set(each):
            dimension, code = added.pop()
            finer.setdefault(dimension, {})[code] = figure
    rule = over_places(plan)
    for dimension in sorted(finer):
        whole = _complete(dimension, finer[dimension])
        if whole:
            together = [finer[dimension][code] for code in whole]
            return combine("sum" if rule in ("people", "max") else rule, together, plan.share_factor or 1)
    return None


def _complete(dimension: str, codes: Iterable[str]) -> tuple[str, ...] | None:
    """Codes that together are everybody, if these codes hold such a set."""
    codes = set(codes)
    if dimension == "AGE":
        tilings = [s.parts for s in breakdowns.sums("AGE", codes) if s.wholes == (TOTAL,)]
        return next((parts for parts in tilings if _all_ages(parts)), None)
    if dimension == breakdowns.GROUP:  # groups overlap, so that no set of them is everybody once
        return None
    known = DIMENSIONS[dimension]
    listed = set(known.values) - {TOTAL}
    whole = dimension == "DISABILITY_STATUS" or not known.open
    return tuple(sorted(listed)) if whole and listed and listed <= codes else None


def _all_ages(parts: tuple[str, ...]) -> bool:
    bands = sorted(band for code in parts if (band := breakdowns.ages(code)))
    joined = all(after[0] == before[1] + 1 for before, after in pairwise(bands))
    return bool(bands) and joined and bands[0][0] == 0 and bands[-1][1] == breakdowns.OLDEST


def _progress(plan: IndicatorPlan, value: float) -> float | None:
    if plan.baseline is None or plan.target is None or plan.target.value == plan.baseline.value:
        return None
    return (value - plan.baseline.value) / (plan.target.value - plan.baseline.value)


def _status(plan: IndicatorPlan, now: Figure | None, expected: float | None) -> tuple[Status, str]:
    if now is None:
        return "no_data", "no figure has been reported"
    if expected is None or plan.baseline is None or plan.target is None:
        lacking = " and ".join(name for name in ("baseline", "target") if getattr(plan, name) is None)
        return "no_data", f"the plan has no {lacking}"
    planned = plan.target.value - plan.baseline.value
    sign = 1 if plan.direction == "up" else -1
    ahead_by = (now.value - expected) * sign
    margin = TOLERANCE * abs(planned)
    if ahead_by < -margin:
        return "behind", ""
    return ("ahead", "") if ahead_by > margin else ("on_track", "")


_DESIGNS: Mapping[Design, int] = {"comparison": 4, "before_after": 3, "none": 2}


def evidence_level(plan: IndicatorPlan, now: Figure | None) -> Level:
    """How much the design and the data can carry: comparison, before/after or none (DOMAIN section 5).

    One level lower unless measured, never above weak when modelled, one lower with less than the planned
    sample. No figure, no evidence.
    """
    if now is None:
        return "none"
    level = _DESIGNS[plan.evidence.design] - (now.basis != "measured")
    if plan.evidence.sample is not None and (now.sample or 0) < plan.evidence.sample:
        level -= 1
    return LEVELS[max(1, min(level, 1) if now.basis == "modelled" else level)]


def _missing(plan: IndicatorPlan, figures: Mapping[Key, Recorded]) -> tuple[str, ...]:
    if not figures:
        return plan.dimensions
    last = max(key.period.end for key in figures)
    given: set[str] = set()
    for key, each in figures.items():
        if key.period.end == last:
            given |= {name for name, _ in key.breakdown} | set(each.observation.disaggregation)
            given |= {missing.dimension for missing in each.observation.not_collected}
    return tuple(name for name in plan.dimensions if name not in given)


def _periods_without(plan: IndicatorPlan, figures: Mapping[Key, Recorded], today: date) -> tuple[str, ...]:
    if plan.baseline is None:
        return ()
    last = calendars.last_closed(plan.calendar, today).end
    last = min(last, plan.target.on) if plan.target else last
    due = calendars.periods(plan.calendar, plan.baseline.on + timedelta(days=1), last)
    ends = [key.period for key in figures]
    return tuple(
        calendars.name_of(period)
        for period in due
        if not any(period.start <= reported.end and reported.start <= period.end for reported in ends)
    )
