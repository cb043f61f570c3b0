"""Short ids for the parts of a pilot (`n1`, `s1` …) that stay the same through all revisions and are never reused:
a testbed's agreement, a reservation or an observation may still name them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

from services.registry.records.findings import Findings, child, shown

Part = dict[str, Any]
Likeness = Callable[[Part], Hashable]


def numbered(
    posted: Sequence[Part | None],
    before: Sequence[Part],
    retired: Collection[str],
    *,
    prefix: str,
    at: str,
    likenesses: Sequence[Likeness],
    findings: Findings,
) -> list[Part | None]:
    """The posted parts, each with its id; None stays where a faulty part stood.

    A part without an id takes that of the earlier part it resembles most (`likenesses`, strictest first), else a new
    number. Ids posted twice, or of parts that are gone, are faults.
    """
    known = {str(part["id"]) for part in before}
    taken: set[str] = set()
    for index, part in enumerate(posted):
        own = part.get("id") if part else None
        if own is None:
            continue
        place = child(child(at, index), "id")
        if own in taken:
            findings.fault(place, "duplicate", f"{shown(own)} is the id of an earlier entry: give each its own.")
        elif own in retired and own not in known:
            findings.fault(place, "retired", f"{shown(own)} belonged to an entry that is gone: leave the id out.")
        taken.add(own)
    ids = _resembling(posted, [part for part in before if part["id"] not in taken], likenesses)
    number = _highest({*known, *retired, *taken}, prefix)
    parts: list[Part | None] = []
    for index, part in enumerate(posted):
        if part is None:
            parts.append(None)
            continue
        own = part.get("id") or ids.get(index)
        if own is None:
            number += 1
            own = f"{prefix}{number}"
        parts.append({"id": own, **{name: value for name, value in part.items() if name != "id"}})
    return parts


def gone(before: Sequence[Part], after: Sequence[Part | None]) -> list[str]:
    """The ids of parts that are there no more."""
    left = {part["id"] for part in after if part}
    return [str(part["id"]) for part in before if part["id"] not in left]


def _resembling(posted: Sequence[Part | None], free: list[Part], likenesses: Sequence[Likeness]) -> dict[int, str]:
    ids: dict[int, str] = {}
    for likeness in likenesses:
        for index, part in enumerate(posted):
            if part is None or part.get("id") is not None or index in ids:
                continue
            match = next((old for old in free if likeness(old) == likeness(part)), None)
            if match is not None:
                free.remove(match)
                ids[index] = match["id"]
    return ids


def _highest(ids: Collection[str], prefix: str) -> int:
    numbers = [int(match.group(1)) for own in ids if (match := re.fullmatch(rf"{prefix}(\d{{1,9}})", own, re.ASCII))]
    return max(numbers, default=0)
