"""The groups of people a pilot can be for."""

from __future__ import annotations

from dataclasses import dataclass

from shared.vocabulary.tables import Row, Table, Text, text


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """`sensitive` groups are never shown below country level, and never publicly without the owner's act."""

    code: str
    label: Text
    definition: Text
    source: str
    sensitive: bool


def _group(row: Row) -> TargetGroup:
    return TargetGroup(row["code"], text(row), text(row, "definition_"), row["source"], row["sensitive"] == "yes")


GROUPS = Table("target_groups", _group)
