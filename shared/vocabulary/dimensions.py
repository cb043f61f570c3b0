"""How figures are broken down: dimensions and codes of the SDG data structure, and what may be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.vocabulary.groups import GROUPS
from shared.vocabulary.tables import Row, Table, Text, text

TOTAL = "_T"
"""The code of "no breakdown", in every dimension."""

TARGET_GROUP = "TARGET_GROUP"
"""Our own dimension: the target groups of a pilot."""

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
    Sources: SDG data structure definition (IAEG-SDGs SDMX working group); which are restricted is our own rule.
    """

    code: str
    label: Text
    values: Mapping[str, Text]
    expected: bool
    restricted: bool
    open: bool
    standard: bool


@dataclass(frozen=True, slots=True)
class Value:
    """A listed code of a dimension."""

    dimension: str
    code: str
    label: Text


def _value(row: Row) -> Value:
    return Value(row["dimension"], row["code"], text(row))


VALUES = Table("dimension_values", _value, key=("dimension", "code"))


def _dimension(row: Row) -> Dimension:
    code = row["code"]
    values = {value.code: value.label for value in VALUES.values() if value.dimension == code}
    if code == TARGET_GROUP:
        values |= {group.code: group.label for group in GROUPS.values()}
    return Dimension(
        code=code,
        label=text(row),
        values=values,
        expected=row["expected"] == "yes",
        restricted=row["restricted"] == "yes",
        open=row["open"] == "yes",
        standard=row["standard"] == "yes",
    )


DIMENSIONS = Table("dimensions", _dimension)
