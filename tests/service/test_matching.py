"""Matching over HTTP, with registry, ledger, NATS and database as they run: from a pilot to its testbed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .desk import Desk, invitation, partners
from .running import RunningNode, until

EARTH = {"code": "data.earth_observation"}
STAFF = {"code": "human.field_staff"}
ETHICS = {"code": "policy.ethics_review", "essential": False}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    running = RunningNode(tmp_path_factory.mktemp("matching"), "mesh", "registry", "matching")
    try:
        desk = Desk(running.start())
        yield desk
        desk.close()
    finally:
        running.stop()


def test_an_open_pilot_gets_a_team_with_reasons_and_its_invitations_go_to_the_office_on_the_spot(desk: Desk) -> None:
    desk.releases_itself("wfp")
    desk.offers("fao", "data.earth_observation", "ZMB")
    office = desk.as_("fao", "coordinator").post(
        "/registry/v1/offices",
        json={"agency": "fao", "name": {"en": "FAO Zambia"}, "kind": "country", "countries": ["ZMB"]},
    )
    assert office.status_code == 201, office.text

    proposal = desk.proposal(desk.registers("wfp", "ZMB", EARTH), "wfp")

    assert [(member["agency"], member["role"]) for member in proposal["team"]] == [("wfp", "lead"), ("fao", "partner")]
    assert all(member["reasons"] for member in proposal["team"])
    assert [len(said) for said in proposal["sentences"].values()] == [4, 4]
    assert proposal["sentences"]["en"][2].startswith("The weakest point is")
    assert invitation(proposal, "fao")["office"] == office.json()["id"]
    assert invitation(proposal, "fao")["status"] == "invited"
    assert proposal["awaits"] == ["wfp", "fao"]
    assert proposal["uncovered"] == []
    assert proposal["coverage"] == 1


def test_a_testbed_forms_when_everybody_has_accepted_and_names_what_it_counted(desk: Desk) -> None:
    desk.releases_itself("unicef")
    desk.offers("itu", "data.earth_observation", "MWI")
    desk.offers("who", "human.field_staff", "MWI", units=3)
    pilot = desk.registers("unicef", "MWI", EARTH, STAFF)
    proposal = desk.proposal(pilot, "unicef")

    said = [desk.accepts(agency, proposal) for agency in ("itu", "who")]
    assert desk.again(proposal, "unicef")["status"] == "open", "the lead itself has not said yes"
    said.append(desk.accepts("unicef", proposal))

    testbed = desk.testbed(pilot, "itu")
    assert {member["agency"]: member["response"] for member in testbed["members"]} == {
        one["agency"]: one["id"] for one in said
    }
    assert sorted(f"{one['ledger']}:{one['epoch']}:{one['sequence']}" for one in testbed["rests_on"]) == sorted(
        one["ledger_place"] for one in said
    )
    assert testbed["lead"] == "unicef"
    assert testbed["countries"] == ["MWI"]
    until(lambda: desk.again(proposal, "unicef")["testbed"] == testbed["id"], "the proposal names its testbed")
    until(lambda: desk.pilot(pilot, "unicef")["life"] == "forming", "the pilot follows")


def test_only_the_right_person_of_the_right_agency_answers_the_right_proposal(desk: Desk) -> None:
    desk.releases_itself("undp")
    desk.offers("unesco", "data.earth_observation", "KEN")
    proposal = desk.proposal(desk.registers("undp", "KEN", EARTH), "undp")

    officer = desk.says("unesco", "accept", proposal, role="officer")
    assert officer.status_code == 403
    assert "approver" in officer.json()["detail"]
    foreign = desk.as_("unhcr").post(
        f"/matching/v1/proposals/{proposal['id']}/responses",
        json={"agency": "unesco", "decision": "accept", "proposal_hash": proposal["hash"]},
    )
    assert foreign.status_code == 403
    assert "Nobody answers for another" in foreign.json()["detail"]
    assert desk.says("unhcr", "accept", proposal).status_code == 403
    stale = desk.says("unesco", "accept", {**proposal, "hash": "0" * 64})
    assert stale.status_code == 409
    assert stale.json()["current_hash"] == proposal["hash"]
    faulty = desk.says("unesco", "decline", proposal, reason="mood", units={"n9": 1}, words={"xx": "?"})
    assert faulty.status_code == 422
    assert {fault["field"] for fault in faulty.json()["errors"]} == {"reason", "units.n9", "words.xx"}
    personal = desk.says("unesco", "decline", proposal, words={"en": "Call Amina, +260 97 1234567"})
    assert [fault["code"] for fault in personal.json()["errors"]] == ["personal-data"]
    with desk.node.client() as nobody:
        assert nobody.post(f"/matching/v1/proposals/{proposal['id']}/responses", json={}).status_code == 401
    assert desk.says("unesco", "withdraw", proposal).status_code == 409
    assert desk.again(proposal, "undp")["invitations"][0]["status"] == "invited", "nothing was half done"

    assert desk.says("unesco", "interest", proposal, role="officer").status_code == 201
    assert invitation(desk.again(proposal, "undp"), "unesco")["status"] == "interest"


def test_a_decline_proposes_anew_without_the_decliner_and_keeps_who_accepted_the_same_part(desk: Desk) -> None:
    desk.releases_itself("ilo")
    desk.offers("fao", "data.earth_observation", "SEN")
    desk.offers("iom", "human.field_staff", "SEN", units=2, confirmed_on="2026-11-20")
    desk.offers("unfpa", "human.field_staff", "SEN", units=2, cost="paid")
    pilot = desk.registers("ilo", "SEN", EARTH, STAFF)
    first = desk.proposal(pilot, "ilo")
    assert partners(first) == ["fao", "iom"]

    desk.accepts("fao", first)
    assert desk.says("iom", "decline", first, reason="no_capacity").status_code == 201

    second = desk.proposal(pilot, "ilo", lambda one: one["supersedes"] == first["id"])
    assert partners(second) == ["fao", "unfpa"]
    assert invitation(second, "fao") | {"deadline": None, "response": None, "responded_at": None} == {
        "agency": "fao",
        "status": "accepted",
        "carried": True,
        "deadline": None,
        "response": None,
        "responded_at": None,
    }
    assert second["out"] == [{"agency": "iom", "why": "declined"}]
    superseded = until(
        lambda: next((one for one in desk.proposals(pilot, "ilo") if one["status"] == "superseded"), None), "superseded"
    )
    assert superseded["superseded_by"] == second["id"]
    late = desk.says("fao", "accept", first)
    assert late.status_code == 409
    assert late.json()["address"] == f"/matching/v1/proposals/{second['id']}"

    desk.accepts("unfpa", second)
    desk.accepts("ilo", second)
    assert [member["agency"] for member in desk.testbed(pilot, "ilo")["members"]] == ["ilo", "fao", "unfpa"]


def test_nobody_is_invited_before_the_lead_releases(desk: Desk) -> None:
    desk.offers("fao", "data.earth_observation", "GHA")
    pilot = desk.registers("unep", "GHA", EARTH)

    draft = desk.proposal(pilot, "unep", lambda one: one["status"] == "draft")
    assert draft["released"] is False
    assert draft["awaits"] == ["unep"]
    assert desk.proposals(pilot, "fao") == []
    assert desk.as_("fao").get(f"/matching/v1/proposals/{draft['id']}").status_code == 404
    path = f"/matching/v1/proposals/{draft['id']}/release"
    assert desk.as_("unep", "officer").post(path, json={"proposal_hash": draft["hash"]}).status_code == 403
    assert desk.as_("unep").post(path, json={"proposal_hash": "other"}).status_code == 409

    released = desk.as_("unep", "coordinator").post(path, json={"proposal_hash": draft["hash"]})
    assert released.status_code == 200, released.text
    assert released.json()["status"] == "open"
    assert desk.again(draft, "fao")["hash"] == draft["hash"]
    assert [
        one["id"] for one in desk.as_("fao").get("/matching/v1/proposals?invited=fao&country=GHA").json()["items"]
    ] == [draft["id"]]


def test_who_accepts_first_has_the_units_and_the_other_pilot_is_proposed_anew(desk: Desk) -> None:
    for lead in ("uncdf", "unctad"):
        desk.releases_itself(lead)
    desk.offers("unops", "human.field_staff", "UGA", units=1)
    one = desk.proposal(desk.registers("uncdf", "UGA", STAFF), "uncdf")
    other_pilot = desk.registers("unctad", "UGA", STAFF)
    other = desk.proposal(other_pilot, "unctad")
    assert partners(one) == partners(other) == ["unops"]

    desk.accepts("unops", one)

    refused = desk.says("unops", "accept", other)
    assert refused.status_code == 409, refused.text
    after = desk.proposal(other_pilot, "unctad", lambda one: one["supersedes"] == other["id"])
    assert after["status"] == "no_partner"
    assert after["uncovered"][0]["why"]["code"] == "no_capacity"

    desk.says("unops", "withdraw", one)
    again = desk.proposal(other_pilot, "unctad")
    assert partners(again) == ["unops"], "what was given back can be asked for again"


def test_no_meaningful_partner_is_said_and_counted_and_heals_when_somebody_offers(desk: Desk) -> None:
    desk.releases_itself("icao")
    pilot = desk.registers("icao", "BTN", {"code": "infra.drones"})

    none = desk.proposal(pilot, "icao", lambda one: one["status"] == "no_partner")
    assert none["no_partner"]["en"].startswith("No meaningful partner found")
    gaps = desk.as_("icao").get("/matching/v1/gaps", params={"country": "BTN"}).json()["items"]
    assert [(gap["code"], gap["pilots"], gap["why"]["code"]) for gap in gaps] == [
        ("infra.drones", [pilot], "nobody_offers")
    ]

    desk.offers("unops", "infra.drones", "BTN", units=4)
    assert partners(desk.proposal(pilot, "icao")) == ["unops"]
    assert desk.as_("icao").get("/matching/v1/gaps", params={"country": "BTN"}).json()["items"] == []


def test_words_and_questions_stay_in_the_circle_and_the_decision_is_for_all(desk: Desk) -> None:
    desk.releases_itself("unhcr")
    desk.offers("who", "data.earth_observation", "TCD")
    proposal = desk.proposal(desk.registers("unhcr", "TCD", EARTH), "unhcr")

    conditions = {"fr": "Après la saison des pluies."}
    assert desk.says("who", "accept_with_conditions", proposal, conditions=conditions).status_code == 201
    path = f"/matching/v1/responses?proposal={proposal['id']}"
    for reader in ("unhcr", "who"):
        assert [one["conditions"] for one in desk.as_(reader).get(path).json()["items"]] == [conditions]
    shared = until(lambda: desk.as_("ifad").get(path).json()["items"], "the mesh learns of it")
    assert [one["decision"] for one in shared] == ["accept_with_conditions"]
    assert "conditions" not in shared[0]

    asked = desk.as_("who", "officer").post(
        f"/matching/v1/proposals/{proposal['id']}/questions",
        json={"agency": "who", "proposal_hash": proposal["hash"], "question": {"en": "Which district?"}},
    )
    assert asked.status_code == 201, asked.text
    answered = desk.as_("unhcr", "officer").post(
        f"/matching/v1/proposals/{proposal['id']}/answers",
        json={"question": asked.json()["id"], "answer": {"en": "Ouaddaï."}},
    )
    assert answered.status_code == 201, answered.text
    assert [(one["question"], one["answer"]) for one in desk.again(proposal, "who")["questions"]] == [
        ({"en": "Which district?"}, {"en": "Ouaddaï."})
    ]
    assert desk.again(proposal, "ifad")["questions"] == []

    closing = desk.as_("unhcr").post(
        f"/matching/v1/proposals/{proposal['id']}/formation", json={"proposal_hash": proposal["hash"]}
    )
    assert closing.status_code == 201, closing.text
    assert [member["response"] for member in closing.json()["members"]][1] == shared[0]["id"]
    assert f"who.matching.{proposal['circle']}" in {one["ledger"] for one in closing.json()["rests_on"]}


def test_closing_early_is_refused_with_all_that_lacks(desk: Desk) -> None:
    desk.releases_itself("unido")
    desk.offers("itu", "data.earth_observation", "TGO")
    proposal = desk.proposal(desk.registers("unido", "TGO", EARTH), "unido")

    refused = desk.as_("unido").post(
        f"/matching/v1/proposals/{proposal['id']}/formation", json={"proposal_hash": proposal["hash"]}
    )
    assert refused.status_code == 409
    assert {fault["code"] for fault in refused.json()["errors"]} == {"one-more-un-entity", "essential-not-accepted"}
    assert desk.again(proposal, "unido")["awaits"] == ["unido", "itu"], "nothing was half done"


def test_the_same_answer_sent_twice_is_one_answer(desk: Desk) -> None:
    desk.releases_itself("wmo")
    desk.offers("unep", "data.earth_observation", "NPL")
    proposal = desk.proposal(desk.registers("wmo", "NPL", EARTH), "wmo")
    body = {"agency": "unep", "decision": "accept", "proposal_hash": proposal["hash"]}
    path, key = f"/matching/v1/proposals/{proposal['id']}/responses", {"Idempotency-Key": "one-click"}

    once, twice = (desk.as_("unep").post(path, json=body, headers=key) for _ in range(2))
    assert (once.status_code, twice.status_code) == (201, 201)
    assert once.json()["version"] == twice.json()["version"] == 1
    other = desk.as_("unep").post(path, json={**body, "decision": "decline"}, headers=key)
    assert other.status_code == 422
    assert other.json()["type"].endswith("idempotency-key-reused")


def test_a_member_suspends_its_own_part_at_once_and_takes_it_up_again(desk: Desk) -> None:
    desk.releases_itself("unfpa")
    desk.offers("undp", "data.earth_observation", "NER")
    pilot = desk.registers("unfpa", "NER", EARTH)
    proposal = desk.proposal(pilot, "unfpa")
    desk.accepts("undp", proposal)
    desk.accepts("unfpa", proposal)
    testbed = desk.testbed(pilot, "undp")
    path = f"/matching/v1/testbeds/{testbed['id']}/suspensions"

    assert desk.as_("unfpa").post(path, json={"agency": "undp", "reason": "Flood"}).status_code == 403
    assert desk.as_("undp", "officer").post(path, json={"agency": "undp", "reason": "Flood"}).status_code == 201

    def member(reader: str) -> dict[str, object]:
        told = desk.as_(reader).get(f"/matching/v1/testbeds/{testbed['id']}").json()
        return next(one for one in told["members"] if one["agency"] == "undp")

    assert member("unfpa")["suspended"]["reason"] == {"en": "Flood"}  # type: ignore[index]
    until(lambda: "suspended" in member("who"), "everybody knows that it is suspended")
    assert "reason" not in member("who")["suspended"]  # type: ignore[operator]
    assert desk.as_("undp").delete(f"{path}/undp").status_code == 200
    assert "suspended" not in member("unfpa")


def test_why_an_agency_was_not_asked_is_told_to_the_lead_and_to_itself(desk: Desk) -> None:
    desk.releases_itself("escap")
    desk.offers("fao", "data.earth_observation", "LAO", confirmed_on="2026-11-20")
    desk.offers("eca", "data.earth_observation", "LAO", cost="paid")
    pilot = desk.registers("escap", "LAO", EARTH)
    desk.proposal(pilot, "escap")

    told = [desk.as_(reader).get(f"/matching/v1/pilots/{pilot}/why-not?agency=eca") for reader in ("escap", "eca")]
    assert [answer.status_code for answer in told] == [200, 200]
    assert told[0].json() == told[1].json()
    assert told[0].json()["reasons"][1]["code"] == "fits_better"
    assert desk.as_("fao").get(f"/matching/v1/pilots/{pilot}/why-not?agency=eca").status_code == 403
    nothing = desk.as_("escap").get(f"/matching/v1/pilots/{pilot}/why-not?agency=iaea").json()
    assert nothing["rule"] == "offers_nothing_needed"


def test_an_agency_with_enough_open_invitations_is_asked_later_and_the_most_urgent_pilot_first(desk: Desk) -> None:
    desk.releases_itself("unodc")
    desk.releases_itself("ifad", open_invitations=1)
    desk.offers("ifad", "data.earth_observation", "LSO")
    groups = {"target_groups": ["extreme_poverty"], "people_reached": 900_000}
    pilots = [desk.registers("unodc", "LSO", EARTH, **more) for more in ({}, {"people_reached": 10}, groups)]
    first, small, large = (desk.proposal(pilot, "unodc") for pilot in pilots)
    assert [invitation(one, "ifad")["status"] for one in (first, small, large)] == ["invited", "waiting", "waiting"]
    assert large["priority"]["score"] > small["priority"]["score"]
    assert desk.says("ifad", "accept", small).status_code == 409

    desk.accepts("ifad", first)

    until(lambda: invitation(desk.again(large, "unodc"), "ifad")["status"] == "invited", "the next is invited")
    assert invitation(desk.again(small, "unodc"), "ifad")["status"] == "waiting"


def test_a_better_offer_leaves_an_open_proposal_alone_and_a_material_change_does_not(desk: Desk) -> None:
    desk.releases_itself("uncdf")
    worse = desk.offers("who", "data.earth_observation", "MOZ", cost="paid")
    pilot = desk.registers("uncdf", "MOZ", EARTH)
    proposal = desk.proposal(pilot, "uncdf")
    desk.accepts("who", proposal)

    desk.offers("fao", "data.earth_observation", "MOZ", confirmed_on="2026-11-20")
    other = desk.proposal(desk.registers("uncdf", "MOZ", EARTH), "uncdf")  # what came before has been dealt with
    assert partners(other) == ["fao"]
    unchanged = desk.again(proposal, "uncdf")
    assert (unchanged["status"], unchanged["version"]) == ("open", proposal["version"])
    assert unchanged["alternatives"][0]["newer"], "the better team is told as an alternative"
    assert unchanged["alternatives"][0]["team"] == ["uncdf", "fao"]

    def revise(**more: object) -> None:
        held = desk.pilot(pilot, "uncdf")
        answer = desk.as_("uncdf", "officer").patch(
            f"/registry/v1/pilots/{pilot}", json=more, headers={"If-Match": f'"{held["version"]}"'}
        )
        assert answer.status_code == 200, answer.text

    revise(title={"en": "Another title"})
    desk.proposal(desk.registers("uncdf", "MOZ", EARTH), "uncdf")
    assert desk.again(proposal, "uncdf")["status"] == "open", "a title is not material"

    revise(ends_on="2027-09-30")
    after = desk.proposal(pilot, "uncdf", lambda one: one["supersedes"] == proposal["id"])
    assert partners(after) == ["who"], "repair keeps who was there"
    assert invitation(after, "who")["status"] == "invited", "what rested on the old dates is asked anew"

    row = desk.as_("who", "officer").get(f"/registry/v1/capabilities/{worse}")
    gone = desk.as_("who", "officer").delete(
        f"/registry/v1/capabilities/{worse}", headers={"If-Match": row.headers["etag"]}
    )
    assert gone.status_code == 200, gone.text
    last = desk.proposal(pilot, "uncdf", lambda one: one["supersedes"] == after["id"])
    assert partners(last) == ["fao"]


def test_a_testbed_that_loses_its_only_partner_dissolves_and_the_pilot_is_matched_again(desk: Desk) -> None:
    desk.releases_itself("un-habitat")
    desk.offers("itu", "data.earth_observation", "CIV", confirmed_on="2026-11-20")
    desk.offers("who", "data.earth_observation", "CIV", cost="paid")
    pilot = desk.registers("un-habitat", "CIV", EARTH)
    proposal = desk.proposal(pilot, "un-habitat")
    desk.accepts("itu", proposal)
    desk.accepts("un-habitat", proposal)
    desk.testbed(pilot, "itu")
    formed = until(lambda: (now := desk.again(proposal, "itu"))["status"] == "formed" and now, "formed")
    until(lambda: desk.pilot(pilot, "itu")["life"] == "forming", "the pilot follows")

    assert desk.says("itu", "withdraw", formed).status_code == 201

    until(lambda: desk.testbed(pilot, "who")["status"] == "dissolved", "the testbed dissolves")
    again = desk.proposal(pilot, "un-habitat", lambda one: one["status"] == "open" and one["id"] != proposal["id"])
    assert partners(again) == ["who"]


def test_a_withdrawn_pilot_closes_its_proposal(desk: Desk) -> None:
    desk.releases_itself("unv")
    desk.offers("itu", "data.earth_observation", "BDI")
    pilot = desk.registers("unv", "BDI", EARTH)
    proposal = desk.proposal(pilot, "unv")
    held = desk.pilot(pilot, "unv")
    gone = desk.as_("unv", "officer").delete(
        f"/registry/v1/pilots/{pilot}", headers={"If-Match": f'"{held["version"]}"'}
    )
    assert gone.status_code == 200, gone.text
    until(lambda: desk.again(proposal, "itu")["status"] == "closed", "the proposal closes")
    assert desk.says("itu", "accept", proposal).status_code == 409


def test_rules_are_versioned_and_their_faults_come_all_at_once(desk: Desk) -> None:
    path = "/matching/v1/rules/unu"
    coordinator = desk.as_("unu", "coordinator")
    assert coordinator.get(path).json()["release"] == "lead"
    assert desk.as_("unu", "officer").put(path, json={"release": "auto"}).status_code == 403
    assert desk.as_("who", "coordinator").put(path, json={"release": "auto"}).status_code == 403
    faulty = coordinator.put(
        path,
        json={
            "release": "now",
            "invitation_days": 0,
            "weights": {"work_limit": 9, "floor": 7},
            "recusals": "all",
            "x": 1,
        },
    )
    assert faulty.status_code == 422
    assert {fault["field"] for fault in faulty.json()["errors"]} >= {
        *("release", "invitation_days", "weights.work_limit", "recusals", "x")
    }
    first = coordinator.put(path, json={"release": "auto", "weights": {"team_limit": 3}})
    assert first.status_code == 200, first.text
    assert coordinator.put(path, json={"release": "lead"}).status_code == 428
    assert coordinator.put(path, json={"release": "lead"}, headers={"If-Match": '"7"'}).status_code == 412
    assert (
        coordinator.put(path, json={"release": "lead"}, headers={"If-Match": first.headers["etag"]}).status_code == 200
    )
    assert coordinator.get(path).json()["version"] == 2


def test_who_recuses_itself_is_not_asked_and_an_open_proposal_goes_on_without_it(desk: Desk) -> None:
    desk.releases_itself("unaids")
    desk.offers("fao", "data.earth_observation", "COD", confirmed_on="2026-11-20")
    desk.offers("itu", "data.earth_observation", "COD", cost="paid")
    pilot = desk.registers("unaids", "COD", EARTH)
    proposal = desk.proposal(pilot, "unaids")
    assert partners(proposal) == ["fao"]

    desk.releases_itself("fao", recusals=[pilot])

    assert partners(desk.proposal(pilot, "unaids", lambda one: one["supersedes"] == proposal["id"])) == ["itu"]


def test_a_rebuild_shows_what_was_there(desk: Desk) -> None:
    desk.releases_itself("wipo")
    desk.offers("itu", "data.earth_observation", "JOR")
    pilot = desk.registers("wipo", "JOR", EARTH)
    proposal = desk.proposal(pilot, "wipo")
    desk.accepts("itu", proposal)
    before = desk.again(proposal, "wipo")

    with desk.node.client(desk.node.operator) as operator:
        rebuilt = operator.post("/matching/v1/rebuild")
        assert rebuilt.status_code == 200, rebuilt.text

    assert desk.again(proposal, "wipo") == before
    desk.accepts("wipo", proposal)
    assert desk.testbed(pilot, "wipo")["proposal"] == proposal["id"]
