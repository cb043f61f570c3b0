"""What must be true of all nodes of a mesh together, after any fault."""

from __future__ import annotations

from collections import Counter

from shared.facts.names import MESH_AUDIENCE, ledger_name
from tests.faults.mesh import FaultyMesh
from tests.faults.officers import Office
from tests.faults.proofs import (
    every_event_is_told_once,
    every_fact_is_streamed,
    every_fold_equals_its_rebuild,
    every_ledger_is_proven,
    evidence,
    listing,
    prove,
)
from tests.service.running import until

REPEATS = 20
"""So many of each officer's commands are sent again at the end."""


def prove_all(mesh: FaultyMesh) -> None:
    """Everything that is proven of one node, of each; and what the nodes must agree on. Officers have finished."""
    for member in mesh.members.values():
        prove(member, member.office, repeats=REPEATS, wiped=member in mesh.wiped)
    with evidence(mesh.hub) as found:
        until(found.is_level, f"the hub is level; waiting: {found.tasks()}", 120)
        every_ledger_is_proven(found)
        every_fact_is_streamed(found, wiped=mesh.hub in mesh.wiped)
        every_event_is_told_once(found, None)
        every_fold_equals_its_rebuild(found)
    all_hold_the_same_facts_and_nobodys_private_ones(mesh)
    every_pilot_is_listed_by_all_nodes_that_may_know_it(mesh)
    mesh.until_level(60)


def all_hold_the_same_facts_and_nobodys_private_ones(mesh: FaultyMesh) -> None:
    """Bytes and places: nothing lost, nothing invented, nothing twice."""
    shared: list[Counter[tuple[str, int, int, str]]] = []
    for node in mesh.nodes:
        with evidence(node) as found:
            places = [(str(one.header.ledger), *one.header.position, one.hash) for one in found.facts()]
        shared.append(Counter(one for one in places if ledger_name(one[0]).audience == MESH_AUDIENCE))
        foreign = {one[0] for one in places if ledger_name(one[0]).is_private and _is_foreign(mesh, node, one[0])}
        assert not foreign, f"{node.home.name} holds private ledgers of others: {foreign}"
    assert set(shared[0].values()) == {1}
    for node, held in zip(mesh.nodes, shared, strict=True):
        assert held == shared[0], (
            f"{node.home.name}: {len((held - shared[0]) + (shared[0] - held))} facts differ from the hub's"
        )


def _is_foreign(mesh: FaultyMesh, node: object, ledger: str) -> bool:
    return mesh.members.get(ledger_name(ledger).agency) is not node


def every_pilot_is_listed_by_all_nodes_that_may_know_it(mesh: FaultyMesh) -> None:
    for agency, member in mesh.members.items():
        wanted = Counter(shared_pilots(member.office, agency))
        for node in mesh.nodes:
            reader = next((one for one, other in mesh.members.items() if other is node), None)
            if reader not in (None, agency):
                listed = Counter(item["id"] for item in listing(node, agency, reader))
                assert listed == wanted, (
                    f"{agency}'s pilots at {reader}: {len((listed - wanted) + (wanted - listed))} differ"
                )


def shared_pilots(office: Office, agency: str) -> list[str]:
    """Acknowledged pilots that were not narrowed to their agency afterwards."""
    narrowed = {pilot for officer in office.officers for pilot in officer.narrowed}
    return [pilot for pilot in office.registered()[agency] if pilot not in narrowed]
