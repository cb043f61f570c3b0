"""Scenes that the tests of two nodes begin with: a proposal, a testbed, of a lead at `a` and a partner at `b`."""

from __future__ import annotations

from shared.facts.fact import Fact

from .desk import Json, invitation, partners
from .running import until
from .two_nodes import Desks, MeshNode

EARTH = {"code": "data.earth_observation"}
STAFF = {"code": "human.field_staff"}


def facts_of(node: MeshNode, ledger: str) -> list[Fact]:
    return node.store.after(ledger, (1, 0), 5000)


def proposed(desks: Desks, lead: str, partner: str, country: str, need: Json, **offer: object) -> Json:
    """An open proposal of an agency at `a`, with a partner at `b`, as the partner's node tells it."""
    desks.a.releases_itself(lead)
    offered = desks.b.offers(partner, need["code"], country, **{"units": 3, **offer})
    desks.a.knows_offer(offered, lead)
    pilot = desks.a.registers(lead, country, need)
    return desks.b.proposal(pilot, partner, lambda one: one["status"] == "open" and partner in partners(one))


def formed(desks: Desks, lead: str, partner: str, country: str, need: Json) -> Json:
    """The testbed, as the partner's node tells it."""
    proposal = proposed(desks, lead, partner, country, need)
    desks.b.accepts(partner, proposal)
    until(lambda: invitation(desks.a.again(proposal, lead), partner)["status"] == "accepted", "the acceptance arrives")
    desks.a.accepts(lead, desks.a.again(proposal, lead))
    testbed = desks.b.testbed(proposal["pilot"], partner)
    until(lambda: desks.b.again(proposal, partner)["status"] == "formed", "the proposal is over")
    return testbed
