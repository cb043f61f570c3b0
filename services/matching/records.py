"""Reads the registry's records as matching's values.

The registry has checked them; what is missing takes its default, what is not known is ignored. Two fields are read
that the registry keeps verbatim: `exclusions` (agencies that must not be asked) and `group_actions`
(`[{group, activity, indicator}]`: what backs a target group).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, cast

from services.matching.model import THOUSAND, Agency, Capability, Delivery, Need, Pilot, Site, TargetGroup

DAYS_OF_A_POST = 20
"""Working days of one full-time post in a month: how person-days and posts are compared."""

State = Mapping[str, Any]


def pilot_of(state: State) -> Pilot:
    """Raises KeyError where a record has no id or no lead: such a record did not come from the registry."""
    sites = [site for site in state.get("sites") or [] if isinstance(site, dict)]
    if not sites:
        sites = [{"country": country} for country in state.get("countries") or []]
    months = months_between(_day(state.get("starts_on")), _day(state.get("ends_on")))
    places = {site["id"]: site.get("country") for site in sites if site.get("id")}
    needs = [_need(need, places, months) for need in state.get("needs") or []]
    lead = str(state["lead_agency"])
    declared = [one.get("agency") for one in state.get("partners_declared") or [] if isinstance(one, dict)]
    fixed = {agency for agency in [*(state.get("co_leads") or []), *declared] if agency and agency != lead}
    return Pilot(
        id=str(state["id"]),
        lead=lead,
        title=dict(state.get("title") or {}),
        needs=tuple(sorted(needs, key=lambda need: need.id)),
        sites=_sites(sites, state.get("people_reached")),
        months=months,
        groups=_groups(state.get("target_groups") or [], state.get("group_actions") or []),
        fixed=tuple(sorted(fixed)),
        exclusions=frozenset(state.get("exclusions") or []),
    )


def capability_of(state: State) -> Capability:
    """Raises KeyError where a record has no id, agency or code."""
    both = state.get("countries") or []
    start, later = _day(state.get("available_from")), _day(state.get("not_before"))
    units = state.get("units")
    through = state.get("through") or {}
    screening = through.get("screening") or {}
    return Capability(
        id=str(state["id"]),
        agency=str(state["agency"]),
        code=str(state["code"]),
        title=dict(state.get("title") or {}),
        covers=frozenset(state.get("covers") or both),
        delivers_to=frozenset(state.get("delivers_to") or both),
        units=None if units is None else _thousandths(units, state.get("unit")),
        mode=cast("Delivery | None", state.get("mode")),
        available_from=max((day for day in (start, later) if day), default=None),
        available_to=_day(state.get("available_to")),
        confirmed_on=_day(state.get("confirmed_on")),
        languages=frozenset(_language(one) for one in state.get("languages") or []),
        goals=frozenset(str(goal) for goal in state.get("goals") or []),
        cost=str(state.get("cost") or ""),
        requests_a_month=state.get("at_most_per_month"),
        through=str(through.get("organisation") or ""),
        screening_until=_day(screening.get("valid_until")),
    )


def agency_of(state: State) -> Agency:
    slug = str(state.get("slug") or state["id"])
    short = str(state.get("acronym") or "")
    return Agency(slug, state.get("kind") == "un_entity", dict(state.get("name") or {}), short)


def months_between(start: date | None, end: date | None) -> tuple[str, ...]:
    """All months from the first day to the last, both included; empty when a date is missing or they are reversed."""
    if start is None or end is None:
        return ()
    first, last = start.year * 12 + start.month - 1, end.year * 12 + end.month - 1
    return tuple(f"{month // 12:04d}-{month % 12 + 1:02d}" for month in range(first, last + 1))


def _need(need: State, places: Mapping[str, str | None], months: tuple[str, ...]) -> Need:
    asked = need.get("qualifiers") or {}
    languages = asked.get("languages") or ([asked["language"]] if asked.get("language") else [])
    quantity = need.get("quantity")
    return Need(
        id=str(need["id"]),
        code=str(need.get("code") or "other"),
        country=need.get("country") or places.get(need.get("site") or ""),
        quantity=_thousandths(1 if quantity is None else quantity, need.get("unit")),
        essential=bool(need.get("essential")),
        months=tuple(sorted(set(need.get("months") or months))),
        delivery=cast("Delivery", need.get("delivery") or "either"),
        languages=tuple(sorted(_language(one) for one in languages)),
        goal=None if asked.get("goal") is None else str(asked["goal"]),
        already_met=bool(need.get("already_met_by")),
    )


def _thousandths(amount: float, unit: str | None) -> int:
    """At least one thousandth: an amount of nothing would be no need and no offer."""
    return max(1, round(amount * THOUSAND / (DAYS_OF_A_POST if unit == "person_days" else 1)))


def _sites(sites: Sequence[State], people_reached: int | None) -> tuple[Site, ...]:
    """Sites with their people; what the pilot gives as a whole is shared evenly by sites that give no number."""
    known = []
    for site in sites:
        people = site.get("people") or {}
        counts = people.get("planned") or people.get("reached") or {}
        method = counts.get("method") or ""
        said = bool(any(method.values()) if isinstance(method, dict) else method)
        direct = counts.get("direct") if counts.get("direct") is not None else counts.get("indirect")
        known.append((str(site.get("country") or ""), direct, counts.get("extreme_poverty"), "stated" if said else ""))
    silent = [at for at, (_, people, _, _) in enumerate(known) if people is None]
    left = None if people_reached is None else max(0, people_reached - sum(people or 0 for _, people, _, _ in known))
    result = []
    for at, (country, people, poor, method) in enumerate(known):
        if people is None and left is not None:
            place = silent.index(at)
            people = left // len(silent) + (place < left % len(silent))  # noqa: PLW2901 - the site's number is settled here
        result.append(Site(country, people, poor, method))
    return tuple(sorted(result, key=lambda site: (site.country, site.people or 0, site.poor or 0, site.method)))


def _groups(groups: Sequence[Any], actions: Iterable[State]) -> tuple[TargetGroup, ...]:
    backing: dict[tuple[str, ...], State] = {}
    for action in actions:
        backing[_codes(action.get("group"))] = action
    every = sorted({codes for codes in map(_codes, groups) if codes})
    return tuple(
        TargetGroup(
            codes,
            _words(backing.get(codes, {}).get("activity")),
            _words(backing.get(codes, {}).get("indicator")),
        )
        for codes in every
    )


def _codes(group: Any) -> tuple[str, ...]:
    return tuple(sorted({str(code) for code in group})) if isinstance(group, list) else (str(group),) if group else ()


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return next((str(value[language]) for language in sorted(value) if value[language]), "")
    return str(value or "")


def _language(tag: str) -> str:
    """`fr-CA` serves who asks for `fr`: languages are compared by their first subtag (BCP 47)."""
    return str(tag).split("-", maxsplit=1)[0].lower()


def _day(value: Any) -> date | None:
    return date.fromisoformat(str(value)[:10]) if value else None
