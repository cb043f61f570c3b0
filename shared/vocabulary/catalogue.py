"""The vocabulary as a whole: every list with its version, checked together, and an operator's own rows over it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from shared.vocabulary import (
    capability,
    dimensions,
    entities,
    groups,
    places,
    sdg,
    standing_rules,
    strategy,
    tables,
)
from shared.vocabulary.tables import Table, VocabularyError

T = TypeVar("T")

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def catalogue() -> dict[str, Json]:
    """Every list as plain data: `{name: {version, source, checked_on, records: [...]}}`. About 300 kB as JSON."""
    return {
        table.name: {**tables.about(table.name), "records": [plain(record) for record in table.values()]}
        for table in tables.all_tables()
    }


def versions() -> dict[str, str]:
    """The version of every list, for figures and records that say what they were made with."""
    return {table.name: tables.version(table.name) for table in tables.all_tables()}


def plain(value: object) -> Json:
    """A record, or a part of one, as plain data; dates as ISO 8601."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, Iterable):
        return [plain(part) for part in value]
    raise TypeError(f"{value!r} has no plain form")


def load_overrides(path: Path | None) -> None:
    """Lays the files of a directory over the shipped lists; None takes them off again.

    A row replaces the columns that it gives in the shipped row of the same code, or is added. Raises
    `VocabularyError` with everything that is wrong, and then leaves the vocabulary as it was.
    """
    if path is not None and not path.is_dir():
        raise VocabularyError([f"{path} is not a directory"])
    before = tables.overrides()
    tables.lay_over(path)
    found = [*_strange_files(path), *faults()]
    if found:
        tables.lay_over(before)
        raise VocabularyError(found)


def faults() -> list[str]:
    """What is wrong with the lists as they stand: rows that cannot be read, codes that name nothing."""
    found: list[str] = []
    for table in tables.all_tables():
        try:
            table.records()
        except VocabularyError as refusal:
            found += refusal.faults
    return found or [*_dangling()]


def _strange_files(path: Path | None) -> Iterator[str]:
    known = set(tables.shipped_about())
    for file in sorted(path.glob("*.csv")) if path else ():
        if file.stem not in known:
            yield f"{file.name} is no list of the vocabulary; there are {', '.join(sorted(known))}"


def _dangling() -> Iterator[str]:
    return chain(
        _unknown(sdg.TARGETS, lambda target: [target.goal], sdg.GOALS),
        _unknown(sdg.INDICATORS, lambda indicator: [indicator.target], sdg.TARGETS),
        _unknown(sdg.INDICATORS, lambda indicator: [indicator.same_as], sdg.INDICATORS),
        _unknown(strategy.COMMITMENTS, lambda commitment: [commitment.cluster], strategy.CLUSTERS),
        _unknown(strategy.MEASURES, lambda measure: [measure.commitment], strategy.COMMITMENTS),
        _unknown(capability.GROUPS, lambda group: [group.layer], strategy.LAYERS),
        _unknown(capability.CODES, lambda code: [code.layer], strategy.LAYERS),
        _unknown(capability.CODES, lambda code: [code.group], capability.GROUPS),
        _unknown(capability.CODES, lambda code: [code.unit], capability.UNITS),
        _unknown(places.REGIONS, lambda region: [region.within], places.REGIONS),
        _unknown(places.PLACES, lambda p: [p.region, p.sub_region, p.intermediate_region], places.REGIONS),
        _unknown(places.MEMBERSHIPS, lambda membership: [membership.iso3], places.PLACES),
        _unknown(places.POVERTY, lambda figure: [figure.iso3], places.PLACES),
        _unknown(dimensions.VALUES, lambda value: [value.dimension], dimensions.DIMENSIONS),
        _unknown(standing_rules.RULES, lambda rule: [rule.entity], entities.ENTITIES),
        _unknown(standing_rules.RULES, lambda rule: rule.groups, groups.GROUPS),
        _unknown(standing_rules.RULES, lambda rule: rule.places, places.PLACES),
    )


def _unknown(table: Table[T], names: Callable[[T], Iterable[str | None]], known: Table[Any]) -> Iterator[str]:
    """Each code that a row of `table` names and `known` does not have."""
    for key, record in table.items():
        for named in names(record):
            if named is not None and named not in known:
                yield f"{table.name}.csv, row {key}: {named!r} is not in {known.name}.csv"
