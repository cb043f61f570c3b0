"""What matching works on: plain frozen values, read from other services' facts and from the vocabulary.

Amounts are whole thousandths of a code's unit (`THOUSAND` = one post, one core-hour, one aircraft …), so that
every sum in the model is exact and the same on every machine. Months are written `2027-01`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

Text = Mapping[str, str]
Kind = Literal["S", "C", "X", "none"]
Delivery = Literal["remote", "on_site", "either"]

THOUSAND = 1000

Offered = tuple[str, str]
"""(id, agency) of a capability, in this order because answers are told in the order of ids. An id alone names none."""


@dataclass(frozen=True, slots=True)
class Need:
    """One thing a pilot asks for. `country` None is any of the pilot's places; `months` empty means not stated."""

    id: str
    code: str
    country: str | None = None
    quantity: int = THOUSAND
    essential: bool = False
    months: tuple[str, ...] = ()
    delivery: Delivery = "either"
    languages: tuple[str, ...] = ()
    goal: str | None = None
    already_met: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """People at one place of a pilot. None is not known, which is not 0.

    `people` is the number to be reached, `poor` the pilot's own count of those who live in extreme poverty;
    `method` says how the numbers were found and is empty when the pilot does not say.
    """

    country: str
    people: int | None = None
    poor: int | None = None
    method: str = ""


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """A group (or intersection of groups, counted once) and what backs it: activity, disaggregated indicator."""

    codes: tuple[str, ...]
    activity: str = ""
    indicator: str = ""

    @property
    def backed(self) -> bool:
        return bool(self.activity and self.indicator)


@dataclass(frozen=True, slots=True)
class Pilot:
    id: str
    lead: str
    title: Text = field(default_factory=dict)
    needs: tuple[Need, ...] = ()
    sites: tuple[Site, ...] = ()
    months: tuple[str, ...] = ()
    groups: tuple[TargetGroup, ...] = ()
    fixed: tuple[str, ...] = ()
    exclusions: frozenset[str] = frozenset()

    @property
    def countries(self) -> tuple[str, ...]:
        return tuple(sorted({site.country for site in self.sites}))


@dataclass(frozen=True, slots=True)
class Capability:
    """What an agency offers. Empty `covers` is about any place, empty `delivers_to` is usable anywhere.

    `units` counts thousandths: per month for kind C, in total for kind X; None means as much as is asked.
    `mode` None means the agency did not say. `through` names a partner organisation that does it for the agency,
    `screening_until` the last day its screening holds.
    """

    id: str
    agency: str
    code: str
    title: Text = field(default_factory=dict)
    covers: frozenset[str] = frozenset()
    delivers_to: frozenset[str] = frozenset()
    units: int | None = None
    mode: Delivery | None = None
    available_from: date | None = None
    available_to: date | None = None
    confirmed_on: date | None = None
    languages: frozenset[str] = frozenset()
    goals: frozenset[str] = frozenset()
    cost: str = ""
    requests_a_month: int | None = None
    through: str = ""
    screening_until: date | None = None

    @property
    def key(self) -> Offered:
        return (self.id, self.agency)


@dataclass(frozen=True, slots=True)
class Agency:
    """`short` is how the agency writes itself (an acronym)."""

    slug: str
    is_un_entity: bool = True
    name: Text = field(default_factory=dict)
    short: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What is already promised. Reservations come from accepters' ledgers, counts from open proposals.

    `committed` gives thousandths per capability and month; for kind X all months of a capability add up.
    `load` counts an agency's memberships and open invitations, `requests` a capability's requests this month.
    """

    committed: Mapping[Offered, Mapping[str, int]] = field(default_factory=dict)
    load: Mapping[str, int] = field(default_factory=dict)
    requests: Mapping[Offered, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """What matching must know of a capability code; the words come from the vocabulary."""

    code: str
    kind: Kind
    siblings: tuple[str, ...] = ()
    label: Text = field(default_factory=dict)
    goal_required: bool = False

    @property
    def matchable(self) -> bool:
        return self.kind != "none"


@dataclass(frozen=True, slots=True)
class PovertyFacts:
    """SDG 1.1.1 of a place: share (0 to 1) below `line` dollars a day, in prices of `price_base`."""

    share: float
    year: int
    line: float
    price_base: str
    source: str


@dataclass(frozen=True, slots=True)
class PlaceFacts:
    """`groups` are those of ldc, lldc, sids the place is in on the day; `unsettled` those under review or scheduled."""

    iso3: str
    income: str | None
    name: Text = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    unsettled: frozenset[str] = frozenset()
    poverty: PovertyFacts | None = None


@dataclass(frozen=True, slots=True)
class World:
    """The reference facts of one day: codes, places, agencies. Unknown places are answered as knowing nothing."""

    today: date
    codes: Mapping[str, CodeFacts]
    places: Mapping[str, PlaceFacts]
    agencies: Mapping[str, Agency]

    def place(self, iso3: str) -> PlaceFacts:
        return self.places.get(iso3) or PlaceFacts(iso3, None, {"en": iso3})

    def agency(self, slug: str) -> Agency:
        """An agency nobody has introduced is named by its slug and does not count as a UN entity."""
        return self.agencies.get(slug) or Agency(slug, is_un_entity=False)

    def code(self, code: str) -> CodeFacts:
        return self.codes.get(code) or CodeFacts(code, "none", (), {"en": code})
