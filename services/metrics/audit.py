"""The audit of a pattern: does what is shown leave every protected number as uncertain as it needs to be?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from math import ceil, floor
from typing import NamedTuple

from services.metrics.intervals import Gaps
from services.metrics.tables import Cell, Change, Equation, Unknown
from shared.vocabulary.dimensions import TOTAL


class Need(NamedTuple):
    """Between `low` and `high` an unknown must be uncertain, for all that an outsider knows, by `width` or more."""

    unknown: Unknown
    low: int
    high: int
    width: int


class Audit:
    """Solves what an outsider could solve who has all the equations and the numbers in `out`."""

    def __init__(self, equations: Iterable[Equation], out: Set[Unknown]) -> None:
        self.out = out
        self._around: dict[Unknown, list[Equation]] = {}
        # The order decides nothing but which of several equally good patterns is found: always the same.
        for equation in sorted(equations, key=lambda e: sorted((repr(unknown), sign) for unknown, sign in e)):
            for unknown, _ in equation:
                self._around.setdefault(unknown, []).append(equation)
        ordered = sorted(self._around, key=lambda u: (worth(u), repr(u)), reverse=True)
        self._rank = {unknown: position for position, unknown in enumerate(ordered)}
        self._solved: tuple[frozenset[Unknown], dict[Unknown, Gaps[Unknown]]] = (frozenset(), {})

    def attainable(self, needs: Iterable[Need]) -> list[Need]:
        """The needs, each no wider than what is still uncertain when nothing more is shown.

        What earlier versions, published under a lower threshold, have already narrowed cannot be undone; it
        is not narrowed further.
        """
        found = []
        for need in sorted(needs, key=lambda need: (self._rank.get(need.unknown, -1), repr(need.unknown))):
            low, high = self._range(need, frozenset())
            found.append(Need(need.unknown, low, high, min(need.width, high - low)))
        return found

    def meets(self, need: Need, shown: Set[Unknown]) -> bool:
        low, high = self._range(need, shown)
        return high - low >= need.width

    def meets_all(self, needs: Sequence[Need], shown: Set[Unknown], added: Unknown) -> bool:
        """Whether all needs that hold with `shown` still hold when `added` is shown too."""
        concerned = self._hidden_with(added, shown)
        more = {*shown, added}
        return all(self.meets(need, more) for need in needs if need.unknown in concerned)

    def victim(self, betrayed: Unknown, shown: Set[Unknown]) -> Unknown | None:
        """The shown number whose loss costs least, out of the tightest equation around a betrayed one."""
        found: list[tuple[bool, int, tuple[int, int, int], int, Unknown]] = []
        for unknown in self._hidden_with(betrayed, shown):
            for equation in self._around.get(unknown, ()):
                hidden = sum(1 for each, _ in equation if each not in shown and each not in self.out)
                found += [
                    (unknown != betrayed, hidden, worth(each), self._rank[each], each)
                    for each, _ in equation
                    if each in shown and each not in self.out and each.value > 0
                ]
        return min(found)[-1] if found else None

    def _range(self, need: Need, shown: Set[Unknown]) -> tuple[int, int]:
        """From where to where the number could be, as far as the need asks."""
        gaps = self._gaps(need.unknown, shown)
        value = need.unknown.value
        low = gaps.towards(need.unknown, min(need.low, value), value)
        high = gaps.towards(need.unknown, max(need.high, value), value)
        return ceil(low), floor(high)

    def _gaps(self, unknown: Unknown, shown: Set[Unknown]) -> Gaps[Unknown]:
        if self._solved[0] != shown:
            self._solved = (frozenset(shown), {})
        solved = self._solved[1]
        if unknown not in solved:
            hidden = sorted(self._hidden_with(unknown, shown), key=lambda u: self._rank.get(u, -1))
            equations = {equation: None for each in hidden for equation in self._around.get(each, ())}
            gaps = Gaps(
                [dict(equation) for equation in equations], {unknown: _room_below(unknown) for unknown in hidden}
            )
            solved.update((each, gaps) for each in hidden)
        return solved[unknown]

    def _hidden_with(self, start: Unknown, shown: Set[Unknown]) -> set[Unknown]:
        """The withheld numbers that hang together with one by equations, itself included."""
        found, waiting = {start}, [start]
        while waiting:
            for equation in self._around.get(waiting.pop(), ()):
                for unknown, _ in equation:
                    if unknown not in found and unknown not in shown and unknown not in self.out:
                        found.add(unknown)
                        waiting.append(unknown)
        return found


def worth(unknown: Unknown) -> tuple[int, int, int]:
    """How much a number tells: totals before parts, the whole pilot before places, large before small."""
    base = unknown.base
    if not isinstance(base, Cell):
        return (-99, 0, unknown.value)
    return (-len(base.breakdown), int(base.place == TOTAL), unknown.value)


def _room_below(unknown: Unknown) -> int | None:
    """How far a number may lie below its true value. A withheld one is taken to be at least 1 unless it is 0,
    because zeros are shown wherever that can be helped; a change may be anything."""
    if isinstance(unknown.base, Change):
        return None
    return unknown.value - min(1, unknown.value)
