"""The system-wide strategic approach and road map on artificial intelligence: what its paragraphs name.

Source: CEB/2019/1/Add.3 (17 June 2019). Labels are our own; each record names its paragraph.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.vocabulary.tables import Row, Table, Text, text

DOCUMENT = "CEB/2019/1/Add.3"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster of actions by how certain their effect is (para. 13)."""

    code: str
    label: Text
    source: str


@dataclass(frozen=True, slots=True)
class Commitment:
    code: str
    cluster: str
    label: Text
    source: str


@dataclass(frozen=True, slots=True)
class Measure:
    code: str
    commitment: str
    label: Text
    source: str


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of capacity (para. 12 (b)–(e))."""

    code: str
    label: Text
    source: str


@dataclass(frozen=True, slots=True)
class Principle:
    """A principle of paragraph 9; `code` is its letter."""

    code: str
    label: Text
    source: str


CLUSTERS = Table("clusters", lambda row: Cluster(row["code"], text(row), _source(row)))
COMMITMENTS = Table("commitments", lambda row: Commitment(row["code"], row["cluster"], text(row), _source(row)))
MEASURES = Table("measures", lambda row: Measure(row["code"], row["code"].partition(".")[0], text(row), _source(row)))
LAYERS = Table("layers", lambda row: Layer(row["code"], text(row), _source(row)))
PRINCIPLES = Table("principles", lambda row: Principle(row["code"], text(row), _source(row)))


def cluster_of(measure: str) -> str:
    """The cluster of a measure's commitment: high_certainty, evolving_knowledge or high_uncertainty."""
    return COMMITMENTS[MEASURES[measure].commitment].cluster


def _source(row: Row) -> str:
    return f"{DOCUMENT}, {row['paragraph']}"
