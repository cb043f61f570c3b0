"""What an outsider can work out: how low and how high an unknown can be, given equations and what is shown.

The audit of cell suppression (Handbook on Statistical Disclosure Control, section 4.2.2): the outsider solves a
linear programme for the least and the greatest value that each withheld number can have. Here it is solved in
whole numbers, without rounding. The true numbers solve the equations, so the search starts from them and
moves as far as it is asked to: a simplex method whose free variables may rest between their limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import gcd
from typing import Generic, TypeVar

V = TypeVar("V")
Row = dict[int, int]
Exact = int | Fraction

STEPS = 4000
"""Moves after which a search gives up."""


class SearchLimitError(ArithmeticError):
    """The search did not end in time; what it was about must be taken for not protected."""


class Gaps(Generic[V]):
    """The withheld numbers, as an outsider sees them.

    `equations` are signed unknowns whose sum is 0; unknowns that are not in `room` are known. `room` says of
    each withheld one how far it may lie below its true value, None for without limit.
    """

    def __init__(self, equations: Iterable[Mapping[V, int]], room: Mapping[V, int | None]) -> None:
        number = {name: i for i, name in enumerate(room)}
        self._number = number
        self._room = list(room.values())
        self._moved: list[Exact] = [0] * len(number)
        self._rows: dict[int, Row] = {}
        for equation in equations:
            self._add({number[name]: sign for name, sign in equation.items() if name in number})

    def towards(self, name: V, value: int, start: int) -> Exact:
        """How far a number whose true value is `start` could, for all that is shown, lie on the way to `value`.

        Raises `SearchLimitError` when that takes more than STEPS moves.
        """
        way = 1 if value > start else -1
        return start + way * self._push(self._number[name], way, abs(value - start))

    def _add(self, row: Row) -> None:
        """Puts an equation into the system: each row has one basic unknown that occurs in no other row."""
        for basic in [i for i in row if i in self._rows]:
            row = _eliminate(row, self._rows[basic], basic)
        if not row:
            return
        basic = min(row, key=lambda i: (self._room[i] is not None, -(self._room[i] or 0), i))
        row = _signed(row, basic)
        for other in [b for b in self._rows if basic in self._rows[b]]:
            self._rows[other] = _signed(_eliminate(self._rows[other], row, basic), other)
        self._rows[basic] = row

    def _push(self, wanted: int, direction: int, distance: int) -> Exact:
        for _ in range(STEPS):
            reached = self._moved[wanted] * direction
            entering = self._entering(wanted, direction) if reached < distance else None
            if entering is None:
                return min(max(reached, 0), distance)
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
            if self._left(i) != 0:
                return i, -1
        return None

    def _move(self, entering: int, way: int) -> bool:
        """Moves a free unknown until something reaches its limit. False when nothing ever does."""
        room = self._left(entering) if way < 0 else None
        leaving: int | None = None
        touched = [(basic, row) for basic, row in self._rows.items() if entering in row]
        for basic, row in touched:
            loss = row[entering] * way
            left = self._left(basic)
            if loss > 0 and left is not None:
                limit = _ratio(left * row[basic], loss)
                if room is None or limit < room or (limit == room and leaving is not None and basic < leaving):
                    room, leaving = limit, basic
        if room is None:
            return False
        self._moved[entering] += way * room
        for basic, row in touched:
            self._moved[basic] -= _ratio(row[entering] * way * room, row[basic])
        if leaving is not None:
            self._exchange(leaving, entering)
        return True

    def _left(self, i: int) -> Exact | None:
        """How far an unknown can still go down, None for without limit."""
        room = self._room[i]
        return None if room is None else self._moved[i] + room

    def _exchange(self, leaving: int, entering: int) -> None:
        row = _signed(self._rows.pop(leaving), entering)
        for other in [b for b in self._rows if entering in self._rows[b]]:
            self._rows[other] = _signed(_eliminate(self._rows[other], row, entering), other)
        self._rows[entering] = row


def _ratio(above: Exact, below: int) -> Exact:
    """The exact quotient; a whole number where it is one, because nearly all are and fractions are slow."""
    if below == 1:
        return above
    quotient = Fraction(above, below)
    return quotient.numerator if quotient.denominator == 1 else quotient


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
