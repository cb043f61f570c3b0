"""A dishonest member gives its own records the ids of others', on real nodes: everybody is shown, asked and counted as
themselves, and where an id alone is not enough, the node asks whose is meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from services.matching.domain import proposing
from shared.facts.keys import SigningKey
from shared.ledger.identity import ROSTER_LEDGER, Member
from tests.unit.facts.chains import Chain

from .across import STAFF
from .desk import partners
from .posting import running_pilot
from .running import until
from .two_nodes import Desks, Link, Mesh, carry

COPYIST = "imo"
"""A member whose own node is none of the two: what it signs is handed to both."""
Q3 = {"start": "2025-07-01", "end": "2025-09-30"}


class Dishonest:
    """An agency of the roster, with a right to its own ledgers, in which it writes what it likes."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.key = SigningKey.make()
        self.chains: dict[str, Chain] = {}
        mesh._issue(Member(COPYIST, self.key.public, SigningKey.make().public, "https://imo.example"))
        carry(mesh["a"], mesh["b"], ROSTER_LEDGER)

    def signs(self, service: str, kind: str, own_id: str, state: Mapping[str, Any], *nodes: str) -> None:
        """A record of its own with this id, taken in by these nodes (both, if none is named)."""
        ledger = f"{COPYIST}.{service}"
        if ledger not in self.chains:
            self.chains[ledger] = Chain(ledger=ledger, key=self.key, mesh=self.mesh["a"].identity.mesh)
        self.chains[ledger].add(state, kind=kind, subject=f"{kind}/{own_id}")
        for name in nodes or ("a", "b"):
            self.mesh[name].takes(self.chains[ledger].facts)

    def pilot(self, own_id: str, title: str, *nodes: str, **more: Any) -> None:
        state = {"id": own_id, "lead_agency": COPYIST, "title": {"en": title}, "countries": ["VUT"], "life": "open"}
        self.signs("registry", "pilot", own_id, {**state, "sdg_targets": ["14.2"], "needs": [], **more}, *nodes)


@pytest.fixture(scope="session")
def dishonest(mesh: Mesh, desks: Desks) -> Dishonest:
    return Dishonest(mesh)


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    told: dict[str, Any] = answer.json()
    return told


def test_a_pilot_whose_id_was_copied_is_shown_as_its_leads_and_never_as_the_copyists(
    mesh: Mesh, desks: Desks, link: Link, dishonest: Dishonest
) -> None:
    pilot = desks.a.registers("wfp", "SLB", STAFF)
    there = f"/registry/v1/pilots/{pilot}"
    fao, wfp = desks.b.as_("fao"), desks.a.as_("wfp")
    until(lambda: fao.get(there).is_success, "the pilot is known on the other node")
    dishonest.pilot(pilot, "Not the pilot you mean")
    until(lambda: fao.get(there).status_code == 409, "the copy is known there as well")

    asked = problem_of(fao.get(there))
    assert asked["claimants"] == [COPYIST, "wfp"]
    assert f"?agency={COPYIST}" in asked["detail"]
    for agency, title in (("wfp", "A pilot of wfp in SLB"), (COPYIST, "Not the pilot you mean")):
        told = fao.get(there, params={"agency": agency}).json()
        assert (told["agency"], told["title"]["en"]) == (agency, title)
        assert (
            fao.get(f"{there}/history", params={"agency": agency}).json()["items"][0]["ledger_place"].startswith(agency)
        )
    assert fao.get(there, params={"agency": "fao"}).status_code == 404
    listed = fao.get("/registry/v1/pilots", params={"ids": pilot, "limit": 1}).json()["items"]
    assert {one["agency"] for one in listed} == {"wfp", COPYIST}, "both stand on one page of the list"
    until(lambda: wfp.get("/registry/v1/pilots", params={"ids": pilot}).json()["items"][1:], "both are known at home")
    assert wfp.get(there).json()["agency"] == "wfp", "who asks for its own is shown its own"
    assert desks.a.revises(pilot, "wfp", summary={"en": "Still ours."}).status_code == 200

    token = mesh["b"].actor("fao", ["viewer"])
    page = mesh["b"].page(f"/pilots/{pilot}", token)
    assert page.status_code == 409
    assert f"/pilots/{pilot}?agency=wfp" in page.text
    assert "A pilot of wfp in SLB" in mesh["b"].page(f"/pilots/{pilot}?agency=wfp", token).text
    with mesh["b"].client(mesh["b"].operator) as operator:
        until(lambda: operator.get("/mesh/v1/status").json()["trouble"]["ids_claimed_by_several"], "the status says so")
        entries = operator.get("/mesh/v1/quarantine").json()["items"]
    assert [one for one in entries if one["code"] == "several_owners" and pilot in one["detail"] and one["remedy"]]


def test_a_proposal_that_was_foreseen_and_copied_is_answered_and_formed_as_its_leads(
    mesh: Mesh, desks: Desks, link: Link, dishonest: Dishonest
) -> None:
    """The copy is there before the proposal is made: its id follows from the pilot's, which everybody knows."""
    desks.a.releases_itself("undp")
    offer = desks.b.offers("unesco", STAFF["code"], "KIR", units=3)
    copied = {"id": offer, "agency": COPYIST, "title": {"en": "A copy"}, "countries": ["VUT"], "code": "data.health"}
    dishonest.signs("registry", "capability", offer, copied)
    link.cut()
    pilot = desks.a.registers("undp", "KIR", STAFF)
    foreseen = proposing.proposal_id("undp", pilot, None)
    dishonest.pilot(pilot, "A copy", life="draft")
    forged = {
        "id": foreseen,
        "lead": COPYIST,
        "pilot": pilot,
        "status": "open",
        "team": [
            {"agency": COPYIST, "role": "lead", "covers": []},
            {"agency": "unesco", "role": "partner", "covers": []},
        ],
        "agencies": [COPYIST, "unesco"],
        "invitations": [{"agency": "unesco", "status": "invited", "deadline": None}],
        "priority": {"score": 1},
        "hash": "0" * 64,
    }
    dishonest.signs("matching", "proposal", foreseen, forged)
    link.heal()
    unesco, undp = desks.b.as_("unesco"), desks.a.as_("undp")
    there = f"/matching/v1/proposals/{foreseen}"

    def of_lead() -> dict[str, Any] | None:
        answer = unesco.get(there, params={"agency": "undp"})
        told: dict[str, Any] = answer.json()
        return told if answer.is_success and told["status"] == "open" and "unesco" in partners(told) else None

    if until(lambda: undp.get(there).is_success and undp.get(there).json(), "it is proposed")["team"][1:] == []:
        desks.a.knows_offer(offer, "undp")
    proposal = until(of_lead, "the partner's node has the lead's proposal")
    until(lambda: unesco.get(there).status_code == 409, "and the copy")
    said = {"agency": "unesco", "decision": "accept", "proposal_hash": proposal["hash"]}
    assert unesco.post(f"{there}/responses", json=said).status_code == 409
    assert unesco.post(f"{there}/responses", json=said, params={"agency": COPYIST}).status_code == 409, "another hash"
    answer = unesco.post(f"{there}/responses", json=said, params={"agency": "undp"})
    assert answer.status_code == 201, answer.text
    assert (answer.json()["lead"], answer.json()["proposal"]) == ("undp", foreseen)

    def standing() -> str:
        return str(undp.get(there).json()["invitations"][0]["status"])

    until(lambda: standing() == "accepted", "the lead has the answer")
    desks.a.accepts("undp", undp.get(there).json())
    testbed = desks.b.testbed(pilot, "unesco")
    assert (testbed["agency"], testbed["agencies"]) == ("undp", ["undp", "unesco"])
    dishonest.signs(
        "matching", "testbed", testbed["id"], {**testbed, "agency": COPYIST, "lead": COPYIST, "status": "dissolved"}
    )
    until(
        lambda: unesco.get(f"/matching/v1/testbeds/{testbed['id']}").status_code == 409, "the copied testbed is known"
    )
    shown = unesco.get("/matching/v1/testbeds", params={"pilot": pilot, "lead": "undp"}).json()["items"]
    assert [one["status"] for one in shown] == ["formed"]
    until(lambda: undp.get(f"/registry/v1/pilots/{pilot}").json()["life"] == "forming", "the pilot follows its own")


def test_figures_are_counted_for_the_pilot_of_the_lead_whose_plan_they_were_made_for(
    mesh: Mesh, desks: Desks, link: Link, dishonest: Dishonest
) -> None:
    wfp = mesh["a"].client(mesh["a"].actor("wfp", ["officer", "monitor", "coordinator"]))
    fao = mesh["b"].client(mesh["b"].actor("fao", ["officer", "monitor", "coordinator"]))
    made = wfp.post("/registry/v1/pilots", json=running_pilot("wfp", countries=["COM"], needs=[]))
    assert made.status_code == 201, made.text
    pilot = made.json()["id"]
    until(lambda: wfp.get(f"/metrics/v1/pilots/{pilot}/results").is_success, "metrics knows the pilot")
    plan = {
        "code": "farmers-told",
        "title": {"en": "Farmers who got a warning"},
        "unit": "people",
        "measure": "sum",
        "calendar": "quarterly",
        "owner": "fao",
        "pilot": pilot,
    }
    answer = wfp.post("/metrics/v1/plans", json=plan)
    assert answer.status_code == 201, answer.text
    indicator = answer.json()["id"]
    until(lambda: fao.get(f"/metrics/v1/plans/{indicator}").is_success, "the other node has the plan")
    dishonest.pilot(pilot, "A copy", countries=["COM"], life="running", sites=[{"id": "s1", "country": "COM"}])
    dishonest.signs(
        "metrics",
        "plan",
        indicator,
        {**plan, "id": indicator, "agency": COPYIST, "about_people": False, "unit": "maps"},
    )
    until(lambda: fao.get(f"/metrics/v1/plans/{indicator}").status_code == 409, "the copied plan is known")

    row = {"id": "f1", "indicator": indicator, "pilot": pilot, "country": "COM", "period": Q3, "basis": "reported"}
    unsaid = fao.post("/metrics/v1/observations", json=[{**row, "value": 250}])
    assert unsaid.status_code == 422
    assert [(one["field"], one["code"]) for one in unsaid.json()["errors"]] == [("[0].lead", "several_owners")]
    said = fao.post("/metrics/v1/observations?wait=folded", json=[{**row, "value": 250, "lead": "wfp"}])
    assert said.status_code == 202, said.text

    def value(client: httpx.Client, **asked: str) -> float | None:
        results = client.get(f"/metrics/v1/pilots/{pilot}/results", params=asked).json()["results"]
        return results[0]["value"] if results else None

    until(lambda: value(wfp) == 250, "the lead counts what its partner published")
    until(lambda: value(fao, agency="wfp") == 250, "and tells it")
    assert value(fao, agency=COPYIST) is None
    country = fao.get("/metrics/v1/countries/COM").json()
    assert dict(zip(country["leads"], country["pilots"], strict=True)) == {"wfp": pilot, COPYIST: pilot}
    link.level()
    mine = [one for one in mesh["a"].store.after("fao.metrics", (1, 0), 1000) if pilot.encode() in (one.payload or b"")]
    assert {(one.state or {})["lead"] for one in mine if one.header.kind == "progress"} == {"wfp"}


def test_who_follows_a_country_is_not_told_of_anothers_pilot_because_its_id_was_copied(
    mesh: Mesh, desks: Desks, link: Link, dishonest: Dishonest
) -> None:
    desks.a.releases_itself("undp")
    pilot = desks.a.registers("undp", "TUV", STAFF)
    until(lambda: desks.b.as_("ifad").get(f"/registry/v1/pilots/{pilot}").is_success, "the pilot is known")
    dishonest.pilot(pilot, "A copy")
    until(lambda: desks.b.as_("ifad").get(f"/registry/v1/pilots/{pilot}").status_code == 409, "and its copy")
    desks.a.revises(pilot, "undp", title={"en": "Told anew"})
    events = desks.b.as_("ifad")

    def revised(country: str) -> list[Any]:
        found = events.get("/notifier/v1/events", params={"countries": country, "kinds": "pilot", "limit": 100})
        return [
            one
            for one in found.json()["items"]
            if one["event"]["subject"] == f"pilot/{pilot}" and ":undp:" in one["event"]["source"]
        ]

    until(lambda: len(revised("TUV")) >= 2, "who follows the pilot's country is told")
    assert revised("VUT") == []
