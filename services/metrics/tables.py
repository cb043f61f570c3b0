"""How published figures hang together: every equation that an outsider can use to subtract one from others.

A table holds the numbers of people of one indicator in one period: by place, and by breakdown. Each dimension
adds up to its margin, sites to countries and countries to the pilot. Where parts leave people over, the rest
is a cell too: nobody publishes it, and anybody can compute it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from services.metrics import breakdowns
from services.metrics.breakdowns import Breakdown
from shared.vocabulary.dimensions import TOTAL


class Cell(NamedTuple):
    """People at a place (site id, country or `_T`) in a breakdown."""

    place: str
    breakdown: Breakdown


class Rest(NamedTuple):
    """Those of the wholes who are in none of the parts; `sign` -1: those who are in two of the parts."""

    wholes: tuple[Cell, ...]
    parts: tuple[Cell, ...]
    sign: int


class Change(NamedTuple):
    """By how much the same people were more at one time than at another; may be negative."""

    now: Unknown
    before: Unknown


class Unknown(NamedTuple):
    """A number that somebody may try to find out.

    A number that stays the same from one version to another stays one unknown, because an outsider may know
    that nothing changed. A margin that is the same by chance, with other parts, is another: `since` is the
    version from which it stands.
    """

    base: Cell | Rest | Change
    value: int
    since: int = 0


Base = Cell | Rest

Equation = frozenset[tuple[Unknown, int]]
"""Unknowns with their signs; the sum is 0."""


@dataclass(frozen=True, slots=True)
class Table:
    """`counts` are whole numbers of people, none negative. `within` maps places to the place around them (a
    site to its country, a country to `_T`).
    """

    counts: Mapping[Cell, int]
    within: Mapping[str, str]


def change(now: Unknown, before: Unknown) -> tuple[Unknown, Equation]:
    """The difference of two numbers of the same people, and the equation that ties it to them."""
    difference = Unknown(Change(now, before), now.value - before.value)
    return difference, frozenset([(now, 1), (before, -1), (difference, -1)])


@dataclass(frozen=True, slots=True)
class Structure:
    """The equations of a table. `reported` are its own cells; `broken` are cells whose parts exceed them."""

    equations: frozenset[Equation]
    unknowns: Mapping[Base, Unknown]
    reported: frozenset[Cell]
    broken: tuple[Rest, ...]


def structures(tables: Sequence[Table]) -> list[Structure]:
    """The equations of each version of a table, with the unknowns that they have in common."""
    found: list[Structure] = []
    for table in tables:
        found.append(_structure(table, list(zip(tables, found, strict=False))))
    return found


def _structure(table: Table, earlier: Sequence[tuple[Table, Structure]]) -> Structure:
    counts = dict(table.counts)
    sums = list(_margins(counts)) + list(_places(table, counts))
    equations, broken = [], []
    bases = dict[Base, int](counts.items())
    for wholes, parts, overlapping in sums:
        over = sum(counts[cell] for cell in wholes) - sum(counts[cell] for cell in parts)
        rest = Rest(wholes, parts, -1 if over < 0 else 1)
        exact = len(wholes) > 1 and not any(_open_whole(whole, wholes, parts) for whole in wholes)
        if (over < 0 and not overlapping) or (over and exact):
            broken.append(rest)
            continue
        signed: list[tuple[Base, int]] = [(cell, 1) for cell in wholes]
        signed += [(cell, -1) for cell in parts]
        if over:
            bases[rest] = abs(over)
            signed.append((rest, -rest.sign))
        equations.append(signed)
    unknowns = _unknowns(bases, table, earlier)
    return Structure(
        equations=frozenset(frozenset((unknowns[base], sign) for base, sign in signed) for signed in equations),
        unknowns=unknowns,
        reported=frozenset(table.counts),
        broken=tuple(broken),
    )


def _unknowns(
    bases: Mapping[Base, int], table: Table, earlier: Sequence[tuple[Table, Structure]]
) -> dict[Base, Unknown]:
    unknowns: dict[Base, Unknown] = {}
    for known_table, known in reversed(earlier):
        changed = [
            base
            for base, value in bases.items()
            if isinstance(base, Cell) and base in known.unknowns and known.unknowns[base].value != value
        ]
        within = {**known_table.within, **table.within}
        for base, value in bases.items():
            same = known.unknowns.get(base)
            if base in unknowns or same is None or same.value != value:
                continue
            if not any(_inside(cell, base, within) for cell in changed if cell != base):
                unknowns[base] = same
    return {base: unknowns.get(base) or Unknown(base, value, len(earlier)) for base, value in bases.items()}


def _inside(cell: Cell, base: Base, within: Mapping[str, str]) -> bool:
    """Whether the people of a cell are among those of a margin or rest."""
    if isinstance(base, Rest):
        return any(_inside(cell, each, within) for each in base.wholes if each != cell) and not any(
            _inside(cell, each, within) for each in base.parts
        )
    if not set(base.breakdown) <= set(cell.breakdown):
        return False
    place: str | None = cell.place
    while place is not None and place != base.place:
        place = within.get(place)
    return place is not None


def _open_whole(whole: Cell, wholes: tuple[Cell, ...], parts: tuple[Cell, ...]) -> bool:
    """Whether a whole is a margin, which may hold people of whom the dimension is not known."""
    return all(len(whole.breakdown) < len(other.breakdown) for other in (*wholes, *parts) if other != whole)


Added = tuple[tuple[Cell, ...], tuple[Cell, ...], bool]


def _margins(counts: dict[Cell, int]) -> Iterator[Added]:
    """The sums over each dimension, finest first; margins that are missing are put into `counts` on the way."""
    depth = max((len(cell.breakdown) for cell in counts), default=0)
    for dimensions in range(depth, 0, -1):
        for cell in [c for c in counts if len(c.breakdown) == dimensions]:
            for kept in combinations(cell.breakdown, dimensions - 1):
                counts.setdefault(Cell(cell.place, kept), -1)
        yield from _at_depth(counts, dimensions)


def _at_depth(counts: dict[Cell, int], dimensions: int) -> list[Added]:
    codes: dict[tuple[Cell, str], list[str]] = {}
    for place, breakdown in counts:
        if len(breakdown) == dimensions:
            for position, (dimension, code) in enumerate(breakdown):
                margin = Cell(place, breakdown[:position] + breakdown[position + 1 :])
                codes.setdefault((margin, dimension), []).append(code)
    sums: list[Added] = []
    for (margin, dimension), present in sorted(codes.items()):
        for total in breakdowns.sums(dimension, present):
            wholes = tuple(_with(margin, dimension, code) for code in total.wholes)
            sums.append((wholes, tuple(_with(margin, dimension, code) for code in total.parts), False))
    missing = {whole for wholes, _, _ in sums for whole in wholes if counts[whole] < 0}
    for whole in missing:
        counts[whole] = max(sum(counts[cell] for cell in parts) for wholes, parts, _ in sums if wholes == (whole,))
    return sums


def _with(margin: Cell, dimension: str, code: str) -> Cell:
    if code == TOTAL:
        return margin
    return Cell(margin.place, tuple(sorted([*margin.breakdown, (dimension, code)])))


def _places(table: Table, counts: Mapping[Cell, int]) -> Iterator[Added]:
    """The sums over places. Where the same people may be met at two places, parts may exceed their whole."""
    parts: dict[Cell, list[Cell]] = {}
    for cell in counts:
        around = table.within.get(cell.place)
        while around is not None and Cell(around, cell.breakdown) not in counts:
            around = table.within.get(around)
        if around is not None:
            parts.setdefault(Cell(around, cell.breakdown), []).append(cell)
    for whole, inside in sorted(parts.items()):
        yield (whole,), tuple(sorted(inside)), True
