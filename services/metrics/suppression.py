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

from services.metrics.audit import Audit, Need, worth
from services.metrics.intervals import SearchLimitError
from services.metrics.tables import Base, Cell, Structure, Table, Unknown, structure

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
    new = structure(table)
    if new.broken:
        wholes = tuple(sorted({whole for rest in new.broken for whole in rest.wholes}))
        return Release(withheld=new.reported, broken=wholes)
    earlier = [(structure(version.table), version.shown) for version in history]
    out = {known.unknowns[cell] for known, shown in earlier for cell in shown}
    structures = [known for known, _ in earlier] + [new]
    audit = Audit(structures, out)
    offered = {new.unknowns[cell] for cell in new.reported}
    try:
        shown = _betraying_nothing(audit, structures, offered - out, threshold) | (offered & out)
    except SearchLimitError:
        shown = offered & out
    cells = frozenset(cell for cell in new.reported if new.unknowns[cell] in shown)
    ever = frozenset(cell for _, before in earlier for cell in before)
    return Release(shown=cells, withheld=new.reported - cells, kept=(new.reported - cells) & ever)


def _betraying_nothing(
    audit: Audit, structures: Sequence[Structure], offered: Set[Unknown], threshold: int
) -> set[Unknown]:
    """A choice of the offered numbers after which no small number and no small change can be worked out.

    Changes are protected against what was shown. Should the choice let an outsider work out a number that
    was withheld before, the changes against that one are protected too, and the choice is made again.
    """
    small = [need for each in structures for need in _small(each, audit.out, threshold)]
    near = _near(structures, threshold)
    changes = [pair for pair in near if pair[1] in audit.out and pair[0] not in audit.out]
    known_before = {pair for pair in near if audit.pinned(pair, frozenset())}
    while True:
        needs = audit.attainable([*small, *(_change(pair, threshold) for pair in changes)])
        shown = _choose(audit, needs, offered)
        betrayed = [
            pair
            for pair in near
            if pair not in known_before and pair not in changes and pair[0] not in audit.out
            if audit.pinned(pair, shown)
        ]
        if not betrayed:
            return shown
        changes += betrayed


def _small(version: Structure, out: Set[Unknown], threshold: int) -> Iterator[Need]:
    for unknown in version.unknowns.values():
        if 0 < unknown.value < threshold and unknown not in out:
            yield Need(unknown, 1, threshold - 1)


def _near(structures: Sequence[Structure], threshold: int) -> list[tuple[Unknown, Unknown]]:
    """Numbers of the same people at two times that differ by less than the threshold, newest first."""
    values: dict[Base, list[int]] = {}
    for version in structures:
        for base, unknown in version.unknowns.items():
            seen = values.setdefault(base, [])
            if unknown.value not in seen:
                seen.append(unknown.value)
    return [
        (Unknown(base, value), Unknown(base, other))
        for base, seen in values.items()
        for value in reversed(seen)
        for other in seen
        if 0 < abs(value - other) < threshold
    ]


def _change(pair: tuple[Unknown, Unknown], threshold: int) -> Need:
    unknown, known = pair
    return Need(unknown, max(min(1, unknown.value), known.value - threshold + 1), known.value + threshold - 1)


def _choose(audit: Audit, needs: Sequence[Need], offered: Set[Unknown]) -> set[Unknown]:
    """A set of the offered numbers that betrays nothing, and to which none of the withheld can be added.

    Greedy: wherever a need is not met, the number that tells least is withheld; at the end each that has
    become superfluous comes back. An optimal set is NP-hard to find (Kelly, Golden and Assad, 1992).
    """
    protected = {need.unknown for need in needs}
    shown = set(offered) - protected
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
