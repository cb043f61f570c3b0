"""What a field's value must be beyond its JSON type: marks that stand in the models' annotations.

A model's types say the shape; a mark says the sense of one value and adds faults in words. Marks on a list
apply to each of its items. They also enrich the JSON schema, so that what is published is what is checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema

from services.registry.records.codes import LISTS, check_agency, check_code, closest
from services.registry.records.findings import Findings, child, shown
from shared.vocabulary import groups
from shared.vocabulary.tables import LANGUAGES

EARLIEST = date(1990, 1, 1)
LATEST = date(2100, 12, 31)
MOST_ITEMS = 300  # of any list; all countries are 249, all targets 169


class Mark:
    """Base of all marks: `check` adds what is wrong with one well-typed value."""

    each = True  # on a list the mark applies to its items

    def check(self, value: Any, at: str, findings: Findings) -> None:
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        return {}

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        described = handler(core)
        addition = self.schema()
        for branch in [described, *described.get("anyOf", ())]:
            spot = branch.get("items", branch) if self.each else branch
            if spot.get("type") not in (None, "null", "array") or (not self.each and spot.get("type") == "array"):
                spot.update(addition)
        return described


@dataclass(frozen=True, slots=True)
class Words(Mark):
    """Text for people, one or more of the six UN languages; `most` characters in each."""

    most: int

    def check(self, value: Any, at: str, findings: Findings) -> None:
        if not value:
            findings.fault(at, "empty", 'The text is empty: give at least one language, such as {"en": "…"}.')
        for language, text in value.items():
            place = child(at, language)
            if language not in LANGUAGES:
                hint = closest(language, LANGUAGES) if len(language) < 12 else None
                known = hint or f"use {', '.join(LANGUAGES)}."
                findings.fault(place, "unknown-language", f"{shown(language)} is not a language of text here: {known}")
            elif not text.strip():
                findings.fault(place, "empty", "The text is empty: write it, or leave the language out.")
            elif len(text) > self.most:
                findings.fault(place, "too-long", f"{len(text)} characters found: at most {self.most} fit here.")

    def schema(self) -> dict[str, Any]:
        return {"propertyNames": {"enum": list(LANGUAGES)}, "minProperties": 1}


@dataclass(frozen=True, slots=True)
class Line(Mark):
    """One line of plain text that is no prose: a name, a reference."""

    most: int = 200

    def check(self, value: Any, at: str, findings: Findings) -> None:
        if not value.strip():
            findings.fault(at, "empty", "The text is empty: write it, or leave the field out.")
        elif len(value) > self.most:
            findings.fault(at, "too-long", f"{len(value)} characters found: at most {self.most} fit here.")

    def schema(self) -> dict[str, Any]:
        return {"minLength": 1, "maxLength": self.most}


@dataclass(frozen=True, slots=True)
class Matching(Mark):
    """Text of a fixed form; `form` says it in words, with an example."""

    pattern: str
    form: str

    def check(self, value: Any, at: str, findings: Findings) -> None:
        if not re.fullmatch(self.pattern, value):
            findings.fault(at, "bad-form", f"{shown(value)} found: write {self.form}.")

    def schema(self) -> dict[str, Any]:
        return {"pattern": f"^(?:{self.pattern})$"}


@dataclass(frozen=True, slots=True)
class OneOf(Mark):
    words: tuple[str, ...]

    def check(self, value: Any, at: str, findings: Findings) -> None:
        if value not in self.words:
            hint = closest(value, self.words) or ""
            known = f"use one of {', '.join(self.words)}."
            findings.fault(at, "unknown-code", f"{shown(value)} found: {known} {hint}".strip())

    def schema(self) -> dict[str, Any]:
        return {"enum": [*self.words]}


@dataclass(frozen=True, slots=True)
class Coded(Mark):
    """A code of the vocabulary; `kind` is a key of `codes.LISTS`."""

    kind: str

    def check(self, value: Any, at: str, findings: Findings) -> None:
        check_code(self.kind, value, at, findings)

    def schema(self) -> dict[str, Any]:
        return {"description": f"A {LISTS[self.kind].noun} of the vocabulary."}


@dataclass(frozen=True, slots=True)
class AgencySlug(Mark):
    def check(self, value: Any, at: str, findings: Findings) -> None:
        check_agency(value, at, findings)

    def schema(self) -> dict[str, Any]:
        return {"pattern": "^[a-z][a-z0-9-]{1,31}$"}


@dataclass(frozen=True, slots=True)
class Day(Mark):
    """A date, ISO 8601 `YYYY-MM-DD`, from 1990 to 2100."""

    def check(self, value: Any, at: str, findings: Findings) -> None:
        day = as_day(value)
        if day is None:
            findings.fault(at, "bad-date", f"{shown(value)} is no date of the calendar: write it as 2027-01-31.")
        elif not EARLIEST <= day <= LATEST:
            findings.fault(at, "bad-date", f"{value} lies outside {EARLIEST.year}–{LATEST.year}: check the year.")

    def schema(self) -> dict[str, Any]:
        return {"format": "date"}


@dataclass(frozen=True, slots=True)
class Month(Mark):
    """A calendar month, `YYYY-MM`, from 1990 to 2100."""

    def check(self, value: Any, at: str, findings: Findings) -> None:
        first = as_day(f"{value}-01")
        if first is None or not EARLIEST <= first <= LATEST:
            findings.fault(at, "bad-date", f"{shown(value)} is no month: write it as 2027-01.")

    def schema(self) -> dict[str, Any]:
        return {"pattern": "^[0-9]{4}-[0-9]{2}$"}


@dataclass(frozen=True, slots=True)
class Within(Mark):
    """A number from `least` to `most`; with `above` the least itself is excluded."""

    least: float
    most: float
    above: bool = False

    def check(self, value: Any, at: str, findings: Findings) -> None:
        if value < self.least or (self.above and value == self.least):
            limit = f"more than {self.least:g}" if self.above else f"{self.least:g} or more"
            findings.fault(at, "out-of-range", f"Found {shown(value)}: give {limit}, or leave it out.")
        elif value > self.most:
            findings.fault(at, "out-of-range", f"Found {shown(value)}: the most that makes sense is {self.most:g}.")

    def schema(self) -> dict[str, Any]:
        return {"exclusiveMinimum" if self.above else "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class GroupOrIntersection(Mark):
    """A target group, or a list of those that the same people belong to (an intersection, paragraph 8)."""

    each = False

    def check(self, value: Any, at: str, findings: Findings) -> None:
        if isinstance(value, str):
            check_code("group", value, at, findings)
        elif isinstance(value, list):
            self._check_intersection(value, at, findings)
        else:
            findings.fault(at, "wrong-type", f"Found {shown(value)}: name a target group, or list several.")

    def _check_intersection(self, entry: list[Any], at: str, findings: Findings) -> None:
        if len(entry) < 2 or len(entry) > len(groups.GROUPS):
            detail = "An intersection lists two or more groups that the same people belong to: name them."
            findings.fault(at, "bad-intersection", detail)
            return
        for place, code in enumerate(entry):
            where = child(at, place)
            if not isinstance(code, str):
                findings.fault(where, "wrong-type", f"Found {shown(code)}: inside an intersection stand codes only.")
            elif check_code("group", code, where, findings) and code in entry[:place]:
                findings.fault(where, "duplicate", f"{code} stands twice in this intersection: name it once.")


@dataclass(frozen=True, slots=True)
class TargetGroups(Mark):
    """Codes of target groups; a list inside the list is an intersection, one level deep."""

    each = False

    def check(self, value: Any, at: str, findings: Findings) -> None:
        for place, entry in enumerate(value):
            GroupOrIntersection().check(entry, child(at, place), findings)

    def schema(self) -> dict[str, Any]:
        return {"examples": [["rural", ["women", "persons_with_disabilities"]]]}

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        described = handler(core)
        codes = {"type": "string", "enum": list(groups.GROUPS)}
        described.update(anyOf=[{"type": "array", "items": {"anyOf": [codes, {"type": "array", "items": codes}]}}])
        described["anyOf"].append({"type": "null"})
        return {**described, **self.schema()}


def as_day(value: object) -> date | None:
    """The date that `YYYY-MM-DD` names, None for anything else."""
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def marks_of(metadata: list[Any]) -> list[Mark]:
    return [mark for mark in metadata if isinstance(mark, Mark)]
