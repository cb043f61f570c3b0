"""How figures are broken down: dimensions and codes of the SDG data structure, and what may be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.vocabulary.tables import Row, Table, Text, text

TOTAL = "_T"
"""The code of "no breakdown", in every dimension."""

KEY_ORDER = (
    "FREQ",
    "REPORTING_TYPE",
    "SERIES",
    "REF_AREA",
    "SEX",
    "AGE",
    "URBANISATION",
    "INCOME_WEALTH_QUANTILE",
    "EDUCATION_LEV",
    "OCCUPATION",
    "CUST_BREAKDOWN",
    "COMPOSITE_BREAKDOWN",
    "DISABILITY_STATUS",
    "ACTIVITY",
    "PRODUCT",
    "TIME_PERIOD",
)
"""The order of the dimensions in a series key of the SDG data structure definition."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """`open` dimensions take codes beyond those listed, such as further age bands (`Y18T29`).

    `expected` ones are asked for by themselves; `restricted` ones are off unless the assessment allows them
    for the site. `standard` says that the SDG data structure has the dimension; the others are our own
    and travel as CUST_BREAKDOWN.
    """

    code: str
    label: Text
    values: Mapping[str, Text]
    expected: bool
    restricted: bool
    open: bool
    standard: bool


@dataclass(frozen=True, slots=True)
class _Value:
    dimension: str
    code: str
    label: Text


def _value(row: Row) -> _Value:
    return _Value(row["dimension"], row["code"], text(row))


_VALUES = Table("dimension_values", _value, key=("dimension", "code"))


def _dimension(row: Row) -> Dimension:
    code = row["code"]
    return Dimension(
        code=code,
        label=text(row),
        values={value.code: value.label for value in _VALUES.values() if value.dimension == code},
        expected=row["expected"] == "yes",
        restricted=row["restricted"] == "yes",
        open=row["open"] == "yes",
        standard=row["standard"] == "yes",
    )


DIMENSIONS = Table("dimensions", _dimension)
