"""Reads a posted document into a model and says everything that is wrong with it at once.

Pydantic stops before the rules between fields when one field is malformed. Here the fields that did read are
handed on, so that a person who posts 400 rows mends all of them in one go.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from shared.problems import Fault
from shared.vocabulary.tables import LANGUAGES

FIRST_DAY, LAST_DAY = date(1990, 1, 1), date(2100, 12, 31)
"""Days outside of these are slips of the pen: no pilot of the strategy reports about them."""

LARGEST = 1e15
"""Up to here every whole number is exact and sums of many stay finite; nothing that a pilot counts is larger."""

M = TypeVar("M", bound=BaseModel)


class Record(BaseModel):
    """A record that cannot be changed in place and keeps fields it does not know, verbatim."""

    model_config = ConfigDict(frozen=True, extra="allow")


@dataclass(frozen=True, slots=True)
class Read(Generic[M]):
    """`model` is None when the shape is wrong; `values` then holds the fields that did read."""

    model: M | None
    values: Mapping[str, Any]
    faults: tuple[Fault, ...]


def _number(posted: object) -> object:
    if isinstance(posted, bool) or not isinstance(posted, int | float):
        raise PydanticCustomError("wrong_type", "a JSON number is needed, without quotes")
    if posted != posted or posted in (float("inf"), float("-inf")):  # noqa: PLR0124  # only NaN differs from itself
        raise PydanticCustomError("out_of_range", "a finite number is needed")
    if abs(posted) > LARGEST:
        raise PydanticCustomError("out_of_range", "at most 10^15 in size is taken: choose a larger unit")
    return posted


def _day(posted: object) -> object:
    if isinstance(posted, str):
        try:
            day = date.fromisoformat(latin_digits(posted))
        except ValueError:
            raise PydanticCustomError(
                "impossible_date", "{posted} is no day of the calendar; write YYYY-MM-DD", {"posted": repr(posted)}
            ) from None
    elif type(posted) is date:
        day = posted
    else:
        raise PydanticCustomError("wrong_type", "a day is written YYYY-MM-DD, in quotes")
    if not FIRST_DAY <= day <= LAST_DAY:
        raise PydanticCustomError("impossible_date", "{day} lies outside of 1990 to 2100", {"day": day.isoformat()})
    return day


def _text(words: dict[str, str]) -> dict[str, str]:
    unknown = sorted(set(words) - set(LANGUAGES))
    if unknown or not any(text.strip() for text in words.values()):
        raise PydanticCustomError("bad_text", 'give words in at least one of ar, en, es, fr, ru, zh, as {"en": "…"}')
    return words


Number = Annotated[int | float, BeforeValidator(_number)]
Day = Annotated[date, BeforeValidator(_day)]
Words = Annotated[dict[str, str], AfterValidator(_text)]

_CODES = {
    "missing": "missing",
    "literal_error": "unknown_code",
    "string_pattern_mismatch": "malformed",
    "greater_than_equal": "out_of_range",
    "greater_than": "out_of_range",
    "less_than_equal": "out_of_range",
    "string_too_short": "missing",
    "string_too_long": "too_long",
}


def latin_digits(code: str) -> str:
    """Codes typed with Arabic, Persian or other digits mean the same code: `٢.٣` is `2.3`."""
    if code.isascii():
        return code
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in code)


def read(model: type[M], posted: object, path: str = "") -> Read[M]:
    """Reads `posted` as `model`; faults carry paths below `path`, such as `[17].period.end`."""
    try:
        record = model.model_validate(posted)
    except ValidationError as refusal:
        errors = refusal.errors(include_url=False, include_context=False)
        faults = tuple(dict.fromkeys(_fault(error, path) for error in errors))
        wrong = {str(error["loc"][0]) for error in errors if error["loc"]}
        return Read(None, _good_fields(model, posted, wrong), faults)
    return Read(record, record.__dict__, ())


def _fault(error: ErrorDetails, path: str) -> Fault:
    kind = error["type"]
    code = _CODES.get(kind) or (kind if "_" in kind and not kind.endswith(("_type", "_parsing")) else "wrong_type")
    return Fault(join(path, error["loc"]), code, error["msg"])


def join(path: str, where: tuple[int | str, ...]) -> str:
    """The JSON path of a place below `path`: `join("[3]", ("sites", 0)) == "[3].sites[0]"`."""
    for part in where:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


@cache
def _adapters(model: type[BaseModel]) -> dict[str, TypeAdapter[Any]]:
    return {
        name: TypeAdapter(field.annotation)
        for name, field in model.model_fields.items()
        if field.annotation is not None
    }


def _good_fields(model: type[BaseModel], posted: object, wrong: set[str]) -> dict[str, Any]:
    values = {
        name: field.get_default(call_default_factory=True, validated_data={})
        for name, field in model.model_fields.items()
        if not field.is_required() and name not in wrong
    }
    if not isinstance(posted, Mapping):
        return values
    for name, adapter in _adapters(model).items():
        if name in posted and name not in wrong:
            try:
                values[name] = adapter.validate_python(posted[name])
            except ValidationError:  # said already, under another name of the field
                continue
    return values
