"""What tests of attacks share: a judgement without wires, two histories of one ledger, and what must be true after
an attack."""

from __future__ import annotations

import asyncio

from services.mesh.accepting import Accepting
from shared.facts.fact import Fact
from tests.node.exchanging import Federation, Side, eventually
from tests.node.three_nodes import faults, write
from tests.unit.facts.chains import Chain

LEDGER = "wfp.registry"


def accepting_at(side: Side) -> Accepting:
    """The intake's judgement alone, on this node's store."""
    node = side.ledgers
    made = Accepting(
        node.store,
        node.identity,
        node.roster,
        node.keyring,
        side.quarantine,
        node.client[node.settings.database("mesh")],
    )
    made.begin()
    return made


def alerted(side: Side, *codes: str, kind: str = "not_authentic") -> None:
    """The operator of this node is told of each: of which kind it is, what was found, and what to do; and it counts in
    the node's status."""
    entries = side.quarantine.entries(1000)
    for code in codes:
        said = [one for one in entries if one["code"] == code]
        assert said, f"nothing is said of {code}; there is {sorted({one['code'] for one in entries})}"
        assert {one["kind"] for one in said} == {kind}, code
        assert all(one["detail"] and one["remedy"] and one["count"] for one in said)
    trouble = side.standing().trouble()
    if kind in trouble:
        assert trouble[kind] >= len(codes)


def nothing_of(side: Side, *facts: Fact) -> None:
    """None of these is stored or folded here, and rows stand on nothing else either."""
    assert side.store.hashes_present([fact.hash for fact in facts]) == set()
    for fact in facts:
        ledger, position = str(fact.header.ledger), fact.header.position
        held = side.store.at(ledger, *position)
        assert held is None or held.hash != fact.hash


async def others_go_on(mesh: Federation) -> None:
    """Facts of everybody else still arrive everywhere, and every node still proves."""
    theirs = await write(mesh["wfp"], 2) + await write(mesh.hub, 2, agency="unicc")
    await eventually(lambda: mesh["fao"].holds(theirs) and mesh.hub.holds(theirs), "others go on")
    for side in mesh.sides.values():
        assert await asyncio.to_thread(faults, side) == {}


def two_histories(mesh: Federation, common: int, first: int, second: int) -> tuple[list[Fact], list[Fact], list[Fact]]:
    """Facts that all share, and what follows them in each of two histories of wfp's, all properly signed."""
    chain = mesh["wfp"].chain()
    shared = [chain.add({"lead_agency": "wfp", "title": "shared"}, subject=f"pilot/s{n}") for n in range(common)]
    at = chain.head
    one = [chain.add({"lead_agency": "wfp", "title": "one"}, subject=f"pilot/a{n}") for n in range(first)]
    other = Chain(ledger=LEDGER, key=chain.key, mesh=chain.mesh, head=at)
    two = [other.add({"lead_agency": "wfp", "title": "two"}, subject=f"pilot/b{n}") for n in range(second)]
    return shared, one, two
