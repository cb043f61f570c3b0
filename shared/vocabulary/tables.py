"""How the vocabulary's lists are kept, read and amended.

A list is a small CSV file under `data/`, read when somebody first looks into it, and shown as a read-only
mapping of frozen records. `data/tables.json` names each list's version, source and the day it was checked.

An operator amends lists without a release: a directory with files of the same names is laid over the shipped
ones, row by row (`shared.vocabulary.catalogue.load_overrides`, or the environment variable
`PILOTMESH_VOCABULARY`, which also reaches processes of their own, such as the solver). The version then says so,
because every figure must be able to name the table it was computed with.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar

Text = dict[str, str]
Row = dict[str, str]
T = TypeVar("T")

LANGUAGES = ("ar", "en", "es", "fr", "ru", "zh")
SHIPPED = Path(__file__).parent / "data"
VARIABLE = "PILOTMESH_VOCABULARY"

_tables: list[Table[object]] = []
_overrides: Path | None = None
_asked = False


class VocabularyError(ValueError):
    """A list that cannot be read; names the file and every row that is wrong."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class Table(Mapping[str, T], Generic[T]):
    """A list of records by code, read from `<name>.csv` on first use and in the order of the file."""

    def __init__(self, name: str, parse: Callable[[Row], T], key: Sequence[str] = ("code",)) -> None:
        self.name = name
        self._parse = parse
        self._key = tuple(key)
        self._records: dict[str, T] | None = None
        _tables.append(self)  # type: ignore[arg-type]  # a list of tables of whatever record

    def records(self) -> dict[str, T]:
        if self._records is None:
            self._records = self._read(overrides())
        return self._records

    def forget(self) -> None:
        self._records = None

    def _read(self, directory: Path | None) -> dict[str, T]:
        rows = dict(self._keyed(SHIPPED / f"{self.name}.csv"))
        amended = directory / f"{self.name}.csv" if directory else None
        if amended and amended.is_file():
            for key, row in self._keyed(amended):
                rows[key] = {**rows.get(key, {}), **row}
        records: dict[str, T] = {}
        faults = []
        for key, row in rows.items():
            try:
                records[key] = self._parse(row)
            except (KeyError, ValueError) as reason:
                faults.append(f"{self.name}.csv, row {key}: {type(reason).__name__} {reason}")
        if faults:
            raise VocabularyError(faults)
        return records

    def _keyed(self, path: Path) -> Iterator[tuple[str, Row]]:
        for number, row in enumerate(read_rows(path), start=2):
            missing = [column for column in self._key if not row.get(column)]
            if missing or None in row or None in row.values():
                raise VocabularyError([f"{path.name}, line {number}: {', '.join(missing) or 'a column'} is missing"])
            yield "/".join(row[column] for column in self._key), row

    def __getitem__(self, key: str) -> T:
        return self.records()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.records())

    def __len__(self) -> int:
        return len(self.records())

    def __contains__(self, key: object) -> bool:
        return key in self.records()

    def __repr__(self) -> str:
        return f"<{self.name}: {len(self)} records>"


def read_rows(path: Path) -> list[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def text(row: Row, prefix: str = "") -> Text:
    """The columns `<prefix>en`, `<prefix>fr` … as text for people; empty ones are left out."""
    return {language: row[prefix + language] for language in LANGUAGES if row.get(prefix + language)}


def all_tables() -> tuple[Table[object], ...]:
    """Every list of the modules imported so far."""
    return tuple(_tables)


def overrides() -> Path | None:
    """The directory that is laid over the shipped lists, if any.

    Raises `VocabularyError` when the environment names a directory that is not there.
    """
    global _overrides, _asked  # one process has one vocabulary
    if not _asked:
        named = os.environ.get(VARIABLE)
        if named and not Path(named).is_dir():
            raise VocabularyError([f"{VARIABLE} names {named}, which is not a directory"])
        _overrides, _asked = (Path(named) if named else None), True
    return _overrides


def lay_over(path: Path | None) -> None:
    """Puts a directory over the shipped lists, unchecked; every list is read again on its next use."""
    global _overrides, _asked  # one process has one vocabulary
    _overrides, _asked = path, True
    for table in _tables:
        table.forget()


@cache
def shipped_about() -> dict[str, dict[str, str]]:
    """`data/tables.json`: version, source and checked_on of every shipped list."""
    described: dict[str, dict[str, str]] = json.loads((SHIPPED / "tables.json").read_text("utf-8"))
    return described


def about(name: str) -> dict[str, str]:
    """Version, source and checked_on of a list, as it stands in this process.

    An amended list's version is the shipped one, a plus sign, and the operator's own (from `tables.json`
    beside the amended file) or the first eight digits of the file's SHA-256.
    """
    described = dict(shipped_about()[name])
    directory = overrides()
    amended = directory / f"{name}.csv" if directory else None
    if directory and amended and amended.is_file():
        beside = directory / "tables.json"
        own: dict[str, str] = json.loads(beside.read_text("utf-8")).get(name, {}) if beside.is_file() else {}
        version = own.get("version") or hashlib.sha256(amended.read_bytes()).hexdigest()[:8]
        described = {**described, **own, "version": f"{described['version']}+{version}"}
    return described


def version(name: str) -> str:
    return about(name)["version"]
