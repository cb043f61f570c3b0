"""Countries and areas, the groups they belong to on a day, and how many of their people live in extreme poverty."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal, cast, get_args

from shared.vocabulary.tables import Row, Table, Text, about, text

Income = Literal["low", "lower_middle", "upper_middle", "high"]
CountryGroup = Literal["ldc", "lldc", "sids"]
Standing = Literal["decided", "scheduled", "under_review"]


@dataclass(frozen=True, slots=True)
class Place:
    """A country or area of ISO 3166-1 and M49.

    `m49` has three digits, as the standard writes it. `region`, `sub_region` and `intermediate_region` are
    keys of REGIONS (None where M49 gives none). `income` is the World Bank's class of economy, None where
    the Bank classifies none; it is not a statement about the people reached.
    """

    iso3: str
    iso2: str
    m49: str
    names: Text
    region: str | None
    sub_region: str | None
    intermediate_region: str | None
    income: Income | None


@dataclass(frozen=True, slots=True)
class Region:
    """A geographical region of M49; `code` is its English name, `within` the region around it."""

    code: str
    m49: str
    within: str | None
    label: Text


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """Whether a place is in a group on the day asked for, and how sure that is.

    `status`: decided – nothing about it is open; scheduled – a change on `valid_to` (or `valid_from`) has
    been decided and had not come into effect when the table was checked; under_review – the change or its
    date is open. `valid_from` is the first day of membership (None: since before the table begins), `valid_to`
    the first day after it (None: no end known).
    """

    member: bool
    status: Standing
    valid_from: date | None
    valid_to: date | None
    source: str
    checked_on: date


@dataclass(frozen=True, slots=True)
class PovertyFigure:
    """Share of people (0 to 1) below the international poverty line, SDG indicator 1.1.1.

    `line` is in international dollars a day at the purchasing power parities of `price_base`.
    """

    iso3: str
    share: float
    year: int
    line: float
    price_base: str
    source: str


@dataclass(frozen=True, slots=True)
class Membership:
    """A row of the table of country groups: `status` as of a day inside the membership."""

    group: CountryGroup
    iso3: str
    status: GroupStatus


def _place(row: Row) -> Place:
    return Place(
        iso3=row["iso3"],
        iso2=row["iso2"],
        m49=row["m49"],
        names=text(row),
        region=row["region"] or None,
        sub_region=row["sub_region"] or None,
        intermediate_region=row["intermediate_region"] or None,
        income=cast(Income, _one_of(row["income"], get_args(Income))) if row["income"] else None,
    )


def _membership(row: Row) -> Membership:
    return Membership(
        group=cast(CountryGroup, _one_of(row["group"], get_args(CountryGroup))),
        iso3=row["iso3"],
        status=GroupStatus(
            member=True,
            status=cast(Standing, _one_of(row["status"], get_args(Standing))),
            valid_from=_day(row["valid_from"]),
            valid_to=_day(row["valid_to"]),
            source=row["source"],
            checked_on=date.fromisoformat(row["checked_on"]),
        ),
    )


def _poverty(row: Row) -> PovertyFigure:
    share = float(row["share"])
    if not 0 <= share <= 1:
        raise ValueError(f"share {share} is not between 0 and 1")
    return PovertyFigure(row["iso3"], share, int(row["year"]), float(row["line"]), row["price_base"], row["source"])


def _day(written: str) -> date | None:
    """A date, or a year alone where no more is published: then its first of January."""
    if written.isdigit() and len(written) == len("1971"):
        written = f"{written}-01-01"
    return date.fromisoformat(written) if written else None


def _one_of(word: str, known: tuple[str, ...]) -> str:
    if word not in known:
        raise ValueError(f"{word!r} is none of {', '.join(known)}")
    return word


PLACES = Table("places", _place, key=("iso3",))
REGIONS = Table("regions", lambda row: Region(row["code"], row["m49"], row["within"] or None, text(row)))
MEMBERSHIPS = Table("country_groups", _membership, key=("group", "iso3"))
POVERTY = Table("extreme_poverty", _poverty, key=("iso3",))


def iso3_of(code: str) -> str | None:
    """The ISO 3166-1 alpha-3 code of a place written as alpha-3, alpha-2 or M49 (`ZMB`, `zm`, `894`); None if unknown.

    Aggregates of M49, such as regions, are no places.
    """
    code = code.strip().upper()
    if code.isdecimal():
        code = code.zfill(3)
    if code in PLACES:
        return code
    return next((place.iso3 for place in PLACES.values() if code in (place.iso2, place.m49)), None)


def status(iso3: str, group: CountryGroup, on: date) -> GroupStatus:
    """Whether a place is a least developed country, landlocked developing country or small island developing State.

    A rich place can be in a group (Singapore is a SIDS): what that counts for is the reader's rule.
    Raises KeyError for a place that is not known, ValueError for another group.
    """
    _one_of(group, get_args(CountryGroup))
    if iso3 not in PLACES:
        raise KeyError(iso3)
    membership = MEMBERSHIPS.get(f"{group}/{iso3}")
    if membership is None:
        return _never(group)
    known = membership.status
    member = (known.valid_from is None or known.valid_from <= on) and (known.valid_to is None or on < known.valid_to)
    return GroupStatus(member, known.status, known.valid_from, known.valid_to, known.source, known.checked_on)


def _never(group: CountryGroup) -> GroupStatus:
    table = about("country_groups")
    source = f"{table['source']}: not in the list ({group})"
    return GroupStatus(False, "decided", None, None, source, date.fromisoformat(table["checked_on"]))


def income(iso3: str) -> Income | None:
    """The World Bank's class of economy; None where the Bank classifies none. Raises KeyError."""
    return PLACES[iso3].income


def extreme_poverty(iso3: str) -> PovertyFigure | None:
    """The sourced figure of SDG 1.1.1; None where the table has none (then the income class is used, and said so).

    Raises KeyError for a place that is not known.
    """
    if iso3 not in PLACES:
        raise KeyError(iso3)
    return POVERTY.get(iso3)
