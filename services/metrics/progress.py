"""From the figures that count to what may be published: closed periods, protected, against every edition so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from services.metrics import breakdowns, calendars
from services.metrics.breakdowns import EVERYBODY, Breakdown
from services.metrics.calendars import Period
from services.metrics.current import Recorded
from services.metrics.editions import Edition, Progress, PublishedFigure, snapshot, version_of
from services.metrics.formulas import Figure, combine, figure_of, over_places, over_time
from services.metrics.observations import Key, NotCollected, Span
from services.metrics.plans import IndicatorPlan
from services.metrics.results import among, widest
from services.metrics.suppression import THRESHOLD, Release, protect
from services.metrics.tables import Cell, Table
from shared.vocabulary.dimensions import TOTAL

OUTCOME = "OUTCOME"
"""The axis of a share: those who are counted in the numerator, and the others."""
COUNTED = (OUTCOME, "YES")


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A closed period of which nothing new is published, and why: `calendar_changed`, `parts_exceed_total`
    (the figures contradict each other: settle the question first), or `too_small` (nothing can be shown)."""

    indicator: str
    period: Period
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Due:
    """What a run publishes, in the order of the periods, and what it holds back."""

    editions: tuple[Edition, ...]
    held_back: tuple[HeldBack, ...]


def due(
    plan: IndicatorPlan,
    figures: Mapping[Key, Recorded],
    today: date,
    *,
    sites: Mapping[str, str] | None = None,
    history: Sequence[Edition] = (),
    threshold: int = THRESHOLD,
) -> Due:
    """The editions to publish for one indicator from the figures that count (`current.current`).

    Only periods of the plan's calendar that are over. `history` is every edition of this indicator so far,
    oldest first. A period whose figures would come out unchanged gives no edition.
    """
    own = {key: each for key, each in figures.items() if key.indicator == plan.id}
    editions: list[Edition] = []
    held: list[HeldBack] = []
    for period in _closed_periods(plan, own, today):
        so_far = [*history, *editions]
        overlap = next((e for e in so_far if e.period != period and _overlap(e.period, period)), None)
        if overlap is not None:
            detail = f"{calendars.name_of(overlap.period)} was published on another calendar; subtraction would tell"
            held.append(HeldBack(plan.id, period, "calendar_changed", detail))
            continue
        made = _edition(plan, _of_period(plan, own, period), period, sites or {}, so_far, threshold)
        if isinstance(made, HeldBack):
            held.append(made)
        elif made is not None:
            editions.append(made)
    return Due(tuple(editions), tuple(held))


def _closed_periods(plan: IndicatorPlan, figures: Iterable[Key], today: date) -> list[Period]:
    found = {calendars.period_of(plan.calendar, key.period.start) for key in figures}
    return sorted(period for period in found if calendars.is_closed(period, today))


def _overlap(one: Period, other: Period) -> bool:
    return one.start <= other.end and other.start <= one.end


@dataclass(frozen=True, slots=True)
class _Content:
    """The figures of a period by cell, and what was not asked."""

    figures: Mapping[Cell, Figure]
    not_collected: tuple[NotCollected, ...]


def _of_period(plan: IndicatorPlan, figures: Mapping[Key, Recorded], period: Period) -> _Content:
    reported: dict[Cell, list[Figure]] = {}
    silent: dict[str, NotCollected] = {}
    for key, each in sorted(figures.items()):
        inside = period.start <= key.period.start and key.period.end <= period.end
        if inside and _may_leave(plan, key.breakdown):
            reported.setdefault(Cell(key.place, key.breakdown), []).append(figure_of(each.observation, plan))
        if inside:
            # dimension and reason alone: what else a reporter wrote there stays at home
            silent.update(
                {
                    one.dimension: NotCollected(dimension=one.dimension, reason=one.reason)
                    for one in each.observation.not_collected
                }
            )
    factor = plan.share_factor or 1
    together = {cell: combine(over_time(plan), each, factor) for cell, each in reported.items()}
    return _Content({cell: figure for cell, figure in together.items() if figure}, tuple(silent.values()))


def _may_leave(plan: IndicatorPlan, breakdown: Breakdown) -> bool:
    """Restricted dimensions never leave the agency; sensitive groups only by the owner's act."""
    for dimension, code in breakdown:
        if breakdowns.is_restricted(dimension):
            return False
        if dimension == breakdowns.GROUP and breakdowns.is_sensitive(code) and code not in plan.released_groups:
            return False
    return True


def _with_totals(plan: IndicatorPlan, figures: Mapping[Cell, Figure], sites: Mapping[str, str]) -> dict[Cell, Figure]:
    """The figures with everybody's at each place and of the whole pilot, where they follow from the parts."""
    complete = dict(figures)
    by_place: dict[str, dict[Breakdown, Figure]] = {}
    for cell, figure in figures.items():
        by_place.setdefault(cell.place, {})[cell.breakdown] = figure
    for place, parts in by_place.items():
        whole = among(plan, parts, EVERYBODY)
        if whole is not None:
            complete[Cell(place, EVERYBODY)] = whole
    everybody = {cell.place: figure for cell, figure in complete.items() if cell.breakdown == EVERYBODY}
    # Of people who may be met at two places only bounds are known; readers compute them from what is shown.
    if TOTAL not in by_place and over_places(plan) in ("sum", "ratio", "average"):
        whole = combine(over_places(plan), widest(everybody, sites), plan.share_factor or 1)
        if whole is not None:
            complete[Cell(TOTAL, EVERYBODY)] = whole
    return complete


def _people(plan: IndicatorPlan, figures: Mapping[Cell, Figure]) -> dict[Cell, int]:
    """How many people stand behind each figure, where that is known."""
    counts: dict[Cell, int] = {}
    for cell, figure in figures.items():
        if plan.counts_people:
            counts[cell] = int(figure.value)
        elif figure.denominator is not None:
            counts[cell] = int(figure.denominator)
            if plan.share_factor is not None and figure.numerator is not None:
                counts[_counted(cell)] = int(figure.numerator)
        elif figure.sample is not None:
            counts[cell] = figure.sample
    return counts


def _counted(cell: Cell) -> Cell:
    return Cell(cell.place, tuple(sorted([*cell.breakdown, COUNTED])))


def _edition(
    plan: IndicatorPlan,
    content: _Content,
    period: Period,
    sites: Mapping[str, str],
    so_far: Sequence[Edition],
    threshold: int,
) -> Edition | HeldBack | None:
    figures = _with_totals(plan, content.figures, sites)
    countries = dict.fromkeys((cell.place for cell in figures if cell.place != TOTAL), TOTAL)
    table = Table(_people(plan, figures), {**countries, **sites, **dict.fromkeys(sites.values(), TOTAL)})
    same_period = [edition for edition in so_far if edition.period == period]
    compared = list(so_far) if _running(plan) else same_period
    if plan.protects_people:
        release = protect(table, [version_of(edition.snapshot) for edition in compared], threshold)
        if release.broken:
            places = ", ".join(sorted({cell.place for cell in release.broken}))
            return HeldBack(plan.id, period, "parts_exceed_total", f"the parts exceed their whole at {places}")
        shown = {cell for cell in figures if _all_shown(plan, cell, release)}
    else:
        release, shown = Release(frozenset(table.counts)), set(figures)
    progress = Progress(
        pilot=plan.pilot,
        indicator=plan.id,
        code=plan.code,
        unit=plan.unit,
        measure=plan.measure,
        contributes_to=plan.contributes_to,
        period=Span(start=period.start, end=period.end),
        edition=len(same_period) + 1,
        threshold=threshold if plan.protects_people else 0,
        figures=tuple(_published(cell, figures[cell], shown, same_period) for cell in sorted(figures)),
        not_collected=content.not_collected,
    )
    if not shown and not same_period:
        return HeldBack(plan.id, period, "too_small", f"no figure stands for {threshold} people or more")
    if same_period and progress.figures == same_period[-1].progress.figures:
        return None
    return Edition(progress, snapshot(progress, table, release.shown))


def _running(plan: IndicatorPlan) -> bool:
    """Whether figures are running totals of people: then one period less the one before are the newcomers."""
    return plan.counts_people and over_time(plan) == "latest"


def _all_shown(plan: IndicatorPlan, cell: Cell, release: Release) -> bool:
    needed = {cell, _counted(cell)} if plan.share_factor is not None else {cell}
    return needed <= release.shown


def _published(cell: Cell, figure: Figure, shown: set[Cell], editions: Sequence[Edition]) -> PublishedFigure:
    codes = dict(cell.breakdown)
    if cell in shown:
        return PublishedFigure(
            place=cell.place,
            disaggregation=codes,
            state="shown",
            value=figure.value,
            numerator=figure.numerator,
            denominator=figure.denominator,
            sample=figure.sample,
            uncertainty=figure.uncertainty,
            basis=figure.basis,
            as_of=figure.on,
        )
    for edition in reversed(editions):
        for before in edition.progress.figures:
            if before.at == cell and before.state == "shown":
                return before.model_copy(update={"state": "kept", "since": edition.progress.edition})
    return PublishedFigure(place=cell.place, disaggregation=codes, state="withheld")
