"""How published figures hang together: every equation that an outsider can use to subtract one from others.

A table holds the numbers of people of one indicator in one period: by place, and by breakdown. Each dimension
adds up to its margin, sites to countries and countries to the pilot. Where parts leave people over, the rest
is a cell too: nobody publishes it, and anybody can compute it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    """By how much people of a cell or rest were more at one time than at another; may be negative."""

    of: Cell | Rest
    now: int
    before: int


Base = Cell | Rest | Change


class Unknown(NamedTuple):
    """A number that somebody may try to find out. Equal numbers of one base in two versions are one unknown:
    an outsider may know that nothing changed."""

    base: Base
    value: int


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
    assert not isinstance(now.base, Change)
    difference = Unknown(Change(now.base, now.value, before.value), now.value - before.value)
    return difference, frozenset([(now, 1), (before, -1), (difference, -1)])


@dataclass(frozen=True, slots=True)
class Structure:
    """The equations of a table. `reported` are its own cells; `broken` are cells whose parts exceed them."""

    equations: frozenset[Equation]
    unknowns: Mapping[Base, Unknown]
    reported: frozenset[Cell]
    broken: tuple[Rest, ...]


def structure(table: Table) -> Structure:
    """All equations between the cells of a table, with margins that were not reported put in between."""
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
        signed = [(cell, 1) for cell in wholes] + [(cell, -1) for cell in parts]
        if over:
            bases[rest] = abs(over)
        equations.append((signed, rest if over else None))
    unknowns = {base: Unknown(base, value) for base, value in bases.items()}
    return Structure(
        equations=frozenset(
            frozenset(
                [(unknowns[cell], sign) for cell, sign in signed]
                + ([(unknowns[rest], -rest.sign)] if rest is not None else [])
            )
            for signed, rest in equations
        ),
        unknowns=unknowns,
        reported=frozenset(table.counts),
        broken=tuple(broken),
    )


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
