"""The vocabulary as matching's facts of one day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from services.matching.model import Agency, CodeFacts, PlaceFacts, PovertyFacts, World
from shared.vocabulary import capability, entities, places

COUNTRY_GROUPS: tuple[places.CountryGroup, ...] = ("ldc", "lldc", "sids")


def world_on(today: date, agencies: Iterable[Agency] = ()) -> World:
    """Codes and places as they stand on `today`; agencies as registered, beside the UN entities of the vocabulary."""
    known = {slug: Agency(slug, True, dict(entity.name), entity.acronym) for slug, entity in entities.ENTITIES.items()}
    known.update({agency.slug: agency for agency in agencies})
    codes = {
        code: CodeFacts(code, one.kind, capability.siblings(code), one.label, one.goal_required)
        for code, one in capability.CODES.items()
    }
    return World(today, codes, {iso3: _place(iso3, today) for iso3 in places.PLACES}, known)


def _place(iso3: str, today: date) -> PlaceFacts:
    place = places.PLACES[iso3]
    figure = places.extreme_poverty(iso3)
    standing = {group: places.status(iso3, group, today) for group in COUNTRY_GROUPS}
    return PlaceFacts(
        iso3=iso3,
        income=place.income,
        name=place.names,
        groups=frozenset(group for group, status in standing.items() if status.member),
        unsettled=frozenset(group for group, status in standing.items() if status.status != "decided"),
        poverty=PovertyFacts(figure.share, figure.year, figure.line, figure.price_base, figure.source)
        if figure
        else None,
    )
