"""Observations of one testbed made on two nodes: raw rows stay on each, what is published adds up on the lead's."""

from __future__ import annotations

from typing import Any

import httpx

from .across import facts_of
from .posting import running_pilot
from .running import until
from .two_nodes import Desks, Link, Mesh

Q3 = {"start": "2025-07-01", "end": "2025-09-30"}
PLAN = {
    "code": "farmers-told",
    "title": {"en": "Farmers who got a warning"},
    "unit": "people",
    "measure": "sum",
    "contributes_to": ["2.3"],
    "calendar": "quarterly",
    "dimensions": ["SEX"],
}


class Shared:
    """A pilot of wfp at `a` in two countries; in the second, fao at `b` owns the figures."""

    def __init__(self, mesh: Mesh, own: str, partners: str) -> None:
        self.mesh, self.own, self.partners = mesh, own, partners
        self.wfp = mesh["a"].client(mesh["a"].actor("wfp", ["officer", "monitor", "coordinator"]))
        self.fao = mesh["b"].client(mesh["b"].actor("fao", ["officer", "monitor", "coordinator"]))
        made = self.wfp.post("/registry/v1/pilots", json=running_pilot("wfp", countries=[own, partners], needs=[]))
        assert made.status_code == 201, made.text
        self.pilot: str = made.json()["id"]
        until(lambda: self.wfp.get(f"/metrics/v1/pilots/{self.pilot}/results").is_success, "metrics knows the pilot")
        plan = self.wfp.post("/metrics/v1/plans", json={**PLAN, "pilot": self.pilot, "owners": {partners: "fao"}})
        assert plan.status_code == 201, plan.text
        self.indicator: str = plan.json()["id"]
        until(lambda: self.fao.get(f"/metrics/v1/plans/{self.indicator}").is_success, "the other node has the plan")

    def hand_in(self, client: httpx.Client, country: str, number: str, value: int, **more: Any) -> None:
        row = {"id": number, "indicator": self.indicator, "pilot": self.pilot, "country": country, "period": Q3}
        answer = client.post(
            "/metrics/v1/observations?wait=folded", json=[{**row, "value": value, "basis": "reported", **more}]
        )
        assert answer.status_code == 202, answer.text

    def told(self, client: httpx.Client) -> dict[str, Any]:
        found: dict[str, Any] = client.get(f"/metrics/v1/pilots/{self.pilot}/results").json()
        return found

    def value(self, client: httpx.Client) -> float | None:
        results = self.told(client)["results"]
        return results[0]["value"] if results else None


def test_each_reports_at_home_and_the_sum_is_the_same_on_both_nodes(mesh: Mesh, desks: Desks, link: Link) -> None:
    shared = Shared(mesh, "GHA", "TGO")
    shared.hand_in(shared.wfp, "GHA", "w1", 400)
    shared.hand_in(shared.fao, "TGO", "f1", 250)

    until(lambda: shared.value(shared.wfp) == 650, "the lead counts its own and what fao published")
    assert shared.told(shared.wfp)["sources"] == {"fao": "published", "wfp": "private"}
    until(lambda: shared.value(shared.fao) == 650, "fao's node tells the lead's published figures")
    assert shared.told(shared.fao)["source"] == "published"
    there = shared.fao.get("/metrics/v1/countries/TGO").json()
    assert there["basis"] == {"published": "what the agency published, with small groups withheld"}
    here = shared.wfp.get("/metrics/v1/countries/TGO").json()
    assert set(here["basis"]) == {"private", "published"}
    assert here["pilots"] == there["pilots"] == [shared.pilot]


def test_raw_rows_never_leave_their_node(mesh: Mesh, desks: Desks, link: Link) -> None:
    shared = Shared(mesh, "SEN", "GMB")
    shared.hand_in(shared.wfp, "SEN", "w1", 37, disaggregation={"SEX": "F"})
    shared.hand_in(shared.fao, "GMB", "f1", 4, disaggregation={"SEX": "F"})
    shared.hand_in(shared.fao, "GMB", "f2", 90)
    until(lambda: shared.value(shared.wfp), "figures are published")
    link.level()
    for node, foreign in (("a", "fao"), ("b", "wfp")):
        ledgers = mesh[node].store.ledgers()
        assert not [one for one in ledgers if one.startswith(f"{foreign}.") and one.endswith(".private")]
        kinds = {
            fact.header.kind for one in ledgers if one == f"{foreign}.metrics" for fact in facts_of(mesh[node], one)
        }
        assert kinds <= {"plan", "progress"}
    asked = {"indicator": shared.indicator}
    assert {one["id"] for one in shared.wfp.get("/metrics/v1/observations", params=asked).json()["items"]} == {"w1"}
    assert {one["id"] for one in shared.fao.get("/metrics/v1/observations", params=asked).json()["items"]} == {
        "f1",
        "f2",
    }
    published = shared.wfp.get("/metrics/v1/progress", params={"pilot": shared.pilot}).json()["items"]
    women = [
        figure
        for edition in published
        if edition["agency"] == "fao"
        for figure in edition["figures"]
        if figure["disaggregation"].get("SEX") == "F"
    ]
    assert [one["state"] for one in women] == ["withheld"], "four women are too few to be told of"


def test_a_partners_correction_reaches_the_lead_as_its_next_edition(mesh: Mesh, desks: Desks, link: Link) -> None:
    shared = Shared(mesh, "MLI", "NER")
    shared.hand_in(shared.wfp, "MLI", "w1", 100)
    with link.down():
        shared.hand_in(shared.fao, "NER", "f1", 2000)
        assert shared.value(shared.wfp) == 100
    until(lambda: shared.value(shared.wfp) == 2100, "what was published meanwhile arrives")
    shared.hand_in(shared.fao, "NER", "f2", 200, supersedes="f1")
    until(lambda: shared.value(shared.wfp) == 300, "the correction replaces it")
    until(lambda: shared.value(shared.fao) == 300, "on both nodes")
