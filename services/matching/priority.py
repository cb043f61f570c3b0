"""How far behind the people are whom a pilot serves (docs/matching.md, section 2).

Three parts, by default 60, 20 and 20 of 100 points:

* bottom billion: share · (1 + L) / 2, where `share` of the people reached live in extreme poverty (strategy, footnote
  1; SDG 1.1.1 of the place) and L = log(1 + n) / log(1 + reference), at most 1, for the n of them who are reached;
* paragraph 9 (f): the share of people in least developed, landlocked developing or small island developing states;
* groups at risk: of three groups, those with an activity and a disaggregated indicator.

The first two are zero in high-income places. What rests on a declaration is said, and the score is also given
without it. `extreme_poverty` is not a group at risk here: the first part counts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log10
from typing import Any, Literal

from services.matching.model import Pilot, PlaceFacts, Site, World
from services.matching.phrases import both, counted, listed, percent, place_name
from services.matching.weights import Rules, fifths

Basis = Literal["documented", "declared", "income_class", "none"]
WEAKEST_FIRST: tuple[Basis, ...] = ("declared", "income_class", "documented")
MOST_GROUPS = 3
COUNTED_ELSEWHERE = ("extreme_poverty",)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the score: `points` of at most `weight`. `basis` is the weakest thing it rests on."""

    code: str
    weight: int
    points: float
    basis: Basis
    reasons: tuple[Mapping[str, Any], ...]

    def as_state(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "weight": self.weight,
            "points": round(self.points, 2),
            "basis": self.basis,
            "reasons": [dict(reason) for reason in self.reasons],
        }


@dataclass(frozen=True, slots=True)
class Priority:
    """`score` and `without_declarations` from 0 to 1, to six digits."""

    score: float
    without_declarations: float
    parts: tuple[Part, ...]

    def as_state(self) -> dict[str, Any]:
        return {
            "score": self.score,
            "fifths": fifths(self.score),
            "without_declarations": self.without_declarations,
            "parts": [part.as_state() for part in self.parts],
        }


def priority(pilot: Pilot, world: World, rules: Rules) -> Priority:
    """The pilot's priority on the world's day. Order of sites and groups does not matter."""
    parts = (
        _bottom_billion(pilot, world, rules, declarations=True),
        _special_needs(pilot, world, rules, declarations=True),
        _groups_at_risk(pilot, rules),
    )
    bare = (
        _bottom_billion(pilot, world, rules, declarations=False),
        _special_needs(pilot, world, rules, declarations=False),
        parts[2],
    )
    return Priority(_score(parts), _score(bare), parts)


def _score(parts: tuple[Part, ...]) -> float:
    return round(sum(part.points for part in parts) / 100, 6)


@dataclass(frozen=True, slots=True)
class _Poor:
    share: float
    basis: Basis
    reason: Mapping[str, Any]


def _bottom_billion(pilot: Pilot, world: World, rules: Rules, *, declarations: bool) -> Part:
    shares = _shares(pilot, declarations=declarations)
    found = [_poor(site, world, rules, declarations=declarations) for site in pilot.sites]
    share = sum(weight * one.share for weight, one in zip(shares, found, strict=True))
    people = [_people(site, declarations=declarations) for site in pilot.sites]
    poor = sum((count or 0) * one.share for count, one in zip(people, found, strict=True))
    size = min(1.0, log10(1 + poor) / log10(1 + rules.people_reference))
    reasons = _distinct(one.reason for one in found)
    declared_people = any(site.people is not None and not site.method for site in pilot.sites)
    if poor:
        reasons.append(_people_reason(round(poor), declared=declared_people))
    elif share:
        reasons.append(
            _reason(
                "people_unknown",
                "How many people are reached is not known, so only their share counts.",
                "On ne sait pas combien de personnes sont atteintes ; seule leur part compte.",
            )
        )
    bases: set[Basis] = {one.basis for one in found if one.share}
    if declared_people and declarations and poor:
        bases.add("declared")
    weakest: Basis = next((basis for basis in WEAKEST_FIRST if basis in bases), "none")
    points = rules.bottom_billion * share * (1 + size) / 2
    return Part("bottom_billion", rules.bottom_billion, points, weakest, tuple(reasons))


def _people(site: Site, *, declarations: bool) -> int | None:
    return site.people if declarations or site.method else None


def _shares(pilot: Pilot, *, declarations: bool) -> list[float]:
    """Each site's part of the people; equal parts where no site's number is known."""
    people = [_people(site, declarations=declarations) or 0 for site in pilot.sites]
    total = sum(people)
    return [count / total if total else 1 / len(people) for count in people]


def _poor(site: Site, world: World, rules: Rules, *, declarations: bool) -> _Poor:
    """Which share of a site's people live in extreme poverty, and on what that rests."""
    place = world.place(site.country)
    name = place_name(world, site.country)
    if place.income == "high":
        return _Poor(
            0.0,
            "documented",
            _reason(
                "high_income",
                "{place} is a high-income place: nothing is counted there.",
                "{place} est un pays à revenu élevé : rien n’y est compté.",
                place=name,
            ),
        )
    if declarations and site.poor is not None and site.people and site.method:
        share = min(1.0, site.poor / site.people)
        return _Poor(
            share,
            "declared",
            _reason(
                "poverty_declared",
                "In {place} {share} of the people reached live in extreme poverty, by the pilot's own count.",
                "{place} : {share} des personnes atteintes vivent dans l’extrême pauvreté, selon le pilote lui-même.",
                place=name,
                share=percent(share),
            ),
        )
    return _official(place, name, rules)


def _official(place: PlaceFacts, name: Mapping[str, str], rules: Rules) -> _Poor:
    if place.poverty is not None:
        figure = place.poverty
        reason = _reason(
            "poverty_documented",
            "In {place} {share} of people live on less than {line} dollars a day (survey year {year}).",
            "{place} : {share} des habitants vivent avec moins de {line_fr} dollars par jour (enquête de {year}).",
            place=name,
            share=percent(figure.share),
            line=f"{figure.line:.2f}",
            line_fr=f"{figure.line:.2f}".replace(".", ","),
            year=figure.year,
        )
        return _Poor(figure.share, "documented", {**reason, "source": figure.source, "price_base": figure.price_base})
    share = rules.poverty_by_income.get(place.income or "")
    if share is None:
        return _Poor(
            0.0,
            "none",
            _reason(
                "poverty_unknown",
                "For {place} there is neither a poverty figure nor an income class.",
                "{place} : ni chiffre de pauvreté ni classe de revenu.",
                place=name,
            ),
        )
    return _Poor(
        share,
        "income_class",
        _reason(
            "poverty_by_income_class",
            "For {place} there is no poverty figure: {share} is taken for its income class.",
            "{place} : sans chiffre de pauvreté, on prend {share} d’après sa classe de revenu.",
            place=name,
            share=percent(share),
        ),
    )


def _people_reason(poor: int, *, declared: bool) -> dict[str, Any]:
    if declared:
        return _reason(
            "people_declared",
            "About {people} of them are to be reached, as the pilot declares.",
            "Environ {people} d’entre elles seraient atteintes, selon le pilote.",
            people=counted(poor),
        )
    return _reason(
        "people_documented",
        "About {people} of them are to be reached; the pilot says how it counted.",
        "Environ {people} d’entre elles seraient atteintes ; le pilote dit comment il a compté.",
        people=counted(poor),
    )


def _special_needs(pilot: Pilot, world: World, rules: Rules, *, declarations: bool) -> Part:
    """LDC, LLDC, SIDS: "stand to benefit the most" (paragraph 9 (f)). The status is that of the world's day."""
    shares = _shares(pilot, declarations=declarations)
    reasons: list[dict[str, Any]] = []
    counts = 0.0
    for share, site in zip(shares, pilot.sites, strict=True):
        place = world.place(site.country)
        if not place.groups or place.income == "high":
            continue
        counts += share
        names = listed([_GROUP_NAMES[group] for group in sorted(place.groups)])
        open_question = bool(place.groups & place.unsettled)
        reasons.append(
            _reason(
                "country_group_unsettled" if open_question else "country_group",
                "{place} is {groups}" + (" (a change is under way)." if open_question else "."),
                "{place} : {groups}" + (" (un changement est en cours)." if open_question else "."),
                place=place_name(world, site.country),
                groups=names,
            )
        )
    return Part(
        "para_9f",
        rules.para_9f,
        rules.para_9f * min(1.0, counts),
        "documented" if counts else "none",
        tuple(_distinct(reasons)),
    )


_GROUP_NAMES: Mapping[str, Mapping[str, str]] = {
    "ldc": {"en": "a least developed country", "fr": "un pays moins avancé"},
    "lldc": {"en": "a landlocked developing country", "fr": "un pays en développement sans littoral"},
    "sids": {"en": "a small island developing state", "fr": "un petit État insulaire en développement"},
}


def _groups_at_risk(pilot: Pilot, rules: Rules) -> Part:
    at_risk = [group for group in pilot.groups if group.codes != COUNTED_ELSEWHERE]
    backed = sum(group.backed for group in at_risk)
    reasons = []
    if backed:
        reasons.append(
            _reason(
                "groups_backed",
                "{count} groups at risk have an activity and an indicator of their own (at most 3 count).",
                "{count} groupes à risque ont une activité et un indicateur propres (3 au plus comptent).",
                count=backed,
            )
        )
    if backed < len(at_risk):
        reasons.append(
            _reason(
                "groups_only_named",
                "{count} groups at risk are only named: without an activity and an indicator they do not count yet.",
                "{count} groupes à risque sont seulement nommés : sans activité ni indicateur, ils ne comptent pas.",
                count=len(at_risk) - backed,
            )
        )
    share = min(MOST_GROUPS, backed) / MOST_GROUPS
    return Part(
        "groups_at_risk",
        rules.groups_at_risk,
        rules.groups_at_risk * share,
        "documented" if backed else "none",
        tuple(reasons),
    )


def _reason(code: str, en: str, fr: str, **values: object) -> dict[str, Any]:
    return {"code": code, "text": both(en, fr, **values)}


def _distinct(reasons: Any) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = []
    for reason in reasons:
        if reason not in result:
            result.append(reason)
    return result
