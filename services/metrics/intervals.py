"""What an outsider can work out: how low and how high an unknown can be, given equations and what is shown.

The audit of cell suppression (Handbook on Statistical Disclosure Control, section 4.4): the outsider solves a
linear programme for the least and the greatest value that each withheld number can have. Here it is solved in
whole numbers, without rounding. The true numbers solve the equations, so the search starts from them and
moves as far as it is asked to: a simplex method whose free variables may rest between their limits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from fractions import Fraction
from math import gcd
from typing import Generic, TypeVar

V = TypeVar("V")
Row = dict[int, int]

STEPS = 4000
"""Moves after which a search gives up."""


class SearchLimitError(ArithmeticError):
    """The search did not end in time; what it was about must be taken for not protected."""


class Gaps(Generic[V]):
    """The withheld numbers, as an outsider sees them.

    `equations` are signed unknowns whose sum is 0, `values` the true numbers, `hidden` those not shown. The
    outsider knows that no number is negative, and that a withheld one is at least 1 unless it is truly 0:
    zeros are shown wherever that can be helped, so that a gap speaks of somebody.
    """

    def __init__(self, equations: Iterable[Mapping[V, int]], values: Mapping[V, int], hidden: Collection[V]) -> None:
        self._names = list(hidden)
        number = {name: i for i, name in enumerate(self._names)}
        self._number = number
        self._slack = [values[name] - min(1, values[name]) for name in self._names]
        self._moved = [Fraction(0)] * len(self._names)
        self._rows: dict[int, Row] = {}
        for equation in equations:
            self._add({number[name]: sign for name, sign in equation.items() if name in number})

    def towards(self, name: V, value: int, start: int) -> Fraction:
        """How far a number whose true value is `start` could, for all that is shown, lie on the way to `value`.

        Raises `SearchLimitError` when that takes more than STEPS moves.
        """
        distance = Fraction(abs(value - start))
        way = 1 if value > start else -1
        return start + way * self._push(self._number[name], way, distance)

    def _add(self, row: Row) -> None:
        """Puts an equation into the system: each row has one basic unknown that occurs in no other row."""
        for basic in [b for b in self._rows if b in row]:
            row = _eliminate(row, self._rows[basic], basic)
        if not row:
            return
        basic = min(row, key=lambda i: (-self._slack[i], i))
        row = _signed(row, basic)
        for other in [b for b in self._rows if basic in self._rows[b]]:
            self._rows[other] = _signed(_eliminate(self._rows[other], row, basic), other)
        self._rows[basic] = row

    def _push(self, wanted: int, direction: int, distance: Fraction) -> Fraction:
        for _ in range(STEPS):
            reached = self._moved[wanted] * direction
            entering = self._entering(wanted, direction) if reached < distance else None
            if entering is None:
                return min(max(reached, Fraction(0)), distance)
            if not self._move(*entering):
                return distance
        raise SearchLimitError(f"no answer after {STEPS} moves")

    def _entering(self, wanted: int, direction: int) -> tuple[int, int] | None:
        """A free unknown and the way to move it that takes `wanted` further (Bland's rule: the first)."""
        row = self._rows.get(wanted)
        if row is None:
            gains: Iterable[tuple[int, int]] = [(wanted, direction)]
        else:
            gains = sorted((i, -direction * factor) for i, factor in row.items() if i != wanted)
        for i, gain in gains:
            if gain > 0:
                return i, 1
            if self._moved[i] > -self._slack[i]:
                return i, -1
        return None

    def _move(self, entering: int, way: int) -> bool:
        """Moves a free unknown until something reaches its limit. False when nothing ever does."""
        room: Fraction | None = self._moved[entering] + self._slack[entering] if way < 0 else None
        leaving: int | None = None
        touched = [(basic, row) for basic, row in self._rows.items() if entering in row]
        for basic, row in touched:
            rate = Fraction(-row[entering] * way, row[basic])
            if rate < 0:
                limit = (self._moved[basic] + self._slack[basic]) / -rate
                if room is None or limit < room or (limit == room and leaving is not None and basic < leaving):
                    room, leaving = limit, basic
        if room is None:
            return False
        self._moved[entering] += way * room
        for basic, row in touched:
            self._moved[basic] += Fraction(-row[entering] * way, row[basic]) * room
        if leaving is not None:
            self._exchange(leaving, entering)
        return True

    def _exchange(self, leaving: int, entering: int) -> None:
        row = _signed(self._rows.pop(leaving), entering)
        for other in [b for b in self._rows if entering in self._rows[b]]:
            self._rows[other] = _signed(_eliminate(self._rows[other], row, entering), other)
        self._rows[entering] = row


def _eliminate(row: Row, by: Row, column: int) -> Row:
    """`row` less the multiple of `by` that takes `column` out of it, in lowest terms."""
    a, b = row[column], by[column]
    shared = gcd(a, b)
    keep, take = b // shared, a // shared
    if keep < 0:
        keep, take = -keep, -take
    result = {i: factor * keep for i, factor in row.items()}
    for i, factor in by.items():
        result[i] = result.get(i, 0) - take * factor
    result = {i: factor for i, factor in result.items() if factor}
    common = gcd(*result.values()) if result else 1
    return {i: factor // common for i, factor in result.items()} if common > 1 else result


def _signed(row: Row, basic: int) -> Row:
    return row if row[basic] > 0 else {i: -factor for i, factor in row.items()}
