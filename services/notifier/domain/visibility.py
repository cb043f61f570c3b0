"""Who may see an event: its ledger's audience decides, never its content.

Facts for the mesh are seen by every actor of the node, facts of a private ledger by actors of that agency, facts of
a circle's ledger by actors of the agencies in the circle. A circle that nobody has described means nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.facts.fact import Fact
from shared.facts.ids import circle_of
from shared.facts.names import AGENCY, ANCHOR, MESH_AUDIENCE, PRIVATE_AUDIENCE, UUID

from .attributes import State, state_of

DESCRIBING = frozenset({"proposal", "testbed", "roster"})
"""Kinds of facts that say who is in a circle."""

Circles = Mapping[str, frozenset[str]]
"""Circle's UUID to the agencies in it."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What actors of one agency may see."""

    agency: str
    circles: frozenset[str] = frozenset()

    def sees(self, agency: str, audience: str) -> bool:
        """Whether they see facts that `agency` wrote for `audience`."""
        return audience == MESH_AUDIENCE or agency == self.agency or audience in self.circles

    def as_query(self) -> dict[str, Any]:
        """The same as a clause of a query on the journal."""
        audiences = [MESH_AUDIENCE, *sorted(self.circles)]
        return {"$or": [{"audience": {"$in": audiences}}, {"agency": self.agency}]}


def sight_of(agency: str, circles: Circles) -> Sight:
    return Sight(agency, frozenset(circle for circle, members in circles.items() if agency in members))


@dataclass(frozen=True, slots=True)
class Claim:
    """One aggregate's word on who is in a circle. `own`: it is the circle of the owner's own proposal."""

    owner: str
    circle: str
    members: frozenset[str]
    own: bool = False


def claims_in(fact: Fact) -> list[Claim]:
    """Who a fact says is in which circle. What was said in private describes no circle to anybody."""
    header = fact.header
    if header.kind not in DESCRIBING or header.ledger.audience == PRIVATE_AUDIENCE:
        return []
    state = state_of(fact)
    if header.kind == "roster":
        listed = state.get("circles")
        return [
            Claim(header.agency, circle, _members(one))
            for one in (listed if isinstance(listed, list) else ())
            if isinstance(one, Mapping) and (circle := _circle(one.get("id") or one.get("circle")))
        ]
    circle = _circle(state.get("circle"))
    if circle is None:
        return []
    proposal = header.subject.split("/", 1)[1] if header.kind == "proposal" else str(state.get("proposal"))
    own = circle == circle_of(header.agency, proposal)
    return [Claim(header.agency, circle, _members(state) | {header.agency}, own)]


def circles_of(claims: Iterable[Claim]) -> dict[str, frozenset[str]]:
    """The members of every circle. The roster's word counts before any other, then that of the lead whose proposal's
    circle it is. Where several agencies claim one that is neither, only those are in it whom all of them name."""
    told = list(claims)
    owned = {claim.circle for claim in told if claim.own}
    by_circle: dict[str, dict[str, set[str]]] = {}
    for claim in told:
        if claim.own or claim.circle not in owned or claim.owner == ANCHOR:
            by_circle.setdefault(claim.circle, {}).setdefault(claim.owner, set()).update(claim.members)
    circles = {}
    for circle, by_owner in by_circle.items():
        agreed = [by_owner[ANCHOR]] if ANCHOR in by_owner else list(by_owner.values())
        circles[circle] = frozenset(set.intersection(*agreed))
    return circles


def _circle(value: Any) -> str | None:
    return value if isinstance(value, str) and re.fullmatch(UUID, value) else None


def _members(state: State) -> frozenset[str]:
    found = set()
    for field in ("lead", "members", "agencies", "team"):
        value = state.get(field)
        for one in value if isinstance(value, list) else [value]:
            agency = one.get("agency") if isinstance(one, Mapping) else one
            if isinstance(agency, str) and AGENCY.fullmatch(agency):
                found.add(agency)
    return frozenset(found)
