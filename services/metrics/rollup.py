"""Roll-up per pilot, goal and country: counts, reach and evidence, always set anew from their children.

A pilot of 300 farmers does not move SDG indicator 2.3.1. So a row has no value of an official indicator, and
no field in which one could be put: it says how many indicators of pilots are on track, and how many people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from services.metrics.reach import KINDS, Bounds, Kind, SiteReach, named, of_pilots
from services.metrics.results import LEVELS, Level, Result, Status
from shared.vocabulary import sdg

Source = Literal["private", "published"]

SOURCES: tuple[Source, ...] = get_args(Source)
STATUSES: tuple[Status, ...] = get_args(Status)
W = TypeVar("W", bound=str)


@dataclass(frozen=True, slots=True)
class PilotRow:
    """What is known of one pilot. `goals` maps each indicator id to the goals that it contributes to.

    `source` says whether this node hosts the lead and reads its own observations, or what was published.
    `reach` is what the pilot's sites report; `apart`: nobody is met at two of the sites.
    """

    pilot: str
    agency: str
    source: Source
    countries: frozenset[str]
    results: tuple[Result, ...]
    goals: Mapping[str, frozenset[str]]
    reach: tuple[SiteReach, ...] = ()
    apart: bool = False

    @property
    def name(self) -> str:
        return named(self.agency, self.pilot)


@dataclass(frozen=True, slots=True)
class Row:
    """A roll-up. `reach` per kind of people; `sources` counts pilots by where their figures come from; `leads` are the
    agencies of `pilots`, in their order."""

    pilots: tuple[str, ...]
    statuses: Mapping[Status, int]
    evidence: Mapping[Level, int]
    reach: Mapping[Kind, Bounds]
    sources: Mapping[Source, int]
    leads: tuple[str, ...] = ()


def goals_of(contributes_to: Iterable[str]) -> frozenset[str]:
    """The goals of SDG codes of any depth: `2.3` and `2.3.1` belong to goal 2."""
    return frozenset(sdg.goal_of(code) for code in contributes_to)


def choose(
    private: Mapping[Any, PilotRow], published: Mapping[Any, PilotRow], hosted: Collection[str]
) -> list[PilotRow]:
    """One row per pilot: private facts for agencies hosted here, published ones for others, never both."""
    chosen = [row for row in private.values() if row.agency in hosted]
    chosen += [row for row in published.values() if row.agency not in hosted]
    return sorted(chosen, key=lambda row: (row.pilot, row.agency))


def of_pilot(row: PilotRow) -> Row:
    return _row([row], lambda *_: True, lambda _: True, ())


def of_all(rows: Iterable[PilotRow], shared: Collection[frozenset[str]] = ()) -> Row:
    """All pilots together."""
    return _row(rows, lambda *_: True, lambda _: True, shared)


def per_goal(rows: Iterable[PilotRow], shared: Collection[frozenset[str]] = ()) -> dict[str, Row]:
    """A row for each goal that indicators contribute to: those indicators, and the whole reach of their pilots."""
    rows = list(rows)
    goals = {goal for row in rows for each in row.goals.values() for goal in each}
    return {goal: _of_goal(goal, rows, shared) for goal in sorted(goals, key=int)}


def per_country(rows: Iterable[PilotRow], shared: Collection[frozenset[str]] = ()) -> dict[str, Row]:
    """A row for each country with a pilot: all of the pilot's indicators, and its reach in that country alone."""
    rows = list(rows)
    countries = sorted({country for row in rows for country in row.countries})
    return {country: _of_country(country, rows, shared) for country in countries}


def _of_goal(goal: str, rows: Iterable[PilotRow], shared: Collection[frozenset[str]]) -> Row:
    concerned = [row for row in rows if any(goal in each for each in row.goals.values())]
    return _row(concerned, lambda row, one: goal in row.goals.get(one.indicator, ()), lambda _: True, shared)


def _of_country(country: str, rows: Iterable[PilotRow], shared: Collection[frozenset[str]]) -> Row:
    concerned = [row for row in rows if country in row.countries]
    return _row(concerned, lambda *_: True, lambda site: site.country == country, shared)


def _row(
    rows: Iterable[PilotRow],
    counts: Callable[[PilotRow, Result], bool],
    here: Callable[[SiteReach], bool],
    shared: Collection[frozenset[str]],
) -> Row:
    rows = sorted(rows, key=lambda row: (row.pilot, row.agency))
    results = [result for row in rows for result in row.results if counts(row, result)]
    sites = [site for row in rows for site in row.reach if here(site)]
    silent = sum(1 for row in rows if not any(here(site) for site in row.reach))
    apart = {row.name for row in rows if row.apart}
    return Row(
        pilots=tuple(row.pilot for row in rows),
        statuses=_all(STATUSES, Counter(result.status for result in results)),
        evidence=_all(LEVELS, Counter(result.evidence for result in results)),
        reach={kind: _with_silent(of_pilots(sites, kind, shared, apart), silent) for kind in KINDS},
        sources=_all(SOURCES, Counter(row.source for row in rows)),
        leads=tuple(row.agency for row in rows),
    )


def _with_silent(bounds: Bounds, silent: int) -> Bounds:
    """Pilots without any site reported are not known either."""
    return Bounds(bounds.lower, bounds.upper, bounds.unknown + silent)


def _all(words: tuple[W, ...], counted: Counter[W]) -> dict[W, int]:
    return {word: counted[word] for word in words}
