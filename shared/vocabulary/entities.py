"""Entities of the United Nations system: the agencies a mesh may have."""

from __future__ import annotations

from dataclasses import dataclass

from shared.vocabulary.tables import Row, Table, Text, text


@dataclass(frozen=True, slots=True)
class Entity:
    """`iati` is the organisation identifier in the IATI register, None where it is not certain.

    `kind` is one of secretariat, regional_commission, fund_or_programme, specialized_agency,
    related_organization, research_and_training, joint_programme, initiative, service_provider.
    """

    slug: str
    acronym: str
    name: Text
    iati: str | None
    kind: str


def _entity(row: Row) -> Entity:
    return Entity(row["slug"], row["acronym"], text(row), row["iati"] or None, row["kind"])


ENTITIES = Table("entities", _entity, key=("slug",))
