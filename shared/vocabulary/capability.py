"""What a pilot can need and an agency can bring: codes by layer, with kind of capacity and unit.

A code is `<layer>.<name>`, for instance `data.earth_observation`. Siblings share a group: a sibling may be
suggested in place of a code, it never covers an essential need by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

from shared.vocabulary.tables import Row, Table, Text, text

Kind = Literal["S", "C", "X", "none"]
"""S shared without limit · C concurrent per month · X used up · none not a capacity (`funding`, `other`)."""


@dataclass(frozen=True, slots=True)
class CapabilityCode:
    """`layer` and `group` are None for `funding` and `other`, which are accepted and never matched.

    `unit` names what a quantity counts; it is None where a quantity has no meaning (kinds S and none).
    Where `posts` is true a plain number means posts, full-time, in the dates of the need: so for every human and
    policy code counted in person-days (not for seats in a course, months of exchange or research projects).
    Where `goal_required` is true the need says which SDG goal's sector it is about.
    """

    code: str
    layer: str | None
    group: str | None
    kind: Kind
    unit: str | None
    label: Text
    definition: Text
    example: Text
    not_this: Text
    posts: bool
    goal_required: bool
    matchable: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Codes that can stand in for one another after a person's word; `code` is `<layer>.<name>`."""

    code: str
    layer: str
    label: Text


@dataclass(frozen=True, slots=True)
class Unit:
    code: str
    label: Text


def _capability(row: Row) -> CapabilityCode:
    if row["kind"] not in get_args(Kind):
        raise ValueError(f"kind {row['kind']!r} is none of {', '.join(get_args(Kind))}")
    layer = row["code"].partition(".")[0] if "." in row["code"] else None
    return CapabilityCode(
        code=row["code"],
        layer=layer,
        group=row["group"] or None,
        kind=cast(Kind, row["kind"]),
        unit=row["unit"] or None,
        label=text(row),
        definition=text(row, "definition_"),
        example=text(row, "example_"),
        not_this=text(row, "not_this_"),
        posts=layer in ("human", "policy") and row["unit"] == "person_days",
        goal_required=row["code"] == "human.sector_expertise",
        matchable=row["kind"] != "none",
    )


CODES = Table("capabilities", _capability)
GROUPS = Table("capability_groups", lambda row: Group(row["code"], row["code"].partition(".")[0], text(row)))
UNITS = Table("units", lambda row: Unit(row["code"], text(row)))


def siblings(code: str) -> tuple[str, ...]:
    """The other codes of the same group, in the order of the list; empty for `funding` and `other`."""
    one = CODES[code]
    if one.group is None:
        return ()
    return tuple(other.code for other in CODES.values() if other.group == one.group and other.code != code)
