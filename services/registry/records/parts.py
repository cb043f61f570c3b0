"""Types that several posted records share, and the objects inside a pilot and a capability."""

from __future__ import annotations

from typing import Annotated, Any

from services.registry.records.marks import (
    AgencySlug,
    Coded,
    Day,
    GroupOrIntersection,
    Line,
    Matching,
    Month,
    OneOf,
    Within,
    Words,
)
from services.registry.records.reading import Record
from shared.vocabulary.tables import LANGUAGES

MOST_PEOPLE = 9e9

Title = Annotated[dict[str, str] | None, Words(200)]
Sentence = Annotated[dict[str, str] | None, Words(600)]
Prose = Annotated[dict[str, str] | None, Words(5000)]
Name = Annotated[str | None, Line(200)]
Reference = Annotated[str | None, Line(500)]
Agency = Annotated[str | None, AgencySlug()]
Country = Annotated[str | None, Coded("place")]
Countries = Annotated[list[str] | None, Coded("place")]
Date = Annotated[str | None, Day()]
People = Annotated[int | None, Within(0, MOST_PEOPLE)]
Languages = Annotated[
    list[str] | None, Matching(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", "a language tag such as en, fr, sw")
]
Visibility = Annotated[str | None, OneOf(("mesh", "private"))]
WrittenIn = Annotated[str | None, OneOf(LANGUAGES)]
Identifier = Annotated[
    str | None, Matching(r"[a-z][a-z0-9_-]{0,31}", "a short id such as s1: a small letter, then letters and digits")
]
Url = Annotated[str | None, Matching(r"https?://[^\s]{3,2000}", "a web address that begins with https://")]


class ExternalId(Record):
    scheme: Annotated[str | None, Line(60)] = None
    id: Annotated[str | None, Line(200)] = None


class Source(Record):
    """Where a description was taken from, so that a reader can check it."""

    url: Url = None
    title: Annotated[str | None, Line(500)] = None
    retrieved_on: Date = None


class SitePeople(Record):
    """Counts of people at a site; null is "not known", which is not 0."""

    direct: People = None
    indirect: People = None
    extreme_poverty: People = None
    method: Sentence = None


class PlannedAndReached(Record):
    planned: SitePeople | None = None
    reached: SitePeople | None = None


class AdminArea(Record):
    name: Name = None
    pcode: Annotated[str | None, Matching(r"[A-Z]{2}[A-Za-z0-9]{0,18}", "a P-code such as ZM101")] = None


class Government(Record):
    institution: Name = None
    level: Annotated[str | None, OneOf(("national", "subnational", "local", "traditional"))] = None
    role: Sentence = None


class Consent(Record):
    status: Annotated[str | None, OneOf(("not_required", "to_seek", "sought", "given", "refused", "withdrawn"))] = None
    by: Name = None
    reference: Reference = None
    on: Date = None


class RegulatoryBasis(Record):
    kind: Annotated[str | None, OneOf(("licence", "sandbox", "waiver"))] = None
    authority: Name = None
    until: Date = None


class Site(Record):
    """Where a pilot acts. `id` stays the same through all revisions; it is given out if it was not posted."""

    id: Identifier = None
    country: Country = None
    admin_area: AdminArea | None = None
    office: Name = None
    sector: Name = None
    people: PlannedAndReached | None = None
    starts_on: Date = None
    ends_on: Date = None
    state: Annotated[str | None, OneOf(("planned", "running", "paused", "closed"))] = None
    shown_as: Annotated[str | None, OneOf(("admin_area", "country", "region"))] = None
    government: Government | None = None
    consent: Consent | None = None
    regulatory_basis: RegulatoryBasis | None = None


class Qualifiers(Record):
    """What a need asks beyond its code."""

    language: Annotated[str | None, Matching(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", "a language tag such as sw")] = None
    languages: Languages = None
    goal: Annotated[str | None, Coded("goal")] = None
    resolution: Name = None


class AlreadyMetBy(Record):
    agency: Agency = None
    organisation: Name = None
    note: Sentence = None


class Need(Record):
    """What a pilot lacks. `quantity` counts the code's unit; for people and policy work a plain number is posts,
    full-time, in the dates. `words` says it in plain words; alone, it makes the need `other`."""

    id: Identifier = None
    code: Annotated[str | None, Coded("capability")] = None
    words: Sentence = None
    site: Identifier = None
    country: Country = None
    delivery: Annotated[str | None, OneOf(("remote", "on_site", "either"))] = None
    quantity: Annotated[float | None, Within(0, 1e12, above=True)] = None
    unit: Name = None
    months: Annotated[list[str] | None, Month()] = None
    essential: bool | None = None
    qualifiers: Qualifiers | None = None
    already_met_by: AlreadyMetBy | None = None


class Ai(Record):
    """What the system does: `decides` is what voids a screening when it changes."""

    task: Sentence = None
    approach: Sentence = None
    origin: Annotated[str | None, OneOf(("new", "adapted", "bought"))] = None
    status: Annotated[str | None, OneOf(("idea", "prototype", "tested", "in_use"))] = None
    decides: Annotated[str | None, OneOf(("informs", "recommends", "acts"))] = None
    affects_individuals: bool | None = None


class LearningQuestion(Record):
    question: Sentence = None
    how_we_will_know: Sentence = None
    answer: Prose = None


class DeclaredPartner(Record):
    agency: Agency = None
    organisation: Name = None
    since: Date = None
    confirmed: bool | None = None


class Phase(Record):
    phase: Annotated[str | None, OneOf(("design", "test", "iterate", "decide"))] = None
    starts_on: Date = None
    ends_on: Date = None
    note: Sentence = None


class Money(Record):
    mode: Annotated[str | None, OneOf(("parallel", "pooled", "pass_through"))] = None
    currency: Annotated[str | None, Matching(r"[A-Z]{3}", "a currency code such as USD (ISO 4217)")] = None
    total: Annotated[float | None, Within(0, 1e12)] = None
    secured: Annotated[float | None, Within(0, 1e12)] = None
    sources: Annotated[list[str] | None, Line(200)] = None
    in_kind: list[dict[str, Any]] | None = None
    visibility: Annotated[str | None, OneOf(("mesh", "circle"))] = None


class Marker(Record):
    """A gender or human-rights marker: the score of the agency's own scale, with its reason."""

    score: Annotated[float | None, Within(0, 10)] = None
    reason: Sentence = None


class Planning(Record):
    outcome: Reference = None
    output: Reference = None
    national_plan: Reference = None
    gender_marker: Marker | None = None
    human_rights_marker: Marker | None = None


class Programme(Record):
    name: Sentence = None
    agency: Agency = None
    url: Url = None


class GroupAction(Record):
    """What backs a target group: something done for it, and a disaggregated indicator that will show it."""

    group: Annotated[Any, GroupOrIntersection()] = None
    activity: Sentence = None
    indicator: Sentence = None


class PartnerScreening(Record):
    result: Annotated[str | None, OneOf(("passed", "passed_with_conditions", "refused", "pending"))] = None
    basis: Reference = None
    checked_on: Date = None
    valid_until: Date = None


class Through(Record):
    """The partner outside the UN that brings a capability, through the agency that posts it (para. 9 (h))."""

    organisation: Name = None
    role: Sentence = None
    agreement: Reference = None
    declared_interest: Sentence = None
    screening: PartnerScreening | None = None


class Community(Record):
    asked: Sentence = None
    how: Sentence = None
    what_changed: Sentence = None
