"""Which figures may be published so that no small number of people can be worked out from them.

Primary suppression withholds numbers of people above 0 and below a threshold, and changes as small as that
against any version already published. Secondary (complementary) suppression withholds others until no outsider
can get at the first by subtraction, in any combination of all versions: after it, every protected number may
be anything from 1 to the threshold less one, and every protected change anything in between. Which number is
withheld for which reason is not said. See docs/metrics.md for the method and its sources.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import combinations

from services.metrics.audit import Audit, Need, worth
from services.metrics.intervals import SearchLimitError
from services.metrics.tables import Base, Cell, Equation, Structure, Table, Unknown, change, structures

THRESHOLD = 10
"""The default of an agency's threshold. The handbook's minimum is 3; people who are at risk need more."""


@dataclass(frozen=True, slots=True)
class Version:
    """A table as it was when it was published, and the cells that were shown. Stays at home."""

    table: Table
    shown: frozenset[Cell]


@dataclass(frozen=True, slots=True)
class Release:
    """`shown` may be published with their true numbers; all others of the table are withheld.

    `kept` are those whose number stood in an earlier version and stays there, marked as not renewed.
    `broken`: the parts of these wholes add up to more than they hold; then nothing but a question comes out.
    """

    shown: frozenset[Cell] = frozenset()
    withheld: frozenset[Cell] = frozenset()
    kept: frozenset[Cell] = frozenset()
    broken: tuple[Cell, ...] = ()


def protect(table: Table, history: Sequence[Version] = (), threshold: int = THRESHOLD) -> Release:
    """What of a table may be shown, given every version already published.

    The same table and history give the same release. The last resort is to show nothing new.
    """
    *earlier, new = known = structures([*(version.table for version in history), table])
    if new.broken:
        wholes = tuple(sorted({whole for rest in new.broken for whole in rest.wholes}))
        return Release(withheld=new.reported, broken=wholes)
    out = {then.unknowns[cell] for then, version in zip(earlier, history, strict=True) for cell in version.shown}
    offered = {new.unknowns[cell] for cell in new.reported}
    changes = list(_changes(known, out, threshold))
    equations = frozenset[Equation]().union(*(each.equations for each in known), (tie for _, tie in changes))
    audit = Audit(equations, out)
    try:
        needs = audit.attainable([*_small(known, out, threshold), *(need for need, _ in changes)])
        shown = _choose(audit, needs, offered)
    except SearchLimitError:
        shown = set()
    cells = frozenset(cell for cell in new.reported if new.unknowns[cell] in shown)
    ever = frozenset(cell for version in history for cell in version.shown)
    return Release(shown=cells, withheld=new.reported - cells, kept=(new.reported - cells) & ever)


def _small(known: Sequence[Structure], out: Set[Unknown], threshold: int) -> Iterator[Need]:
    """Small numbers must be able to be anything from 1 to the threshold less one."""
    small = {u for each in known for u in each.unknowns.values() if 0 < u.value < threshold and u not in out}
    for unknown in small:
        yield Need(unknown, 1, threshold - 1, threshold - 2)


def _changes(known: Sequence[Structure], out: Set[Unknown], threshold: int) -> Iterator[tuple[Need, Equation]]:
    """Numbers of the same people at two times that differ by less than the threshold.

    Against a number that was shown, the change must be able to be anything that is less than the threshold,
    up or down. Where both were withheld, it must be uncertain by as much, one way or both.
    """
    times: dict[Base, dict[Unknown, None]] = {}
    for version in known:
        for base, unknown in version.unknowns.items():
            times.setdefault(base, {})[unknown] = None
    most = threshold - 1
    for each in times.values():
        for pair in combinations(reversed(each), 2):
            shown = [unknown for unknown in pair if unknown in out]
            if not 0 < abs(pair[0].value - pair[1].value) < threshold or len(shown) == 2:
                continue
            difference, tie = change(*pair)
            if shown:
                yield Need(difference, -most, most, 2 * most), tie
            else:
                yield Need(difference, difference.value - most, difference.value + most, most), tie


def _choose(audit: Audit, needs: Sequence[Need], offered: Set[Unknown]) -> set[Unknown]:
    """A set of the offered numbers that betrays nothing, and to which none of the withheld can be added.

    Greedy: wherever a need is not met, the number that tells least is withheld; at the end each that has
    become superfluous comes back. An optimal set is NP-hard to find (Kelly, Golden and Assad, 1992).
    """
    shown = set(offered) - {need.unknown for need in needs if need.unknown not in audit.out}
    secondary: list[Unknown] = []
    for need in needs:
        while not audit.meets(need, shown):
            victim = audit.victim(need.unknown, shown)
            if victim is None:
                return set()
            shown.discard(victim)
            secondary.append(victim)
    for unknown in sorted(secondary, key=worth, reverse=True):
        if audit.meets_all(needs, shown, unknown):
            shown.add(unknown)
    return shown
