"""Plans, observations and tables that the tests of metrics share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from itertools import product
from typing import Any

from services.metrics.current import Position, Recorded
from services.metrics.observations import Known, Observation
from services.metrics.plans import IndicatorPlan, read_plan
from services.metrics.tables import Cell, Table

TODAY = date(2027, 7, 15)
SITES = {"lusaka": "ZMB", "kasama": "ZMB", "lilongwe": "MWI"}

PLAN: dict[str, Any] = {
    "id": "farmers",
    "pilot": "crop-loss",
    "code": "farmers_warned",
    "title": {"en": "Farmers warned in time"},
    "unit": "people",
    "measure": "count",
    "contributes_to": ["2.3"],
    "baseline": {"value": 0, "on": "2026-12-31"},
    "target": {"value": 1000, "on": "2027-12-31"},
    "owner": "wfp",
}

ROW: dict[str, Any] = {
    "id": "o1",
    "indicator": "farmers",
    "pilot": "crop-loss",
    "site": "lusaka",
    "period": {"start": "2027-04-01", "end": "2027-06-30"},
    "value": 120,
    "basis": "measured",
}

Q1 = {"start": "2027-01-01", "end": "2027-03-31"}
Q2 = {"start": "2027-04-01", "end": "2027-06-30"}


def plan(**changes: Any) -> IndicatorPlan:
    return read_plan(PLAN | changes)


def row(**changes: Any) -> dict[str, Any]:
    return ROW | changes


def known(*plans: IndicatorPlan, **more: Any) -> Known:
    return Known({p.id: p for p in plans or (plan(),)}, TODAY, {"crop-loss": SITES}, **more)


def recorded(*, agency: str = "wfp", sequence: int = 1, item: int = 0, **changes: Any) -> Recorded:
    at = Position(1, sequence, item, f"{agency}.metrics.private")
    return Recorded(agency, at, Observation.model_validate(row(**changes)))


def from_people(people: Mapping[tuple[str, str, str], int], sites: Iterable[str]) -> Table:
    """A table by site, sex and age with all its margins, from the numbers of people in its finest cells."""
    counts: dict[Cell, int] = {}
    for (site, sex, age), number in people.items():
        codes = (("AGE", age), ("SEX", sex))
        for place, by_age, by_sex in product((site, "_T"), (True, False), (True, False)):
            breakdown = tuple(code for code, kept in zip(codes, (by_age, by_sex), strict=True) if kept)
            cell = Cell(place, breakdown)
            counts[cell] = counts.get(cell, 0) + number
    return Table(counts, dict.fromkeys(sites, "_T"))
