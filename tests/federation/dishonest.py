"""What a dishonest peer hands out: facts altered, before their turn, invented, or of another mesh."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from shared.bus.subjects import headers_of, subject_of
from shared.facts.fact import Fact, to_bytes, to_wire
from shared.facts.names import MESH_AUDIENCE, ledger_name
from shared.facts.verify import Head
from tests.federation.bus import Message
from tests.federation.model_node import ModelNode
from tests.federation.world import AGENCY_OF, HUB
from tests.unit.facts.chains import Chain

ELSEWHERE = "0198c0de-0000-7000-8000-00000000e15e"


def lie_to(node: ModelNode, liar: ModelNode, lie: str, number: int) -> Fact | None:
    """For the place that the node expects next, so that nothing but a check stands between the lie and its store.
    None if there is nothing to lie about."""
    match lie:
        case "altered":
            following = _following(node, liar, number)
            return _altered(following[0]) if following else None
        case "before its turn":
            return next(iter(_following(node, liar, number)[1:]), None)
        case "invented":
            others = sorted(agency for domain, agency in AGENCY_OF.items() if domain not in (node.domain, liar.domain))
            return _made(node, liar, f"{others[0]}.registry", node.identity.mesh)
        case "of another mesh":
            return _made(node, liar, f"{AGENCY_OF[liar.domain]}.registry", ELSEWHERE)
    raise NotImplementedError(lie)


def _altered(fact: Fact) -> Fact:
    """Says something else about the same record, in the same agency's name."""
    return replace(fact, payload=to_bytes({**(fact.state or {}), "altered": True}))


def as_delivered(fact: Fact, liar: str) -> tuple[str, Any]:
    """The outlet that such a fact would come by, and the message; a member has none for others' facts."""
    foreign = fact.header.agency != AGENCY_OF[liar] and liar == HUB
    message = Message(subject_of(fact, foreign=foreign), 1, headers_of(fact), to_wire(fact))
    return "VERIFIED" if foreign else "FACTS", cast(Any, message)


def _following(node: ModelNode, liar: ModelNode, number: int) -> list[Fact]:
    """Facts of some ledger that the liar holds and the node lacks."""
    found = []
    for ledger in sorted(liar.store.ledgers()):
        if ledger_name(ledger).audience == MESH_AUDIENCE:
            facts = liar.store.after(ledger, node.store.head(ledger).position, 10)
            if facts:
                found.append(facts)
    return found[number % len(found)] if found else []


def _made(node: ModelNode, liar: ModelNode, ledger: str, mesh: str) -> Fact:
    """Signed by the liar's own key."""
    head: Head = node.store.head(ledger)
    key = liar.keyring.key(AGENCY_OF[liar.domain])
    agency = ledger_name(ledger).agency
    return Chain(ledger=ledger, key=key, mesh=mesh, head=head).add({"lead_agency": agency}, subject="pilot/invented")
