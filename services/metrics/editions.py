"""What is published of an indicator for a period, and what stays at home to check the next edition against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

from pydantic import Field

from services.metrics import breakdowns
from services.metrics.calendars import Period
from services.metrics.current import Position, Recorded
from services.metrics.observations import Basis, NotCollected, Observation, Span
from services.metrics.plans import IndicatorPlan, Measure
from services.metrics.reading import Record
from services.metrics.suppression import Version
from services.metrics.tables import Cell, Table
from shared.vocabulary.dimensions import TOTAL
from shared.vocabulary.places import PLACES

State = Literal["shown", "kept", "withheld"]


class PublishedFigure(Record):
    """One figure of an edition. `place` is a site id, an ISO 3166-1 alpha-3 code or `_T`.

    `shown`: the figure as it is now. `kept`: it was not renewed, the values are those of edition `since`.
    `withheld`: not published, to protect people; which figures are small is not said.
    """

    place: str
    disaggregation: dict[str, str]
    state: State
    value: float | int | None = None
    numerator: float | int | None = None
    denominator: float | int | None = None
    sample: int | None = None
    uncertainty: float | None = None
    basis: Basis | None = None
    as_of: date | None = None
    since: int | None = None

    @property
    def at(self) -> tuple[str, breakdowns.Breakdown]:
        return self.place, tuple(sorted(self.disaggregation.items()))


class Progress(Record):
    """The payload of `progress.published.v1`: an edition of one indicator's figures for one closed period."""

    pilot: str
    indicator: str
    code: str
    unit: str
    measure: Measure
    contributes_to: tuple[str, ...] = ()
    period: Span
    edition: int = Field(ge=1)
    threshold: int
    figures: tuple[PublishedFigure, ...]
    not_collected: tuple[NotCollected, ...] = ()


class CountedCell(Record):
    """How many people stood behind a figure, and whether it was shown."""

    place: str
    disaggregation: dict[str, str]
    people: int
    shown: bool


class Snapshot(Record):
    """The numbers of people behind an edition. A private fact: it never leaves the node."""

    pilot: str
    indicator: str
    period: Span
    edition: int
    cells: tuple[CountedCell, ...]
    within: dict[str, str]


@dataclass(frozen=True, slots=True)
class Edition:
    """An edition and its snapshot; the first is published, the second stays."""

    progress: Progress
    snapshot: Snapshot

    @property
    def period(self) -> Period:
        return Period(self.progress.period.start, self.progress.period.end)


def snapshot(progress: Progress, table: Table, shown: frozenset[Cell]) -> Snapshot:
    return Snapshot(
        pilot=progress.pilot,
        indicator=progress.indicator,
        period=progress.period,
        edition=progress.edition,
        cells=tuple(
            CountedCell(place=cell.place, disaggregation=dict(cell.breakdown), people=people, shown=cell in shown)
            for cell, people in sorted(table.counts.items())
        ),
        within=dict(table.within),
    )


def version_of(kept: Snapshot) -> Version:
    cells = {Cell(c.place, tuple(sorted(c.disaggregation.items()))): c for c in kept.cells}
    return Version(
        Table({cell: counted.people for cell, counted in cells.items()}, kept.within),
        frozenset(cell for cell, counted in cells.items() if counted.shown),
    )


def as_recorded(progress: Progress, plan: IndicatorPlan, agency: str, at: Position) -> Iterator[Recorded]:
    """The published figures as observations, so that results of other nodes' pilots come from the same rules."""
    for item, figure in enumerate(progress.figures):
        if figure.state == "withheld" or figure.basis is None:
            continue
        ratio = plan.measure == "ratio"
        yield Recorded(
            agency,
            at._replace(item=item),
            Observation(
                id=f"{progress.indicator}/{progress.period.start}/{progress.edition}/{item}",
                indicator=progress.indicator,
                pilot=progress.pilot,
                period=progress.period,
                value=None if ratio else figure.value,
                numerator=figure.numerator,
                denominator=figure.denominator,
                disaggregation=figure.disaggregation,
                basis=figure.basis,
                sample=figure.sample,
                uncertainty=figure.uncertainty,
                not_collected=progress.not_collected,
                site=None if _is_wide(figure.place) else figure.place,
                country=figure.place if _is_wide(figure.place) and figure.place != TOTAL else None,
            ),
        )


def _is_wide(place: str) -> bool:
    """Whether a place is a country or the whole pilot; sites have UUIDs."""
    return place == TOTAL or place in PLACES
