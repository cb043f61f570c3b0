"""How the vocabulary's lists are kept, read and amended.

A list is a small CSV file under `data/`, read when somebody first looks into it, and shown as a read-only
mapping of frozen records. `data/tables.json` names each list's version, source and the day it was checked.

An operator amends lists without a release: a directory with files of the same names (`load_overrides`, or the
environment variable `PILOTMESH_VOCABULARY`) is laid over the shipped ones, row by row. The version then says
so, because every figure must be able to name the table it was computed with.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
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

    def check(self, directory: Path | None) -> list[str]:
        """What would be wrong with this list if `directory` were laid over it."""
        try:
            self._read(directory)
        except VocabularyError as refusal:
            return list(refusal.faults)
        return []

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


def overrides() -> Path | None:
    """The directory that is laid over the shipped lists, if any."""
    global _overrides, _asked  # one process has one vocabulary
    if not _asked:
        named = os.environ.get(VARIABLE)
        _overrides, _asked = (Path(named) if named else None), True
    return _overrides


def load_overrides(path: Path | None) -> None:
    """Lays the files of `path` over the shipped lists; None takes them off again.

    A row replaces the columns it gives in the shipped row of the same code, or is added. Raises
    `VocabularyError` with everything that is wrong, and then changes nothing.
    """
    global _overrides, _asked  # one process has one vocabulary
    if path is not None:
        if not path.is_dir():
            raise VocabularyError([f"{path} is not a directory"])
        known = {f"{table.name}.csv" for table in _tables} | {"tables.json"}
        faults = [
            f"{file.name} is no list of the vocabulary" for file in sorted(path.glob("*.csv")) if file.name not in known
        ]
        faults += [fault for table in _tables for fault in table.check(path)]
        if faults:
            raise VocabularyError(faults)
    _overrides, _asked = path, True
    for table in _tables:
        table.forget()


def about(name: str) -> dict[str, str]:
    """Version, source and checked_on of a list, as it stands in this process.

    An amended list's version is the shipped one, a plus sign, and the operator's own (from `tables.json`
    beside the amended file) or the first eight digits of the file's SHA-256.
    """
    described: dict[str, str] = json.loads((SHIPPED / "tables.json").read_text("utf-8"))[name]
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
