"""What a query and an update mean, for the database in memory: as much of the language as the ledgers speak."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Document = dict[str, Any]
ABSENT = object()


def value_at(document: Mapping[str, Any], path: str) -> Any:
    found: Any = document
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return ABSENT
        found = found[name]
    return found


def equalities(query: Mapping[str, Any]) -> Document:
    return {name: wanted for name, wanted in query.items() if not isinstance(wanted, Mapping)}


def changed(document: Document, change: Mapping[str, Any]) -> Document:
    """The document after an update."""
    after = dict(document)
    for operator, fields in change.items():
        for name, value in fields.items():
            match operator:
                case "$set":
                    after[name] = value
                case "$inc":
                    after[name] = after.get(name, 0) + value
                case "$max":
                    after[name] = max(after.get(name, value), value)
                case "$unset":
                    after.pop(name, None)
                case "$setOnInsert":
                    pass
                case _:
                    raise NotImplementedError(operator)
    return after


def compared(found: Any, wanted: Any, how: Callable[[Any, Any], bool]) -> bool:
    """Nothing compares with what is absent, nor with what is of another kind."""
    return found is not ABSENT and found is not None and how(found, wanted)


TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$in": lambda found, wanted: found in wanted,
    "$nin": lambda found, wanted: found not in wanted,
    "$ne": lambda found, wanted: (None if found is ABSENT else found) != wanted,
    "$exists": lambda found, wanted: (found is not ABSENT) is bool(wanted),
    "$gt": lambda found, wanted: compared(found, wanted, lambda one, other: bool(one > other)),
    "$gte": lambda found, wanted: compared(found, wanted, lambda one, other: bool(one >= other)),
    "$lt": lambda found, wanted: compared(found, wanted, lambda one, other: bool(one < other)),
    "$lte": lambda found, wanted: compared(found, wanted, lambda one, other: bool(one <= other)),
}


def matches(document: Mapping[str, Any], query: Mapping[str, Any]) -> bool:
    for name, wanted in query.items():
        found = value_at(document, name)
        if isinstance(wanted, Mapping):
            if not all(TESTS[test](found, against) for test, against in wanted.items()):
                return False
        elif found != wanted and not (wanted is None and found is ABSENT):
            return False
    return True
