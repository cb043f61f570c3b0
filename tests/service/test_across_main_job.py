"""The main job when the agencies concerned live on different nodes: each acts on its own, all see the same."""

from __future__ import annotations

import pytest

from .desk import Desk, invitation, partners
from .event_reader import EventReader
from .running import until
from .two_nodes import Link, Mesh

EARTH = {"code": "data.earth_observation"}
STAFF = {"code": "human.field_staff"}


class Desks:
    """One desk a node; who is hosted where is said once, by the first to act."""

    HOSTED = {"a": ("wfp", "who", "undp"), "b": ("fao", "unicef", "itu", "unesco")}  # noqa: RUF012

    def __init__(self, mesh: Mesh) -> None:
        self.a, self.b = Desk(mesh["a"]), Desk(mesh["b"])
        for name, agencies in self.HOSTED.items():
            for agency in agencies:
                mesh[name].host(agency)

    def close(self) -> None:
        self.a.close()
        self.b.close()


@pytest.fixture(scope="module")
def desks(mesh: Mesh) -> Desks:
    return Desks(mesh)


def test_a_team_of_agencies_on_two_nodes_forms_and_each_answers_on_its_own(
    mesh: Mesh, link: Link, desks: Desks
) -> None:
    a, b = desks.a, desks.b
    dashboard = EventReader(mesh["b"], mesh["b"].actor("unesco", ["viewer"])).opened()
    pilot = a.registers("wfp", "ZMB", EARTH)
    found = until(
        lambda: b.as_("fao").get("/registry/v1/pilots", params={"country": "ZMB"}).json()["items"], "fao finds it"
    )
    assert [one["id"] for one in found] == [pilot]
    assert found[0]["agency"] == "wfp"

    b.offers("fao", "data.earth_observation", "ZMB", units=3)
    draft = a.proposal(pilot, "wfp", lambda one: one["status"] == "draft")
    assert partners(draft) == ["fao"]
    until(lambda: b.proposals(pilot, "fao") == [], "nobody sees it before the lead releases it")
    answer = a.as_("wfp").post(f"/matching/v1/proposals/{draft['id']}/release", json={"proposal_hash": draft["hash"]})
    assert answer.status_code == 200, answer.text

    seen = b.proposal(pilot, "fao")
    assert seen["hash"] == draft["hash"]
    assert invitation(seen, "fao")["status"] == "invited"
    b.accepts("fao", seen)
    until(lambda: invitation(a.again(draft, "wfp"), "fao")["status"] == "accepted", "wfp sees that fao accepted")
    a.accepts("wfp", a.again(draft, "wfp"))
    testbed = a.testbed(pilot, "wfp")
    there = b.testbed(pilot, "fao")
    assert there == testbed
    assert {member["agency"] for member in there["members"]} == {"wfp", "fao"}
    until(lambda: b.pilot(pilot, "fao")["life"] == "forming", "the pilot follows its testbed, on both nodes")
    until(lambda: "testbed.formed.v1" in dashboard.types, "the dashboard on the other node heard of it")
