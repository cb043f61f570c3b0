"""In whatever order the ledgers of two nodes arrive at a third, it ends with the same records and the same views."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import httpx

from shared.ledger.documents import row_of_raw
from shared.ledger.rows import Row, digest_of_rows

from .across import EARTH, STAFF, formed, proposed
from .running import until
from .test_across_metrics import Shared
from .two_nodes import Desks, Link, Mesh, MeshNode, carry_shuffled, untaken

KINDS = {
    "registry": ("agencies", "offices", "pilots", "capabilities", "screenings", "testbeds"),
    "matching": ("pilots", "capabilities", "proposals", "responses", "testbeds", "suspensions", "rules"),
    "metrics": ("pilots", "plans", "progress"),
}
VIEWS = (
    "/registry/v1/agencies",
    "/registry/v1/pilots",
    "/registry/v1/capabilities",
    "/matching/v1/proposals",
    "/matching/v1/responses",
    "/matching/v1/testbeds",
    "/matching/v1/gaps",
    "/metrics/v1/plans",
)


def shared_rows(node: MeshNode, service: str) -> list[Row]:
    """What the node folded of mesh-wide ledgers."""
    database = node.database(service)
    rows = [row_of_raw(raw) for kind in KINDS[service] for raw in database[kind].find({})]
    kept = []
    for row in rows:
        tracks = tuple(track for track in row.tracks if track.ledger.count(".") == 1)
        if tracks:
            kept.append(replace(row, tracks=tracks))
    return kept


def everything(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        answer = client.get(path, params={"limit": 200, **({"cursor": after} if after else {})}).json()
        found += answer["items"]
        after = answer["next"]
        if after is None:
            return sorted(found, key=repr)


def test_a_third_node_ends_with_the_same_whatever_came_first(mesh: Mesh, desks: Desks, link: Link) -> None:
    formed(desks, "wfp", "fao", "GIN", EARTH)
    with link.down():
        proposal = proposed_and_superseded(desks, link)
    shared = Shared(mesh, "SLE", "LBR")
    shared.hand_in(shared.wfp, "SLE", "w1", 120)
    shared.hand_in(shared.fao, "LBR", "f1", 340)
    until(lambda: shared.value(shared.wfp) == 460, "figures are published")
    until(lambda: desks.b.again(proposal, "unicef").get("set_aside"), "the late answer is settled")
    link.level()

    order = random.Random(20261122)
    third = mesh.start("c")["c"]
    for source in order.sample([mesh["a"], mesh["b"]], 2):
        carry_shuffled(source, third, order)
    onlooker = third.client(third.actor("desa", ["officer"]))
    settled(mesh, onlooker)
    until(
        lambda: (carry_shuffled(mesh["a"], third, order), carry_shuffled(mesh["b"], third, order)) == (0, 0),
        "nothing is missing at the third node",
    )
    beside = mesh["b"].client(mesh["b"].actor("ifad", ["officer"]))
    for service in KINDS:
        until(
            lambda name=service: (
                digest_of_rows(shared_rows(mesh["b"], name))  # type: ignore[misc]
                == digest_of_rows(shared_rows(third, name))
            ),
            f"the rows of {service} are equal",
        )
    assert all(everything(beside, path) for path in VIEWS if not path.endswith(("agencies", "gaps")))
    for path in VIEWS:
        until(
            lambda asked=path: everything(beside, asked) == everything(onlooker, asked),  # type: ignore[misc]
            f"{path} answers the same",
        )
    told = [one.get(f"/metrics/v1/pilots/{shared.pilot}/results").json() for one in (beside, onlooker)]
    assert told[0]["results"] == told[1]["results"]
    assert all(one.get("/metrics/v1/countries/LBR").json()["pilots"] == [shared.pilot] for one in (beside, onlooker))


def proposed_and_superseded(desks: Desks, link: Link) -> dict[str, Any]:
    link.heal()
    proposal = proposed(desks, "who", "unicef", "CIV", STAFF)
    link.cut()
    assert desks.a.revises(proposal["pilot"], "who", ends_on="2027-09-30").status_code == 200
    desks.a.proposal(proposal["pilot"], "who", lambda one: one["supersedes"] == proposal["id"])
    desks.b.accepts("unicef", proposal)
    return proposal


def settled(mesh: Mesh, onlooker: httpx.Client) -> None:
    """The roster has everybody at both ends, and nothing is on its way any more."""
    assert onlooker.get("/registry/v1/pilots").is_success
    until(lambda: not untaken(mesh["a"], mesh["b"]) and not untaken(mesh["b"], mesh["a"]), "the two are level")
