"""The main job when the agencies concerned live on different nodes: each acts on its own, all see the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .across import EARTH, STAFF, facts_of, formed, proposed
from .desk import invitation, partners
from .event_reader import EventReader
from .running import until
from .two_nodes import Desks, Link, Mesh, MeshNode
from .webhook_receiver import Receiver, receiving


@pytest.fixture(autouse=True)
def _linked(link: Link) -> Iterator[None]:
    yield
    link.heal()


def subscribed(node: MeshNode, agency: str, receiver: Receiver, **asked: list[str]) -> None:
    with node.client(node.actor(agency, ["officer"])) as client:
        answer = client.post("/notifier/v1/subscriptions", json={"url": receiver.url, **asked})
        assert answer.status_code == 201, answer.text
        receiver.secret = answer.json()["secret"]


def test_a_team_of_agencies_on_two_nodes_forms_and_each_answers_on_its_own(mesh: Mesh, desks: Desks) -> None:
    a, b = desks
    dashboard = EventReader(mesh["b"], mesh["b"].actor("unesco", ["viewer"])).opened()
    a.releases_itself("wfp", release="lead")
    pilot = a.registers("wfp", "ZMB", EARTH)
    found = until(
        lambda: b.as_("fao").get("/registry/v1/pilots", params={"country": "ZMB"}).json()["items"], "fao finds it"
    )
    assert [(one["id"], one["agency"]) for one in found] == [(pilot, "wfp")]

    with receiving() as receiver:
        subscribed(mesh["b"], "fao", receiver, kinds=["proposal", "testbed"], countries=["ZMB"])
        b.offers("fao", "data.earth_observation", "ZMB", units=3)
        draft = a.proposal(pilot, "wfp", lambda one: one["status"] == "draft")
        assert partners(draft) == ["fao"]
        until(lambda: b.proposals(pilot, "fao") == [], "nobody sees it before the lead releases it")
        answer = a.as_("wfp").post(
            f"/matching/v1/proposals/{draft['id']}/release", json={"proposal_hash": draft["hash"]}
        )
        assert answer.status_code == 200, answer.text

        seen = b.proposal(pilot, "fao")
        assert seen["hash"] == draft["hash"]
        assert invitation(seen, "fao")["status"] == "invited"
        b.accepts("fao", seen)
        until(lambda: invitation(a.again(draft, "wfp"), "fao")["status"] == "accepted", "wfp sees that fao accepted")
        a.accepts("wfp", a.again(draft, "wfp"))
        testbed = a.testbed(pilot, "wfp")
        assert b.testbed(pilot, "fao") == testbed
        assert {member["agency"] for member in testbed["members"]} == {"wfp", "fao"}
        assert len(testbed["rests_on"]) == 2
        until(lambda: b.pilot(pilot, "fao")["life"] == "forming", "the pilot follows its testbed, on both nodes")
        until(lambda: "testbed.formed.v1" in dashboard.types, "the dashboard on the other node hears of it")
        until(
            lambda: any(one.event["type"].endswith("testbed.formed.v1") for one in receiver.notices),
            "the webhook of an agency on the other node is told",
        )
    dashboard.close()


def test_only_the_node_that_hosts_the_lead_proposes(mesh: Mesh, desks: Desks, link: Link) -> None:
    proposal = proposed(desks, "wfp", "fao", "MWI", EARTH)
    link.level()
    told = desks.b.proposals(proposal["pilot"], "fao")
    assert {one["agency"] for one in told} == {"wfp"}
    for agency in ("fao", "unicef", "itu", "unesco"):
        proposals = [fact for fact in facts_of(mesh["b"], f"{agency}.matching") if fact.header.kind == "proposal"]
        assert proposal["pilot"] not in {(fact.state or {}).get("pilot") for fact in proposals}


def test_the_invitation_waits_on_my_work_of_the_invited_agencys_node(mesh: Mesh, desks: Desks) -> None:
    proposal = proposed(desks, "who", "itu", "KEN", EARTH)
    page = mesh["b"].page("/", mesh["b"].actor("itu", ["approver"]))
    assert page.status_code == 200, page.text
    assert f"/proposals/{proposal['id']}" in page.text


def test_conditions_questions_and_answers_reach_the_other_node_and_nobody_else(mesh: Mesh, desks: Desks) -> None:
    proposal = proposed(desks, "wfp", "unicef", "UGA", STAFF)
    asked = desks.b.as_("unicef").post(
        f"/matching/v1/proposals/{proposal['id']}/questions",
        json={"agency": "unicef", "proposal_hash": proposal["hash"], "question": {"en": "Who pays for fuel?"}},
    )
    assert asked.status_code == 201, asked.text
    question = until(lambda: desks.a.again(proposal, "wfp")["questions"], "the lead's node has the question")[0]
    replied = desks.a.as_("wfp").post(
        f"/matching/v1/proposals/{proposal['id']}/answers",
        json={"question": question["id"], "answer": {"en": "The lead does."}},
    )
    assert replied.status_code == 201, replied.text
    until(
        lambda: desks.b.again(proposal, "unicef")["questions"][0].get("answer") == {"en": "The lead does."},
        "who asked reads the answer",
    )
    assert desks.b.again(proposal, "unesco")["questions"] == []
    assert desks.a.again(proposal, "who")["questions"] == []

    said = desks.b.says("unicef", "accept_with_conditions", proposal, conditions={"en": "Only with a driver."})
    assert said.status_code == 201, said.text
    until(
        lambda: invitation(desks.a.again(proposal, "wfp"), "unicef")["status"] == "conditional",
        "the lead's node hears of the conditions",
    )
    address = f"/matching/v1/responses?proposal={proposal['id']}"
    until(
        lambda: desks.a.as_("wfp").get(address).json()["items"][0].get("conditions") == {"en": "Only with a driver."},
        "the lead reads the conditions",
    )
    elsewhere = until(lambda: desks.a.as_("who").get(address).json()["items"], "what everybody may read is there")
    assert "conditions" not in elsewhere[0]
    desks.a.accepts("wfp", desks.a.again(proposal, "wfp"))
    assert desks.b.testbed(proposal["pilot"], "unicef")["members"][1]["decision"] == "accept_with_conditions"


def test_a_decline_on_the_other_node_leads_to_a_proposal_without_it(desks: Desks) -> None:
    desks.b.offers("iom", "human.field_staff", "RWA", units=2, cost="paid")
    proposal = proposed(desks, "undp", "unesco", "RWA", STAFF, cost="free")
    said = desks.b.says("unesco", "decline", proposal, reason="no_capacity")
    assert said.status_code == 201, said.text
    newer = desks.b.proposal(proposal["pilot"], "iom", lambda one: one["status"] == "open" and "iom" in partners(one))
    assert newer["supersedes"] == proposal["id"]
    assert [one["agency"] for one in newer["out"]] == ["unesco"]
    until(lambda: desks.b.again(proposal, "unesco")["superseded_by"] == newer["id"], "who declined is led on")


def test_a_member_withdraws_on_its_own_node_and_the_testbed_dissolves_at_the_leads(desks: Desks) -> None:
    testbed = formed(desks, "who", "itu", "TZA", EARTH)
    proposal = desks.b.again({"id": testbed["proposal"]}, "itu")
    said = desks.b.says("itu", "withdraw", proposal)
    assert said.status_code == 201, said.text
    until(
        lambda: desks.b.testbed(testbed["pilot"], "itu")["status"] == "dissolved",
        "the lead's node dissolves it, and the other one hears of that",
    )
    until(lambda: desks.b.pilot(testbed["pilot"], "itu")["life"] == "open", "the pilot is open again")


def test_a_member_suspends_its_part_at_once_though_cut_off_and_the_lead_adopts_it(desks: Desks, link: Link) -> None:
    testbed = formed(desks, "wfp", "fao", "ETH", EARTH)
    address = f"/matching/v1/testbeds/{testbed['id']}"
    with link.down():
        answer = desks.b.as_("fao", "officer").post(
            f"{address}/suspensions", json={"agency": "fao", "reason": {"en": "A flood: our people are needed."}}
        )
        assert answer.status_code == 201, answer.text
        own = desks.b.as_("fao").get(address).json()["members"]
        assert own[1]["suspended"]["reason"] == {"en": "A flood: our people are needed."}
        assert "suspended" not in desks.a.as_("wfp").get(address).json()
    adopted = until(
        lambda: desks.a.as_("wfp").get(address).json().get("suspended"), "the lead's ledger adopts what was declared"
    )
    assert [one["agency"] for one in adopted] == ["fao"]
    until(
        lambda: desks.a.as_("wfp").get(address).json()["members"][1]["suspended"].get("reason"),
        "the circle reads the reason",
    )
    assert "reason" not in desks.a.as_("ilo").get(address).json()["members"][1]["suspended"]
    assert desks.b.as_("fao").delete(f"{address}/suspensions/fao").status_code == 200
    until(lambda: desks.b.as_("fao").get(address).json().get("suspended") == [], "and takes it back")
