"""Whom a pilot tells or asks because of the people it is for, whoever is on its team.

The rules are data with a source, so that a mesh can read where one comes from, and amend it. They make an entity
"consulted"; they never make it a member of the team.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast, get_args

from shared.vocabulary.tables import Row, Table, Text, text

Act = Literal["inform", "ask"]


@dataclass(frozen=True, slots=True)
class StandingRule:
    """Applies to a pilot for any of `groups` in any of `places` (ISO 3166-1 alpha-3; none listed: anywhere).

    `act`: inform – `entity` is told; ask – its advice is asked for.
    """

    code: str
    groups: tuple[str, ...]
    places: tuple[str, ...]
    entity: str
    act: Act
    text: Text
    source: str


def _rule(row: Row) -> StandingRule:
    if row["act"] not in get_args(Act):
        raise ValueError(f"act {row['act']!r} is none of {', '.join(get_args(Act))}")
    return StandingRule(
        code=row["code"],
        groups=tuple(row["groups"].split()),
        places=tuple(row["places"].split()),
        entity=row["entity"],
        act=cast(Act, row["act"]),
        text=text(row),
        source=row["source"],
    )


RULES = Table("standing_rules", _rule)


def rules_for(groups: Iterable[str | Iterable[str]], places: Iterable[str]) -> tuple[StandingRule, ...]:
    """The rules for a pilot's target groups and the places of its sites, in the order of the list.

    A nested list of groups is an intersection, as in a pilot: every group named in it counts.
    """
    named = {group for entry in groups for group in ([entry] if isinstance(entry, str) else entry)}
    where = set(places)
    return tuple(
        rule
        for rule in RULES.values()
        if named.intersection(rule.groups) and (not rule.places or where.intersection(rule.places))
    )
