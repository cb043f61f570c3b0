"""What is narrowed at one node disappears at the other, with all that was derived from it; private never crosses."""

from __future__ import annotations

import httpx

from .across import EARTH, formed, proposed
from .running import until
from .test_across_metrics import Shared
from .two_nodes import Desks, Link, Mesh


def gone(client: httpx.Client, path: str) -> bool:
    return client.get(path).status_code in (404, 410)


def test_a_narrowed_pilot_takes_its_proposal_off_the_other_node(mesh: Mesh, desks: Desks, link: Link) -> None:
    proposal = proposed(desks, "wfp", "itu", "LSO", EARTH)
    pilot, itu = proposal["pilot"], desks.b.as_("itu")
    narrowed = desks.a.revises(pilot, "wfp", visibility="private")
    assert narrowed.status_code == 200, narrowed.text

    until(lambda: gone(itu, f"/registry/v1/pilots/{pilot}"), "the pilot is gone")
    until(lambda: gone(itu, f"/matching/v1/proposals/{proposal['id']}"), "its proposal is gone")
    assert itu.get("/matching/v1/proposals", params={"pilot": pilot}).json()["items"] == []
    assert itu.get("/matching/v1/proposals", params={"invited": "itu", "country": "LSO"}).json()["items"] == []
    assert gone(itu, f"/matching/v1/pilots/{pilot}/why-not?agency=itu")
    refused = desks.b.says("itu", "accept", proposal)
    assert refused.status_code == 410
    own = desks.a.again(proposal, "wfp")
    assert (own["audience"], own["status"], own["closed_because"]) == ("private", "closed", "pilot_narrowed")
    assert gone(desks.a.as_("who"), f"/matching/v1/proposals/{proposal['id']}"), "nor do others of the lead's node"


def test_a_testbed_of_a_narrowed_pilot_stays_with_its_members(mesh: Mesh, desks: Desks, link: Link) -> None:
    testbed = formed(desks, "who", "fao", "SWZ", EARTH)
    until(lambda: desks.a.pilot(testbed["pilot"], "who")["life"] == "forming", "the pilot follows its testbed")
    narrowed = desks.a.revises(testbed["pilot"], "who", visibility="private")
    assert narrowed.status_code == 200, narrowed.text
    address = f"/matching/v1/testbeds/{testbed['id']}"
    until(lambda: gone(desks.b.as_("unesco"), address), "agencies outside the circle see it no more")
    until(lambda: gone(desks.b.as_("unesco"), f"/matching/v1/proposals/{testbed['proposal']}"), "nor the proposal")
    seen = until(
        lambda: (answer := desks.b.as_("fao").get(address)).status_code == 200 and answer.json(), "a member sees it"
    )
    assert seen["audience"] == testbed["circle"]
    assert (
        desks.b.as_("fao").get("/matching/v1/testbeds", params={"country": "SWZ"}).json()["items"][0]["id"]
        == testbed["id"]
    )
    assert desks.b.as_("unesco").get("/matching/v1/testbeds", params={"country": "SWZ"}).json()["items"] == []


def test_plans_and_progress_of_a_narrowed_pilot_are_withdrawn_and_come_back_with_it(
    mesh: Mesh, desks: Desks, link: Link
) -> None:
    shared = Shared(mesh, "ZWE", "BWA")
    shared.hand_in(shared.wfp, "ZWE", "w1", 400)
    shared.hand_in(shared.fao, "BWA", "f1", 250)
    until(lambda: shared.value(shared.fao) == 650, "figures are published")
    stranger = desks.b.as_("unesco")
    narrowed = desks.a.revises(shared.pilot, "wfp", visibility="private")
    assert narrowed.status_code == 200, narrowed.text

    until(lambda: gone(stranger, f"/metrics/v1/plans/{shared.indicator}"), "the plan is gone")
    until(lambda: gone(stranger, f"/metrics/v1/pilots/{shared.pilot}/results"), "the results are gone")
    assert gone(stranger, f"/metrics/v1/pilots/{shared.pilot}/reach")
    assert gone(stranger, f"/metrics/v1/progress?pilot={shared.pilot}")
    assert stranger.get("/metrics/v1/countries/ZWE").json()["pilots"] == []

    def of_the_pilot() -> list[str]:
        store, told = mesh["b"].store, []
        for agency in ("wfp", "fao"):
            facts = store.after(f"{agency}.metrics", (1, 0), 5000)
            newest = {fact.header.subject: fact for fact in facts}
            told += [fact.header.subject for fact in newest.values() if (fact.state or {}).get("pilot") == shared.pilot]
        return told

    until(lambda: of_the_pilot() == [], "nothing of plans and progress is left in the mesh, of either agency")

    back = desks.a.revises(shared.pilot, "wfp", visibility="mesh")
    assert back.status_code == 200, back.text
    until(lambda: stranger.get(f"/metrics/v1/plans/{shared.indicator}").is_success, "the plan is shared again")
    until(lambda: shared.value(stranger) == 650, "and what was published")


def test_a_private_pilot_and_what_follows_from_it_never_reach_the_other_node(
    mesh: Mesh, desks: Desks, link: Link
) -> None:
    desks.b.offers("fao", "data.earth_observation", "NAM", units=1)
    link.level()
    pilot = desks.a.registers("wfp", "NAM", EARTH, visibility="private")
    desks.a.proposal(pilot, "wfp", lambda one: one["status"] == "draft")
    moved = desks.a.as_("wfp", "officer").get(f"/registry/v1/pilots/{pilot}")
    withdrawn = desks.a.as_("wfp", "coordinator").delete(
        f"/registry/v1/pilots/{pilot}", headers={"If-Match": moved.headers["etag"]}
    )
    assert withdrawn.status_code == 200, withdrawn.text
    until(lambda: [one["status"] for one in desks.a.proposals(pilot, "wfp")] == ["closed"], "its draft is closed")
    link.level()
    known = b"".join(
        fact.payload or b""
        for ledger in mesh["b"].store.ledgers()
        for fact in mesh["b"].store.after(ledger, (1, 0), 5000)
    )
    assert pilot.encode() not in known
