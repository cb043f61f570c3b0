"""All that goes on in one country, printable; and the list of countries where something does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.pages.next_steps import current_proposal, next_step
from services.pages.node import if_there, together
from services.pages.proposals import Seen
from services.pages.show import sorted_by_name
from services.pages.visitor import Visiting
from services.pages.work import Name, named, pilot_of
from shared.vocabulary import places

router = APIRouter(include_in_schema=False)

MOST = 200
GROUPS: tuple[places.CountryGroup, ...] = ("ldc", "lldc", "sids")


@router.get("/countries")
async def all_countries(visitor: Visiting) -> Response:
    assert visitor.person is not None
    pilots, following = await visitor.node.listed("/registry/v1/pilots", MOST)
    count = Counter(code for pilot in pilots for code in pilot.get("countries") or () if code in places.PLACES)
    return visitor.page(
        "countries.html",
        counted=[(code, count[code]) for code in sorted_by_name(count, visitor.show.place)],
        own=visitor.person.countries,
        partial=following is not None,
    )


@router.get("/countries/{iso3}")
async def one_country(visitor: Visiting, iso3: str) -> Response:
    assert visitor.person is not None
    code = places.iso3_of(iso3)
    if code is None:
        raise HTTPException(404)
    if code != iso3:
        return visitor.go(f"/countries/{code}")
    node = visitor.node
    (pilots, following), proposals, testbeds, gaps, figures = await together(
        node.listed("/registry/v1/pilots", MOST, country=code),
        if_there(node.items("/matching/v1/proposals", MOST, country=code), []),
        if_there(node.items("/matching/v1/testbeds", MOST, country=code), []),
        if_there(node.items("/matching/v1/gaps", MOST, country=code), []),
        if_there(node.get(f"/metrics/v1/countries/{code}"), {}),
    )
    of_pilot = {named(one): [p for p in proposals if pilot_of(p) == named(one)] for one in pilots}
    rows = [(pilot, next_step(pilot, of_pilot[named(pilot)])) for pilot in pilots]
    today = datetime.now(UTC)
    return visitor.page(
        "country.html",
        code=code,
        place=places.PLACES[code],
        groups=[(group, places.status(code, group, today.date())) for group in GROUPS],
        poverty=places.extreme_poverty(code),
        rows=rows,
        partial=following is not None,
        testbeds=testbeds,
        open_needs=_open_needs(visitor, code, pilots, of_pilot),
        gaps=[gap for gap in gaps if gap.get("country") in (code, None)],
        consents=_consents(code, pilots),
        figures=figures,
        printed_at=today.isoformat(timespec="minutes"),
    )


def _open_needs(
    visitor: Visiting, country: str, pilots: list[dict[str, Any]], of_pilot: Mapping[Name, list[dict[str, Any]]]
) -> list[tuple[Mapping[str, Any], str, bool, Any]]:
    """(pilot, need, essential, why) of what no proposal covers here."""
    found = []
    for pilot in pilots:
        proposal = current_proposal(of_pilot[named(pilot)])
        if proposal is None:
            continue
        seen = Seen(proposal, pilot, None)
        for one in proposal.get("uncovered") or ():
            where = seen.needs.get(str(one.get("need")), {}).get("country")
            if where in (None, country):
                found.append(
                    (pilot, seen.need_name(visitor.show, one.get("need")), bool(one.get("essential")), one.get("why"))
                )
    return sorted(found, key=lambda one: not one[2])


def _consents(country: str, pilots: list[dict[str, Any]]) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Sites in the country whose consent is still open or was refused."""
    return [
        (pilot, site)
        for pilot in pilots
        for site in pilot.get("sites") or ()
        if isinstance(site, dict)
        and site.get("country") == country
        and (site.get("consent") or {}).get("status") not in ("given", "not_required")
        and pilot.get("life") != "closed"
    ]
