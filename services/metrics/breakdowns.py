"""Breakdowns: by sex, age, disability, group …; what may be asked, and which parts make up which whole."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from shared.problems import Fault
from shared.vocabulary.dimensions import DIMENSIONS, TOTAL
from shared.vocabulary.groups import GROUPS

Breakdown = tuple[tuple[str, str], ...]
"""(dimension, code) pairs in the order of the dimensions' names, without `_T`; empty: everybody."""

EVERYBODY: Breakdown = ()
GROUP = "TARGET_GROUP"
TOGETHER = "+"
"""Joins the groups of an intersection: `rural+women` are rural women, counted once."""

SAME_AS: Mapping[str, Mapping[str, str]] = {
    "women": {"SEX": "F", "AGE": "Y_GE18"},
    "girls": {"SEX": "F", "AGE": "Y0T17"},
    "women_and_girls": {"SEX": "F"},
    "children": {"AGE": "Y0T17"},
    "youth": {"AGE": "Y15T24"},
    "older_persons": {"AGE": "Y_GE60"},
    "persons_with_disabilities": {"DISABILITY_STATUS": "PD"},
    "rural": {"URBANISATION": "R"},
}
"""Target groups that are a code of another dimension, by the definitions of the vocabulary."""

_AGE = re.compile(r"Y(?:(\d{1,3})T(\d{1,3})|_GE(\d{1,3})|_LT(\d{1,3})|(\d{1,3}))")
_OPEN = re.compile(r"[A-Z0-9_]{1,32}")
OLDEST = 999
"""The last year of an open age band."""


def of(disaggregation: Mapping[str, str]) -> Breakdown:
    """The breakdown of posted codes, in one spelling: a group that is a sex, an age or the like is written so.

    `TARGET_GROUP: women` and `SEX: F, AGE: Y_GE18` are the same people; were they two keys, they would be
    counted twice, and one would betray the other when it is withheld.
    """
    codes = {name: code for name, code in disaggregation.items() if code != TOTAL}
    groups = []
    for group in sorted(set(codes.pop(GROUP, "").split(TOGETHER)) - {""}):
        same = SAME_AS.get(group)
        if same is None or any(codes.get(name, code) != code for name, code in same.items()):
            groups.append(group)
        else:
            codes.update(same)
    if groups:
        codes[GROUP] = TOGETHER.join(groups)
    return tuple(sorted(codes.items()))


def is_known(dimension: str) -> bool:
    return dimension in DIMENSIONS


def is_restricted(dimension: str) -> bool:
    return dimension in DIMENSIONS and DIMENSIONS[dimension].restricted


def unknown_dimension(where: str, dimension: str) -> Fault:
    known = ", ".join(sorted(DIMENSIONS))
    return Fault(where, "unknown_dimension", f"{dimension!r} is no dimension; known are {known}")


def fault_of(where: str, dimension: str, code: str, *, below_country: bool) -> Fault | None:
    """What is wrong with a code of a dimension at a place, if anything.

    Sensitive groups are never shown below country level (DOMAIN section 5), so they are not taken there.
    """
    known = DIMENSIONS.get(dimension)
    if known is None:
        return unknown_dimension(where, dimension)
    if code == TOTAL or (code in known.values and dimension != GROUP):
        return None
    if dimension == GROUP:
        unknown = sorted(set(code.split(TOGETHER)) - set(GROUPS))
        if unknown:
            return Fault(where, "unknown_code", f"{', '.join(map(repr, unknown))}: no target group; join with +")
        if below_country and is_sensitive(code):
            return Fault(where, "sensitive_group", "this group is reported for a country, never for a single site")
        return None
    if dimension == "AGE" and not ages(code):
        return Fault(where, "unknown_code", f"{code!r} is no age band; write Y15T24 or Y_GE60")
    if dimension == "AGE" or (known.open and _OPEN.fullmatch(code)):
        return None
    listed = ", ".join(known.values)
    return Fault(where, "unknown_code", f"{code!r} is no code of {dimension}; known are {listed}")


def is_sensitive(code: str) -> bool:
    return any(GROUPS[group].sensitive for group in code.split(TOGETHER) if group in GROUPS)


def ages(code: str) -> tuple[int, int] | None:
    """First and last year of age of a band: `Y15T24` is (15, 24), `Y_GE60` is (60, 999); None if it is none."""
    found = _AGE.fullmatch(code)
    if not found:
        return None
    first, last, at_least, below, single = found.groups()
    if first is not None:
        band = (int(first), int(last))
    elif at_least is not None:
        band = (int(at_least), OLDEST)
    elif below is not None:
        band = (0, int(below) - 1)
    else:
        band = (int(single), int(single))
    return band if band[0] <= band[1] else None


class Sum(NamedTuple):
    """The codes of `wholes` together are those of `parts` together and, where `wholes` has `_T`, a rest.

    The rest are people of whom the dimension is not known, or who are in none of the parts.
    """

    wholes: tuple[str, ...]
    parts: tuple[str, ...]


def sums(dimension: str, codes: Collection[str]) -> tuple[Sum, ...]:
    """How the codes of a dimension add up, as far as an outsider knows it.

    Target groups overlap, so each stands alone against the people who are not in it. Age bands may nest,
    overlap and tile each other; everything that follows from their limits is listed.
    """
    present = sorted(set(codes) - {TOTAL})
    if not present:
        return ()
    if dimension == GROUP:
        return tuple(Sum((whole,), (code,)) for code in present for whole in _wider(code, present) or [TOTAL])
    if dimension == "AGE":
        return _age_sums(present)
    return (Sum((TOTAL,), tuple(present)),)


def _wider(code: str, codes: Collection[str]) -> list[str]:
    """Groups that hold everybody in `code`: an intersection lies in each of its groups."""
    groups = set(code.split(TOGETHER))
    return [other for other in codes if other != code and set(other.split(TOGETHER)) < groups]


def _age_sums(codes: list[str]) -> tuple[Sum, ...]:
    bands = {code: band for code in codes if (band := ages(code))}
    tilings = _tilings(bands)
    tiled = {
        (whole, code) for total in tilings if len(total.wholes) == 1 for whole in total.wholes for code in total.parts
    }
    found = [Sum((TOTAL,), (code,)) for code in codes if code not in bands]
    for code, band in bands.items():
        around = [o for o, other in bands.items() if band != other and other[0] <= band[0] and band[1] <= other[1]]
        found += [Sum((whole,), (code,)) for whole in around or [TOTAL] if (whole, code) not in tiled]
    return tuple(dict.fromkeys([*found, *tilings]))


def _tilings(bands: Mapping[str, tuple[int, int]]) -> list[Sum]:
    """Every equation between bands: each band is an edge between its limits, each cycle of edges an equation.

    A spanning tree and one cycle per edge outside of it generate them all.
    """
    edges = {TOTAL: (0, OLDEST + 1), **{code: (first, last + 1) for code, (first, last) in sorted(bands.items())}}
    way: dict[int, dict[int, dict[str, int]]] = {}
    found = []
    for code, (low, high) in edges.items():
        from_low = way.setdefault(low, {low: {}})
        from_high = way.setdefault(high, {high: {}})
        if high in from_low:
            found.append(_cycle(code, from_low[high]))
        else:
            _connect(way, code, dict(from_low), dict(from_high))
    return found


def _connect(
    way: dict[int, dict[int, dict[str, int]]],
    code: str,
    below: dict[int, dict[str, int]],
    above: dict[int, dict[str, int]],
) -> None:
    """Joins two trees by an edge; `way[a][b]` are the signed bands on the way from limit a to limit b."""
    for a, to_a in below.items():
        for b, to_b in above.items():
            forth = {name: -sign for name, sign in to_a.items()} | {code: 1} | to_b
            way[a][b] = forth
            way[b][a] = {name: -sign for name, sign in forth.items()}


def _cycle(code: str, around: Mapping[str, int]) -> Sum:
    """The equation of a band with another way between its limits; the side that has `_T` is the whole."""
    left = (code, *(name for name, sign in around.items() if sign < 0))
    right = tuple(name for name, sign in around.items() if sign > 0)
    wholes, parts = (right, left) if TOTAL in right or (TOTAL not in left and len(right) < len(left)) else (left, right)
    return Sum(tuple(sorted(wholes)), tuple(sorted(parts)))
