"""The records an agency posts: agency, office, pilot, capability."""

from __future__ import annotations

from typing import Annotated, Any

from services.registry.records.marks import AgencySlug, Coded, Line, Matching, OneOf, TargetGroups, Within
from services.registry.records.parts import (
    Agency,
    Ai,
    Community,
    Countries,
    Date,
    DeclaredPartner,
    ExternalId,
    GroupAction,
    Languages,
    LearningQuestion,
    Money,
    Name,
    Need,
    People,
    Phase,
    Planning,
    Programme,
    Prose,
    Sentence,
    Site,
    Source,
    Through,
    Title,
    Url,
    Visibility,
    WrittenIn,
)
from services.registry.records.reading import Record

OUTCOMES = ("scaled", "handed_over", "completed", "stopped_early", "not_started")


class AgencyPost(Record):
    """An organisation. `slug` is its short name, which is also its id; `acronym` is how it writes itself.

    `screening_before` sets the gate of the screening earlier than `ready`; `small_cell` is the number of people below
    which the agency's published figures are withheld, where it wants another than the node's default.
    """

    slug: Agency = None
    name: Title = None
    acronym: Annotated[str | None, Line(40)] = None
    kind: Annotated[
        str | None,
        OneOf(
            (
                "un_entity",
                "un_office",
                "government",
                "academia",
                "private",
                "civil_society",
                "ifi",
                "foundation",
                "regional_body",
            )
        ),
    ] = None
    iati: Annotated[str | None, Matching(r"[A-Za-z]{2}-[A-Za-z0-9.-]{2,40}", "an IATI id such as XM-DAC-41140")] = None
    website: Url = None
    languages: Languages = None
    screening_before: Annotated[str | None, OneOf(("open", "forming", "ready"))] = None
    small_cell: Annotated[int | None, Within(2, 1000)] = None
    sources: list[Source] | None = None
    illustrative: Annotated[list[str] | None, Line()] = None


class OfficePost(Record):
    """An office of an agency. It covers the countries it names, and gets the invitations for sites there."""

    agency: Agency = None
    name: Title = None
    kind: Annotated[str | None, OneOf(("hq", "regional", "multi_country", "country", "rco", "lab"))] = None
    countries: Countries = None
    languages: Languages = None
    time_zone: Annotated[
        str | None, Matching(r"UTC|[A-Z][A-Za-z_]+(/[A-Z][A-Za-z0-9_+-]+){1,2}", "a time zone such as Africa/Lusaka")
    ] = None
    visibility: Visibility = None
    illustrative: Annotated[list[str] | None, Line()] = None


class PilotPost(Record):
    """A small AI pilot. A draft may hold any part of it; what a complete one needs is said in `pilot_rules`."""

    title: Title = None
    summary: Prose = None
    problem: Prose = None
    lead_agency: Agency = None
    office: Name = None
    countries: Countries = None
    sites: list[Site] | None = None
    sdg_targets: Annotated[list[str] | None, Coded("target")] = None
    roadmap_measures: Annotated[list[str] | None, Coded("measure")] = None
    layers: Annotated[list[str] | None, Coded("layer")] = None
    uncertainty: Annotated[str | None, OneOf(("low", "some", "high"))] = None
    uncertainty_reason: Sentence = None
    target_groups: Annotated[list[Any] | None, TargetGroups()] = None
    group_actions: list[GroupAction] | None = None
    people_reached: People = None
    needs: list[Need] | None = None
    starts_on: Date = None
    ends_on: Date = None
    visibility: Visibility = None
    external_ids: list[ExternalId] | None = None
    ai: Ai | None = None
    learning: list[LearningQuestion] | None = None
    stop_rules: Prose = None
    alternatives_considered: Prose = None
    co_leads: Annotated[list[str] | None, AgencySlug()] = None
    partners_declared: list[DeclaredPartner] | None = None
    exclusions: Annotated[list[str] | None, AgencySlug()] = None
    phases: list[Phase] | None = None
    money: Money | None = None
    planning: Planning | None = None
    related_programmes: list[Programme] | None = None
    community: Community | None = None
    language: WrittenIn = None
    sources: list[Source] | None = None
    illustrative: Annotated[list[str] | None, Line()] = None
    draft: bool | None = None
    entry: Annotated[str | None, OneOf(("prospective", "retrospective"))] = None
    life: Annotated[
        str | None, OneOf(("draft", "open", "forming", "ready", "running", "paused", "closing", "closed"))
    ] = None
    outcome: Annotated[str | None, OneOf(OUTCOMES)] = None


class Score(Record):
    score: Annotated[int | None, Within(0, 4)] = None
    reason: Sentence = None


class Suitability(Record):
    use: Sentence = None
    score: Annotated[int | None, Within(0, 4)] = None
    reason: Sentence = None


class Label(Record):
    """The label of a data set, model or tool (measure 6.2): scores from 0 to 4, each with its reason."""

    comprehensiveness: Score | None = None
    representativeness: Score | None = None
    trustworthiness: Score | None = None
    suitability: list[Suitability] | None = None
    sex_disaggregated: bool | None = None
    steward: Name = None
    owner: Name = None
    access: Annotated[str | None, OneOf(("open", "on_request", "agreement", "closed"))] = None
    licence: Name = None
    legal_basis: Sentence = None
    sensitivity: Annotated[str | None, OneOf(("none", "low", "high", "very_high"))] = None


class CapabilityPost(Record):
    """What an agency can bring. `countries` posts both `covers` (what it is about) and `delivers_to` (where it can
    be used); neither means anywhere. A person is a post and person-days, never a name."""

    agency: Agency = None
    code: Annotated[str | None, Coded("capability")] = None
    title: Title = None
    description: Prose = None
    words: Sentence = None
    countries: Countries = None
    covers: Countries = None
    delivers_to: Countries = None
    goals: Annotated[list[str] | None, Coded("goal")] = None
    through: Through | None = None
    units: Annotated[float | None, Within(0, 1e12, above=True)] = None
    unit: Name = None
    available_from: Date = None
    available_to: Date = None
    mode: Annotated[str | None, OneOf(("remote", "on_site", "either"))] = None
    languages: Languages = None
    conditions: Prose = None
    cost: Annotated[str | None, OneOf(("free", "recover_cost", "paid"))] = None
    confirmed_on: Date = None
    not_before: Date = None
    at_most_per_month: Annotated[int | None, Within(1, 10_000)] = None
    label: Label | None = None
    visibility: Visibility = None
    language: WrittenIn = None
    external_ids: list[ExternalId] | None = None
    sources: list[Source] | None = None
    illustrative: Annotated[list[str] | None, Line()] = None
