"""Observations: what was seen, where, when, among whom; read row by row with every fault of every row."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, field_validator

from services.metrics import breakdowns
from services.metrics.breakdowns import Breakdown
from services.metrics.calendars import Period, period_of
from services.metrics.plans import Agency, IndicatorPlan, restricted
from services.metrics.reading import Day, Number, Record, Words, join, latin_digits, read
from shared.problems import Fault, Invalid
from shared.vocabulary.dimensions import TOTAL
from shared.vocabulary.places import PLACES

Basis = Literal["measured", "estimated", "reported", "modelled"]

MOST_FAULTS = 200
"""Faults said of one upload; a worse one is not worth reading to its end."""

_ISO3 = re.compile(r"[A-Z]{3}")


class Span(Record):
    """From the first to the last day, both included."""

    start: Day
    end: Day


class NotCollected(Record):
    """A dimension that was not asked, and why: silence is no zero."""

    dimension: str
    reason: Literal["unsafe", "not_asked", "cost", "consent"]


class Observation(Record):
    """One figure. `site` or `country` None and None: the pilot as a whole. `sample`: people asked or measured.

    A ratio gives `numerator` and `denominator`; everything else `value`, in `unit`. `supersedes` names the
    agency's own observation that this one corrects. `lead` is the agency whose indicator and pilot these are; left out,
    they are the reporting agency's own, or those of the only agency that has an indicator with this id.
    """

    id: Annotated[str, Field(min_length=1, max_length=128)]
    indicator: str
    pilot: str
    period: Span
    site: str | None = None
    country: str | None = None
    value: Number | None = None
    numerator: Number | None = None
    denominator: Number | None = None
    unit: str | None = None
    disaggregation: dict[str, str] = Field(default_factory=dict)
    basis: Basis
    reporter: str | None = None
    method: Words | str | None = None
    sample: Annotated[int, Field(ge=0)] | None = None
    uncertainty: Annotated[Number, Field(ge=0)] | None = None
    supersedes: str | None = None
    not_collected: tuple[NotCollected, ...] = ()
    lead: Agency | None = None

    @field_validator("disaggregation", mode="after")
    @classmethod
    def _plain_codes(cls, posted: dict[str, str]) -> dict[str, str]:
        return {name: latin_digits(code) for name, code in posted.items()}

    @property
    def place(self) -> str:
        """The site's id, else the country's ISO 3166-1 alpha-3 code, else `_T` for the whole pilot."""
        return self.site or self.country or TOTAL

    @property
    def amount(self) -> float:
        """The value, or numerator by denominator; not a number when the denominator is 0."""
        if self.value is not None:
            return self.value
        if self.numerator is None or not self.denominator:
            return float("nan")
        return self.numerator / self.denominator

    @property
    def key(self) -> Key:
        return Key(
            self.indicator,
            self.pilot,
            self.place,
            Period(self.period.start, self.period.end),
            breakdowns.of(self.disaggregation),
        )


class Key(NamedTuple):
    """What one figure is about. At any time one agency owns it, and one figure counts."""

    indicator: str
    pilot: str
    place: str
    period: Period
    breakdown: Breakdown


@dataclass(frozen=True, slots=True)
class Known:
    """What observations are checked against.

    `plans` by indicator id; `sites` maps each pilot's site ids to countries; `allowed` are the restricted
    dimensions that an assessment lets a pilot's site ask; `earlier` are the ids of the agency's observations
    so far (None: not known here, then `supersedes` is not checked).
    """

    plans: Mapping[str, IndicatorPlan]
    today: date
    sites: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    allowed: Mapping[tuple[str, str], Collection[str]] = field(default_factory=dict)
    earlier: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The observations of an upload, with notices: things that are odd and were taken all the same."""

    observations: tuple[Observation, ...]
    notices: tuple[Fault, ...]


def read_observations(rows: Sequence[object], known: Known) -> Accepted:
    """Reads an upload. Either every row is good, or `Invalid` lists every fault of every row, up to `MOST_FAULTS`:
    then it says from which row on nothing was looked at.

    Paths carry the row's number from 0, as in `[17].disaggregation.SEX`; empty lines of
    NDJSON are not counted.
    """
    observations: list[Observation] = []
    faults: list[Fault] = []
    notices: list[Fault] = []
    first: dict[object, int] = {}
    for number, row in enumerate(rows):
        path = f"[{number}]"
        result = read(Observation, row, path)
        faults += result.faults
        faults += _between_fields(result.values, known, path)
        if len(faults) >= MOST_FAULTS:
            if number + 1 < len(rows):
                detail = f"rows from [{number + 1}] on were not looked at: mend these first"
                faults.append(Fault(path, "more_rows", detail))
            raise Invalid(sorted(set(faults), key=_row_order))
        if result.model is None:
            continue
        observations.append(result.model)
        notices += _notices(result.model, known, path)
        for name, same in (("id", result.model.id), ("", result.model.key)):
            earlier = first.setdefault(same, number)
            if earlier != number:
                detail = f"row [{earlier}] has the same {name or 'indicator, place, period and breakdown'}"
                faults.append(Fault(join(path, (name,) if name else ()), "repeated_row", detail))
    faults += _unknown_predecessors(rows, observations, known)
    if faults:
        raise Invalid(sorted(set(faults), key=_row_order))
    return Accepted(tuple(observations), tuple(notices))


def _row_order(fault: Fault) -> tuple[int, str, str]:
    number = fault.field[1 : fault.field.find("]")]
    return int(number), fault.field, fault.code


def _unknown_predecessors(rows: Sequence[object], observations: Sequence[Observation], known: Known) -> Iterator[Fault]:
    if known.earlier is None:
        return
    posted = {observation.id for observation in observations}
    for number, row in enumerate(rows):
        named = row.get("supersedes") if isinstance(row, Mapping) else None
        if isinstance(named, str) and named not in posted and named not in known.earlier:
            detail = f"{named!r} is no observation of this agency; name the id that this row corrects"
            yield Fault(f"[{number}].supersedes", "unknown_observation", detail)


def _between_fields(values: Mapping[str, Any], known: Known, path: str) -> Iterator[Fault]:
    plan = known.plans.get(values.get("indicator", ""))
    if plan is None and "indicator" in values:
        detail = f"there is no plan for indicator {values['indicator']!r}; post the plan first"
        yield Fault(join(path, ("indicator",)), "unknown_indicator", detail)
    if plan and "pilot" in values and values["pilot"] != plan.pilot:
        detail = f"the indicator belongs to pilot {plan.pilot}"
        yield Fault(join(path, ("pilot",)), "unknown_pilot", detail)
    yield from _when(values, known.today, path)
    yield from _where(values, known, path)
    yield from _who(values, known, path)
    if plan:
        yield from _how_much(values, plan, path)


def _when(values: Mapping[str, Any], today: date, path: str) -> Iterator[Fault]:
    span: Span | None = values.get("period")
    if span is None:
        return
    if span.end < span.start:
        detail = f"the period ends on {span.end}, before it starts on {span.start}"
        yield Fault(join(path, ("period", "end")), "impossible_date", detail)
    elif span.end > today and values.get("basis") in ("measured", "reported"):
        detail = f"nothing can have been {values['basis']} up to {span.end}, which is still to come"
        yield Fault(join(path, ("period", "end")), "impossible_date", detail)


def _where(values: Mapping[str, Any], known: Known, path: str) -> Iterator[Fault]:
    site, country = values.get("site"), values.get("country")
    sites = known.sites.get(values.get("pilot", ""), {})
    if site is not None and site not in sites:
        yield Fault(join(path, ("site",)), "unknown_site", f"{site!r} is no site of this pilot")
    if country is not None and (not _ISO3.fullmatch(country) or country not in PLACES):
        detail = f"{country!r} is no ISO 3166-1 alpha-3 code; write ZMB for Zambia"
        yield Fault(join(path, ("country",)), "unknown_place", detail)
    elif country is not None and site is not None and sites.get(site, country) != country:
        detail = f"site {site} lies in {sites[site]}; leave the country out or mend it"
        yield Fault(join(path, ("country",)), "contradiction", detail)


def _who(values: Mapping[str, Any], known: Known, path: str) -> Iterator[Fault]:
    place = values.get("site") or values.get("country") or TOTAL
    allowed = known.allowed.get((values.get("pilot", ""), place), ())
    asked = values.get("disaggregation", {})
    for dimension, code in asked.items():
        where = join(path, ("disaggregation", dimension))
        if breakdowns.is_restricted(dimension) and dimension not in allowed:
            yield restricted(where, dimension)
        else:
            fault = breakdowns.fault_of(where, dimension, code, below_country=values.get("site") is not None)
            if fault:
                yield fault
    for position, missing in enumerate(values.get("not_collected", ())):
        where = join(path, ("not_collected", position, "dimension"))
        if not breakdowns.is_known(missing.dimension):
            yield breakdowns.unknown_dimension(where, missing.dimension)
        elif asked.get(missing.dimension, TOTAL) != TOTAL:
            yield Fault(where, "contradiction", f"{missing.dimension} is given and said not to be collected")


def _how_much(values: Mapping[str, Any], plan: IndicatorPlan, path: str) -> Iterator[Fault]:
    unit = values.get("unit")
    if unit is not None and unit != plan.unit:
        detail = f"the plan's unit is {plan.unit!r}, not {unit!r}; convert the figure"
        yield Fault(join(path, ("unit",)), "wrong_unit", detail)
    wanted = ("numerator", "denominator") if plan.measure == "ratio" else ("value",)
    for name in ("value", "numerator", "denominator"):
        if name not in values:  # posted and malformed: said already
            continue
        number = values[name]
        if number is None and name in wanted:
            detail = f"a {plan.measure} needs {' and '.join(wanted)}; leave the row out where nothing is known"
            yield Fault(join(path, (name,)), "missing", detail)
        elif number is not None and name not in wanted:
            detail = f"a {plan.measure} is given by {' and '.join(wanted)} alone"
            yield Fault(join(path, (name,)), "contradiction", detail)
        elif number is not None:
            yield from _amount(join(path, (name,)), name, number, plan)
    numerator, denominator = values.get("numerator"), values.get("denominator")
    if plan.share_factor and numerator is not None and denominator is not None and numerator > denominator:
        detail = f"{numerator} of {denominator} is more than the whole"
        yield Fault(join(path, ("numerator",)), "more_than_whole", detail)


def _amount(where: str, name: str, number: float, plan: IndicatorPlan) -> Iterator[Fault]:
    people = plan.counts_people or (plan.share_factor is not None and plan.protects_people)
    if people and number < 0:
        yield Fault(where, "negative_people", f"{number} people is not possible")
    elif people and number != int(number):
        yield Fault(where, "part_of_a_person", f"people are counted whole, not {number}")
    elif name == "denominator" and number <= 0:
        yield Fault(
            where, "out_of_range", "the denominator must be greater than 0; leave the row out if it is not known"
        )


def _notices(observation: Observation, known: Known, path: str) -> Iterator[Fault]:
    plan = known.plans.get(observation.indicator)
    span = observation.period
    if plan and period_of(plan.calendar, span.start) != period_of(plan.calendar, span.end):
        detail = f"runs over more than one period of the {plan.calendar} calendar: it counts and is not published"
        yield Fault(join(path, ("period",)), "spans_periods", detail)
    if plan and plan.protects_people and not plan.counts_people and plan.measure != "ratio" and not observation.sample:
        detail = "without `sample`, the number of people behind it, this figure counts and cannot be published"
        yield Fault(join(path, ("sample",)), "not_publishable", detail)
    if observation.uncertainty is not None and observation.basis == "reported":
        yield Fault(join(path, ("uncertainty",)), "unusual", "a reported figure seldom has a margin of its own")
