"""Reads a post against a model: all faults at once, with paths; unknown fields kept, likely slips noticed.

Nothing is coerced: what is well is kept exactly as it was posted. Faults of shape come from pydantic, faults of
sense from the marks; rules that compare fields see only what both found well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from services.registry.records.findings import SHOWN, Findings, child, shown
from services.registry.records.marks import MOST_ITEMS, Mark, Words, marks_of

Json = dict[str, Any]


class Record(BaseModel):
    """What every posted object is: strict about types, keeping what it does not know.

    All fields are optional here, because a draft may be saved at any field; what a complete record needs is a rule.
    """

    model_config = ConfigDict(extra="allow", strict=True, hide_input_in_errors=True)


def read(model: type[Record], post: Json, findings: Findings) -> Json:
    """The well part of a post, as a copy: faulty fields are gone, faulty items of lists are None.

    The post has passed `check_carriable`, or is made of what has.
    """
    copy: Json = _copied({name: value for name, value in post.items() if not _dropped(model, name, value)})
    try:
        model.model_validate(copy)
    except ValidationError as refusal:
        for error in refusal.errors(include_url=False, include_context=False, include_input=True):
            findings.fault(_path(error["loc"]), "wrong-type", _sentence(model, error))
    _check_object(model, copy, "", findings)
    if findings.faults:
        _prune(copy, "", findings)
    return copy


def _dropped(model: type[Record], name: str, value: Any) -> bool:
    """A null at the top says "not given"; inside records it may mean "not known", which is kept."""
    return value is None and name in model.model_fields


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(member) for key, member in value.items()}
    return [_copied(member) for member in value] if isinstance(value, list) else value


def _path(location: tuple[int | str, ...]) -> str:
    at = ""
    for step in location:
        if step != "[key]":
            at = child(at, step)
    return at


_EXPECTED = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list in brackets",
    "dict_type": "an object",
    "model_type": "an object",
}


def _sentence(model: type[Record], error: ErrorDetails) -> str:
    found = f"Found {shown(error['input'])}"
    field = _field_at(model, error["loc"])
    if field is not None and any(isinstance(mark, Words) for mark in marks_of(field.metadata)):
        if error["type"] == "dict_type":
            return f'{found}: text for people names its language, as in {{"en": "…"}}.'
        return f"{found}: each language holds text in quotes."
    return f"{found}: {_EXPECTED.get(error['type'], error['msg'])} belongs here."


def _field_at(model: type[Record], location: tuple[int | str, ...]) -> FieldInfo | None:
    current: type[Record] | None = model
    field: FieldInfo | None = None
    for step in location:
        if isinstance(step, int):
            continue
        if current is None or step not in current.model_fields:
            return field
        field = current.model_fields[step]
        current = _model_in(field.annotation)
    return field


@dataclass(frozen=True, slots=True)
class _Plan:
    """How one field is checked: by the model inside it, or by its marks."""

    nested: type[Record] | None
    marks: tuple[Mark, ...]


@lru_cache
def _plans(model: type[Record]) -> dict[str, _Plan]:
    return {
        name: _Plan(_model_in(field.annotation), tuple(marks_of(field.metadata)))
        for name, field in model.model_fields.items()
    }


def _parts(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            if part is not type(None):
                yield from _parts(part)
    else:
        yield annotation


def _model_in(annotation: Any) -> type[Record] | None:
    """The record model that a field holds, by itself or in a list."""
    for part in _parts(annotation):
        inner = get_args(part)[0] if get_origin(part) is list else part
        if isinstance(inner, type) and issubclass(inner, Record):
            return inner
    return None


def _check_object(model: type[Record], value: Mapping[str, Any], at: str, findings: Findings) -> None:
    plans = _plans(model)
    for name, member in value.items():
        place = child(at, name)
        plan = plans.get(name)
        if plan is None:
            if findings.may_guess():
                _notice_slip(model, name, place, findings)
        elif member is not None and not findings.faulty(place):
            _check_field(plan, member, place, findings)


def _check_field(plan: _Plan, value: Any, at: str, findings: Findings) -> None:
    if isinstance(value, list) and len(value) > MOST_ITEMS:
        findings.fault(at, "too-many", f"{len(value)} entries found: at most {MOST_ITEMS} fit here.")
        return
    if plan.nested is not None:
        members = [(value, at)] if isinstance(value, dict) else [(m, child(at, i)) for i, m in enumerate(value)]
        for member, place in members:
            if isinstance(member, dict) and not findings.faulty(place):
                _check_object(plan.nested, member, place, findings)
        return
    for mark in plan.marks:
        if isinstance(value, list) and mark.each:
            for index, item in enumerate(value):
                if not findings.faulty(child(at, index)):
                    mark.check(item, child(at, index), findings)
        elif not _faulty_inside(value, at, findings):
            mark.check(value, at, findings)


def _faulty_inside(value: Any, at: str, findings: Findings) -> bool:
    return isinstance(value, dict) and any(findings.faulty(child(at, name)) for name in value)


def _notice_slip(model: type[Record], name: str, at: str, findings: Findings) -> None:
    """An unknown field is kept as it is; if it resembles a known one, the poster should hear of it."""
    folded = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name[:SHOWN]).replace("-", "_").replace(" ", "_").casefold()
    near = get_close_matches(folded, model.model_fields, n=1, cutoff=0.8)
    if near:
        detail = f"{shown(name)} is no field known here and is kept as it is: did you mean {near[0]}?"
        findings.notice(at, "unknown-field", detail)


def _prune(value: Any, at: str, findings: Findings) -> None:
    """Takes out what is faulty, so that the rules after it meet only well-formed values."""
    if isinstance(value, dict):
        for name in list(value):
            place = child(at, name)
            if findings.faulty(place):
                del value[name]
            else:
                _prune(value[name], place, findings)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if findings.faulty(child(at, index)):
                value[index] = None
            else:
                _prune(item, child(at, index), findings)
