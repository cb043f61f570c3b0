"""What somebody wants to hear of: kinds, agencies, countries, goals. Empty means everything of that sort."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.facts.names import AGENCY, COMMON_KINDS
from shared.facts.names import KINDS as KINDS_OF_SERVICES
from shared.problems import Fault
from shared.vocabulary import places, sdg

from .entries import About

KINDS = frozenset().union(COMMON_KINDS, *KINDS_OF_SERVICES.values())
SORTS = ("kinds", "agencies", "countries", "goals")
MOST = 64
"""Values of one sort in one filter."""


@dataclass(frozen=True, slots=True)
class Filters:
    """An event passes if, for each sort that is asked for, it is about one of the values, or it is not known."""

    kinds: frozenset[str] = frozenset()
    agencies: frozenset[str] = frozenset()
    countries: frozenset[str] = frozenset()
    goals: frozenset[str] = frozenset()

    def admit(self, about: About) -> bool:
        return (
            _passes(self.kinds, about.kinds)
            and _passes(self.agencies, about.agencies)
            and _passes(self.countries, about.countries)
            and _passes(self.goals, about.goals)
        )

    def as_query(self) -> list[dict[str, Any]]:
        """The same as clauses of a query on the journal, all of which must hold."""
        clauses = []
        for sort in SORTS:
            asked = getattr(self, sort)
            if asked:
                clauses.append({"$or": [{sort: None}, {sort: {"$in": sorted(asked)}}]})
        return clauses

    def as_json(self) -> dict[str, list[str]]:
        return {
            "kinds": sorted(self.kinds),
            "agencies": sorted(self.agencies),
            "countries": sorted(self.countries),
            "goals": sorted(self.goals, key=int),
        }


def _passes(asked: frozenset[str], said: tuple[str, ...] | None) -> bool:
    return not asked or said is None or not asked.isdisjoint(said)


def read_filters(asked: Mapping[str, Iterable[str]], faults: list[Fault]) -> Filters:
    """The filters that these values make; what is wrong is added to `faults`, one entry a value."""
    return Filters(**{sort: frozenset(_read(sort, asked.get(sort, ()), faults)) for sort in SORTS})


def _read(sort: str, values: Iterable[str], faults: list[Fault]) -> Iterable[str]:
    listed = list(values)
    if len(listed) > MOST:
        faults.append(Fault(sort, "too_many", f"at most {MOST} values, found {len(listed)}"))
        return
    for number, value in enumerate(listed):
        known = _known(sort, value.strip())
        if known is None:
            faults.append(Fault(f"{sort}[{number}]", sort, f"{EXPECTED[sort]}, found {value[:40]!r}"))
        else:
            yield known


EXPECTED = {
    "kinds": f"one of {', '.join(sorted(KINDS))}",
    "agencies": "an agency's slug, such as wfp",
    "countries": "a place's ISO 3166-1 code, such as ZMB",
    "goals": "a goal from 1 to 17",
}


def _known(sort: str, value: str) -> str | None:
    if sort == "kinds":
        return value if value in KINDS else None
    if sort == "agencies":
        return value if AGENCY.fullmatch(value) else None
    if sort == "countries":
        return places.iso3_of(value)
    return value if value in sdg.GOALS else None
