"""Pilots: the list to search in, and the page of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from services.pages.next_steps import current_proposal, member_of, next_step
from services.pages.node import FEW, if_there, together
from services.pages.show import sorted_by_name
from services.pages.visitor import Visiting
from shared.vocabulary import places

router = APIRouter(include_in_schema=False)

PER_PAGE = 30
LIVES = ("draft", "open", "forming", "ready", "running", "paused", "closing", "closed")


@router.get("/pilots")
async def all_pilots(
    visitor: Visiting, q: str = "", country: str = "", life: str = "", lead: str = "", cursor: str = ""
) -> Response:
    assert visitor.person is not None
    wanted = {"q": q.strip(), "country": country, "life": life, "lead": lead, "cursor": cursor}
    asked = {name: value for name, value in wanted.items() if value}
    found, following = await visitor.node.listed("/registry/v1/pilots", PER_PAGE, **asked)
    return visitor.page(
        "pilots.html",
        pilots=found,
        following=following,
        wanted=wanted,
        lives=LIVES,
        countries=sorted_by_name(places.PLACES, visitor.show.place),
        leads=sorted_by_name(visitor.show.names, visitor.show.agency),
    )


@router.get("/pilots/{pilot_id}")
async def one_pilot(visitor: Visiting, pilot_id: UUID, said: str = "") -> Response:
    person, node = visitor.person, visitor.node
    pilot, proposals, testbeds, plans, results, reach, history = await together(
        node.get(f"/registry/v1/pilots/{pilot_id}", **visitor.owner),
        if_there(node.items("/matching/v1/proposals", pilot=str(pilot_id)), []),
        if_there(node.items("/matching/v1/testbeds", pilot=str(pilot_id)), []),
        if_there(node.items("/metrics/v1/plans", pilot=str(pilot_id)), []),
        if_there(node.get(f"/metrics/v1/pilots/{pilot_id}/results", **visitor.owner), {}),
        if_there(node.get(f"/metrics/v1/pilots/{pilot_id}/reach", **visitor.owner), {}),
        if_there(node.items(f"/registry/v1/pilots/{pilot_id}/history", FEW, **visitor.owner), []),
    )
    lead = pilot.get("lead_agency")
    proposals = [one for one in proposals if one.get("lead") == lead]
    testbeds = [one for one in testbeds if one.get("lead") == lead]
    plans = [one for one in plans if one.get("agency") in (None, lead)]
    current = current_proposal(proposals)
    mine = lead == person.agency
    why_not: Mapping[str, Any] = {}
    if current and not mine and not member_of(current, person.agency):
        asked = node.get(f"/matching/v1/pilots/{pilot_id}/why-not", agency=person.agency, lead=str(lead))
        why_not = await if_there(asked, {})
    return visitor.page(
        "pilot.html",
        pilot=pilot,
        current=current,
        earlier=[one for one in proposals if one is not current],
        testbeds=testbeds,
        plans={str(plan.get("id")): plan for plan in plans},
        results=results,
        reach=reach,
        history=history,
        step=next_step(pilot, proposals),
        mine=mine,
        said=said == "screening",
        may_revise=mine and person.has("officer", "coordinator"),
        why_not=why_not,
        sites={str(site.get("id")): site for site in pilot.get("sites") or () if isinstance(site, dict)},
    )
