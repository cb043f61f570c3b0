"""Indicator plans: what a pilot promised to watch, from where to where, who reports it and how sure it will be."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from services.metrics import breakdowns
from services.metrics.calendars import Calendar
from services.metrics.reading import Day, Number, Read, Record, Words, join, latin_digits, read
from shared.problems import Fault, Invalid
from shared.vocabulary import dimensions, sdg
from shared.vocabulary.dimensions import TOTAL

Measure = Literal["count", "sum", "average", "latest", "ratio", "people_reached"]
Formula = Literal["sum", "max", "average", "latest", "ratio"]
Design = Literal["comparison", "before_after", "none"]

# fmt: off
PEOPLE = frozenset({
    "people", "persons", "households", "families", "children", "women", "girls", "boys", "men", "patients",
    "farmers", "students", "pupils", "teachers", "workers", "refugees", "users",
})
"""Units in which a figure counts people or groups of people: whole, not negative, protected when small."""

THINGS = frozenset({
    "ha", "km", "km2", "m", "m2", "m3", "t", "kg", "l", "kwh", "mw", "usd", "eur", "hours", "days", "sites",
    "devices", "schools", "health_facilities", "messages", "alerts", "maps", "datasets", "models", "images",
    "documents", "districts", "villages", "core_hours", "gpu_hours", "aircraft", "channels", "services",
})
# fmt: on
"""Units in which nobody can be recognised, so that a small figure may be shown."""

SHARES = {"percent": 100, "%": 100, "share": 1, "proportion": 1}
"""Units of a part of a whole, with the factor from numerator/denominator to the unit."""


def _sdg(code: str) -> str:
    canonical = sdg.canonical(latin_digits(code))
    if canonical is None:
        raise PydanticCustomError(
            "unknown_code", "{code} is no goal, target or indicator of the framework; write 2, 2.3 or 2.3.1",
            {"code": repr(code)},
        )  # fmt: skip
    return canonical


def _dimension(code: str) -> str:
    if code not in dimensions.DIMENSIONS:
        known = ", ".join(sorted(dimensions.DIMENSIONS))
        raise PydanticCustomError(
            "unknown_dimension", "{code} is no dimension; known are {known}", {"code": repr(code), "known": known}
        )
    return code


def expected() -> tuple[str, ...]:
    """The dimensions that are asked for by themselves: sex, age, disability (DOMAIN section 5)."""
    return tuple(code for code, dimension in dimensions.DIMENSIONS.items() if dimension.expected)


Agency = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,31}$")]


class Point(Record):
    """A value on a day, in the indicator's unit."""

    value: Number
    on: Day


class Evidence(Record):
    """How the plan will know that the pilot made the difference. `comparison` says against whom."""

    design: Design = "none"
    comparison: Words | None = None
    sample: Annotated[int, Field(ge=0)] | None = None


class IndicatorPlan(Record):
    """One indicator of one pilot.

    `owners` names the agency that reports per site id, country (ISO 3166-1 alpha-3) or `_T` for everything
    else; `owner` is the same for all places. `over_time` and `over_places` say how figures are put together
    where the measure's own rule does not fit (see `results`). `places_apart`: nobody is counted at two places.
    `about_people: false` says that no person stands behind the figures, whatever the unit is called.
    `released_groups`: sensitive target groups that the owner lets out, never below country level.
    """

    id: Annotated[str, Field(min_length=1)]
    pilot: Annotated[str, Field(min_length=1)]
    code: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
    title: Words
    unit: Annotated[str, Field(min_length=1, max_length=64)]
    measure: Measure
    direction: Literal["up", "down"] = "up"
    contributes_to: tuple[Annotated[str, AfterValidator(_sdg)], ...] = ()
    baseline: Point | None = None
    target: Point | None = None
    calendar: Calendar = "quarterly"
    dimensions: tuple[Annotated[str, AfterValidator(_dimension)], ...] = Field(default_factory=expected)
    owner: Agency | None = None
    owners: dict[str, Agency] = Field(default_factory=dict)
    evidence: Evidence = Evidence()
    shared_reach_with: tuple[str, ...] = ()
    over_time: Formula | None = None
    over_places: Formula | None = None
    places_apart: bool = False
    about_people: bool | None = None
    released_groups: tuple[str, ...] = ()

    @property
    def counts_people(self) -> bool:
        """Whether a value is itself a number of people."""
        if self.measure == "people_reached":
            return True
        return self.measure in ("count", "sum", "latest") and self.unit.lower() in PEOPLE

    @property
    def protects_people(self) -> bool:
        """Whether small figures are withheld. Unless the plan or the unit says that these are things: yes."""
        if self.counts_people:
            return True
        return self.unit.lower() not in THINGS if self.about_people is None else self.about_people

    @property
    def share_factor(self) -> int | None:
        """100 for a percentage, 1 for a share; None when the ratio is no part of a whole."""
        return SHARES.get(self.unit.lower()) if self.measure == "ratio" else None

    def owner_at(self, place: str, country: str | None, lead: str) -> str:
        """The one agency whose figure counts at a place: the site's, else the country's, else the plan's."""
        for key in (place, country):
            if key is not None and key in self.owners:
                return self.owners[key]
        return self.owners.get(TOTAL) or self.owner or lead


def read_plan(
    posted: object,
    *,
    allowed: Collection[str] = (),
    sites: Mapping[str, str] | None = None,
    path: str = "",
) -> IndicatorPlan:
    """The plan, or `Invalid` with every fault.

    `allowed` are the restricted dimensions that the pilot's assessment lets it ask; `sites` maps the pilot's
    site ids to countries (None: not known yet, then owners are not checked against them).
    """
    result = read(IndicatorPlan, posted, path)
    faults = [*result.faults, *_between_fields(posted, result, allowed, sites, path)]
    if faults or result.model is None:
        raise Invalid(faults)
    return result.model


def _between_fields(
    posted: object, result: Read[IndicatorPlan], allowed: Collection[str], sites: Mapping[str, str] | None, path: str
) -> Iterator[Fault]:
    values = result.values
    yield from _course(values, path)
    asked = posted.get("dimensions") if isinstance(posted, Mapping) else None
    for position, code in enumerate(asked if isinstance(asked, list) else ()):
        if isinstance(code, str) and breakdowns.is_restricted(code) and code not in allowed:
            yield restricted(join(path, ("dimensions", position)), code)
    if values.get("about_people") is False and _people(values):
        yield Fault(join(path, ("about_people",)), "contradiction", "the unit counts people; leave this out")
    if sites is not None:
        for place in values.get("owners", {}):
            if place != TOTAL and place not in sites and place not in sites.values():
                detail = f"{place!r} is neither a site nor a country of this pilot, nor {TOTAL} for all others"
                yield Fault(join(path, ("owners", place)), "unknown_site", detail)
    if values.get("pilot") in values.get("shared_reach_with", ()):
        yield Fault(join(path, ("shared_reach_with",)), "itself", "a pilot shares its reach with other pilots only")


def _course(values: Mapping[str, Any], path: str) -> Iterator[Fault]:
    baseline: Point | None = values.get("baseline")
    target: Point | None = values.get("target")
    people = _people(values)
    for name, point in (("baseline", baseline), ("target", target)):
        if point and people and point.value < 0:
            yield Fault(join(path, (name, "value")), "negative_people", "a number of people is not negative")
    if not baseline or not target:
        return
    if target.on <= baseline.on:
        detail = f"the target's day {target.on} must come after the baseline's {baseline.on}"
        yield Fault(join(path, ("target", "on")), "impossible_date", detail)
    wanted = values.get("direction")
    if (wanted == "up" and target.value < baseline.value) or (wanted == "down" and target.value > baseline.value):
        detail = f"from {baseline.value} to {target.value} is not {wanted}; turn the direction or mend the values"
        yield Fault(join(path, ("direction",)), "contradiction", detail)


def _people(values: Mapping[str, Any]) -> bool:
    return values.get("measure") == "people_reached" or str(values.get("unit", "")).lower() in PEOPLE


def restricted(field: str, code: str) -> Fault:
    """The refusal of a dimension that is off unless the assessment allows it for the site."""
    detail = f"{code} is not collected unless the pilot's assessment allows it for this site; leave it out"
    return Fault(field, "restricted_dimension", detail)
