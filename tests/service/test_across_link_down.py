"""The link is down for a while: both sides work on; what crossed on its way is settled by its owner, and told."""

from __future__ import annotations

from .across import EARTH, STAFF, proposed
from .desk import invitation, partners
from .event_reader import EventReader
from .running import until
from .two_nodes import Desks, Link, Mesh


def test_an_acceptance_of_what_was_superseded_meanwhile_is_set_aside_and_its_people_are_told(
    mesh: Mesh, desks: Desks, link: Link
) -> None:
    proposal = proposed(desks, "wfp", "fao", "BDI", EARTH)
    stream = EventReader(mesh["b"], mesh["b"].actor("fao", ["viewer"]), "?kinds=proposal&agencies=fao").opened()
    with link.down():
        changed = desks.a.revises(proposal["pilot"], "wfp", ends_on="2027-09-30")
        assert changed.status_code == 200, changed.text
        newer = desks.a.proposal(proposal["pilot"], "wfp", lambda one: one["supersedes"] == proposal["id"])
        desks.b.accepts("fao", proposal)
    told = until(
        lambda: (
            desks.b.as_("fao").get("/matching/v1/responses", params={"proposal": proposal["id"]}).json()["items"][0]
        ).get("set_aside"),
        "the accepting agency's node says what became of its answer",
    )
    assert (told["why"], told["read_instead"]) == ("superseded", newer["id"])
    assert told["text"]["en"].startswith("This answer arrived after the proposal had been replaced")
    until(lambda: "proposal.set_aside.v1" in stream.types, "its people hear of it")
    stream.close()
    page = mesh["b"].page(f"/proposals/{proposal['id']}", mesh["b"].actor("fao", ["approver"]))
    assert told["text"]["en"] in page.text
    assert f"/proposals/{newer['id']}" in page.text

    again = desks.b.proposal(proposal["pilot"], "fao", lambda one: one["id"] == newer["id"])
    assert invitation(again, "fao")["status"] == "invited", "it is asked anew"
    desks.b.accepts("fao", again)
    until(lambda: invitation(desks.a.again(newer, "wfp"), "fao")["status"] == "accepted", "and counts")


def test_an_answer_to_what_the_own_node_knows_to_be_superseded_is_refused_with_the_new_address(
    desks: Desks, link: Link
) -> None:
    proposal = proposed(desks, "who", "itu", "BEN", EARTH)
    assert desks.a.revises(proposal["pilot"], "who", ends_on="2027-09-30").status_code == 200
    newer = desks.b.proposal(proposal["pilot"], "itu", lambda one: one["supersedes"] == proposal["id"])
    link.level()
    until(lambda: desks.b.again(proposal, "itu")["status"] == "superseded", "the other node knows")
    refused = desks.b.says("itu", "accept", proposal)
    assert refused.status_code == 409
    assert refused.json()["address"] == f"/matching/v1/proposals/{newer['id']}"


def test_a_member_that_withdrew_before_it_heard_of_the_testbed_is_not_in_it(desks: Desks, link: Link) -> None:
    proposal = proposed(desks, "undp", "unicef", "BFA", STAFF)
    desks.b.accepts("unicef", proposal)
    until(lambda: invitation(desks.a.again(proposal, "undp"), "unicef")["status"] == "accepted", "undp hears of it")
    with link.down():
        withdrawn = desks.b.says("unicef", "withdraw", proposal)
        assert withdrawn.status_code == 201, withdrawn.text
        desks.a.accepts("undp", desks.a.again(proposal, "undp"))
        assert desks.a.testbed(proposal["pilot"], "undp")["status"] == "formed", "as far as the lead knows"
    until(
        lambda: desks.b.testbed(proposal["pilot"], "unicef")["status"] == "dissolved",
        "its withdrawal, made before, counts",
    )


def test_an_acceptance_that_arrives_after_the_testbed_formed_without_it_is_set_aside(desks: Desks, link: Link) -> None:
    desks.b.offers("unesco", "human.gender_expertise", "CAF", units=2)
    desks.b.offers("iom", "human.field_staff", "CAF", units=2)
    desks.a.releases_itself("unhcr")
    pilot = desks.a.registers("unhcr", "CAF", STAFF, {"code": "human.gender_expertise", "essential": False})
    proposal = desks.b.proposal(pilot, "iom", lambda one: set(partners(one)) == {"iom", "unesco"})
    desks.b.accepts("iom", proposal)
    until(lambda: invitation(desks.a.again(proposal, "unhcr"), "iom")["status"] == "accepted", "iom's word arrives")
    with link.down():
        closed = desks.a.as_("unhcr").post(
            f"/matching/v1/proposals/{proposal['id']}/formation", json={"proposal_hash": proposal["hash"]}
        )
        assert closed.status_code == 201, closed.text
        desks.b.accepts("unesco", proposal)
    aside = until(lambda: desks.b.again(proposal, "unesco").get("set_aside"), "unesco's node says what became of it")
    assert [(one["agency"], one["why"]) for one in aside] == [("unesco", "formed")]
    assert {one["agency"] for one in desks.b.testbed(pilot, "unesco")["members"]} == {"unhcr", "iom"}


def test_the_same_capability_asked_for_by_two_nodes_while_cut_off_is_promised_once_by_its_owner(
    desks: Desks, link: Link
) -> None:
    desks.a.releases_itself("ilo")
    desks.b.releases_itself("itu")
    desks.b.offers("fao", "human.field_staff", "TCD", units=1)
    link.level()
    with link.down():
        there = desks.a.registers("ilo", "TCD", STAFF)
        here = desks.b.registers("itu", "TCD", STAFF)
        for desk, pilot, lead in ((desks.a, there, "ilo"), (desks.b, here, "itu")):
            assert partners(desk.proposal(pilot, lead)) == ["fao"]
        desks.b.accepts("fao", desks.b.proposal(here, "fao"))
    second = desks.b.proposal(there, "fao")
    refused = desks.b.says("fao", "accept", second)
    assert refused.status_code == 409, "its owner knows what it promised"
    assert refused.json()["errors"][0]["code"] == "already-promised"
    until(
        lambda: desks.a.proposal(there, "ilo", lambda one: one["superseded_by"] is None)["status"] != "open",
        "the other lead's node hears of the promise, and asks for it no more",
    )
    assert desks.b.proposal(here, "fao")["status"] == "open", "the first promise stands"
