"""My work: what needs my agency's word, its pilots with their next step, its testbeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from services.pages.next_steps import invitation_of, next_step
from services.pages.node import FEW, Node, if_there, together
from services.pages.proposals import Seen
from services.pages.visitor import Person, Visiting

router = APIRouter(include_in_schema=False)

OVER = ("closed",)


@router.get("/")
async def my_work(visitor: Visiting) -> Response:
    if not visitor.signed_in:
        return visitor.page("sign_in.html", next_path="/")
    person, node = visitor.person, visitor.node
    invited, own, pilots, testbeds = await together(
        if_there(node.items("/matching/v1/proposals", invited=person.agency), None),
        if_there(node.items("/matching/v1/proposals", agency=person.agency), None),
        if_there(node.items("/registry/v1/pilots", lead=person.agency), None),
        if_there(node.items("/matching/v1/testbeds", agency=person.agency), None),
    )
    waiting = [one for one in invited or () if asks(one, person.agency)]
    cards = await pilots_of(node, [pilot_of(one) for one in waiting])
    by_pilot = defaultdict(list)
    for proposal in own or ():
        by_pilot[pilot_of(proposal)].append(proposal)
    steps = [(pilot, next_step(pilot, by_pilot[named(pilot)])) for pilot in pilots or ()]
    return visitor.page(
        "my_work.html",
        asked=in_scope([(one, cards.get(pilot_of(one), {})) for one in waiting], person),
        brings={
            one.get("id"): Seen(one, cards.get(pilot_of(one), {}), None).brings(visitor.show, person.agency)
            for one in waiting
        },
        steps=[one for one in steps if one[0].get("life") not in OVER],
        over=[one for one in steps if one[0].get("life") in OVER],
        testbeds=testbeds or [],
        missing=None in (invited, own, pilots, testbeds),
        may_answer=person.has("approver"),
        may_register=person.has("officer", "coordinator"),
    )


Name = tuple[str, str]
"""A pilot's lead and id: an id alone names none."""


def named(pilot: Mapping[str, Any]) -> Name:
    return str(pilot.get("lead_agency")), str(pilot.get("id"))


def pilot_of(proposal: Mapping[str, Any]) -> Name:
    """The pilot that a proposal is about, which is its lead's."""
    return str(proposal.get("lead")), str(proposal.get("pilot"))


async def pilots_of(node: Node, names: Iterable[Name]) -> dict[Name, dict[str, Any]]:
    """Records of pilots that the visitor may see; those that are closed to them are not in it."""
    wanted = sorted({pilot for _, pilot in names})[:FEW]
    if not wanted:
        return {}
    found = await if_there(node.items("/registry/v1/pilots", ids=",".join(wanted)), [])
    return {named(one): one for one in found}


def in_scope(asked: list[tuple[Any, Any]], person: Person) -> list[tuple[Any, Any, bool]]:
    """Invitations about the visitor's own countries first, then by deadline."""
    own = set(person.countries)

    def theirs(pilot: Mapping[str, Any]) -> bool:
        return bool(own.intersection(pilot.get("countries") or ()))

    marked = [(proposal, pilot, theirs(pilot)) for proposal, pilot in asked]
    return sorted(marked, key=lambda one: (not one[2], str(one[0].get("deadline") or "~")))


def asks(proposal: Mapping[str, Any], agency: str) -> bool:
    """An invitation that has gone out and has no answer; one that waits its turn asks for nothing yet."""
    invitation = invitation_of(proposal, agency)
    return proposal.get("status") == "open" and (invitation or {}).get("status") in ("invited", "interest")
