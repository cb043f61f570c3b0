"""Metrics over HTTP: observations stay home, count once, and small groups stay unseen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from .posting import running_pilot
from .running import RunningNode, until

PLAN = {
    "code": "farmers-told",
    "title": {"en": "Farmers who got a warning"},
    "unit": "people",
    "measure": "people_reached",
    "contributes_to": ["2.3"],
    "baseline": {"value": 0, "on": "2025-07-01"},
    "target": {"value": 1000, "on": "2027-12-31"},
    "calendar": "quarterly",
    "dimensions": ["SEX"],
}
Q3 = {"start": "2025-07-01", "end": "2025-09-30"}
Q4 = {"start": "2025-10-01", "end": "2025-12-31"}


class Reporter:
    """Somebody who reports for one agency about one pilot of its own."""

    def __init__(self, node: RunningNode, agency: str, **changes: Any) -> None:
        self.client = node.client(node.actor(agency, ["officer", "monitor"]))
        made = self.client.post("/registry/v1/pilots", json=running_pilot(agency, **changes))
        assert made.status_code == 201, made.text
        self.pilot: str = made.json()["id"]
        until(lambda: self.client.get(f"/metrics/v1/pilots/{self.pilot}/results").is_success, "metrics knows the pilot")

    def plan(self, **changes: Any) -> str:
        answer = self.client.post("/metrics/v1/plans", json={**PLAN, "pilot": self.pilot, **changes})
        assert answer.status_code == 201, answer.text
        plan_id: str = answer.json()["id"]
        return plan_id

    def row(self, indicator: str, row_id: str, value: float, period: dict[str, str], **more: Any) -> dict[str, Any]:
        where = {"indicator": indicator, "pilot": self.pilot, "country": "ZMB", "period": period}
        return {"id": row_id, "value": value, "basis": "reported", **where, **more}

    def hand_in(self, rows: Any, **headers: str) -> httpx.Response:
        return self.client.post("/metrics/v1/observations?wait=folded", json=rows, headers=headers)

    def results(self) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = self.client.get(f"/metrics/v1/pilots/{self.pilot}/results").json()["results"]
        return told


@pytest.fixture
def reporter(node: RunningNode) -> Reporter:
    return Reporter(node, "wfp")


@pytest.fixture(scope="module")
def elsewhere(node: RunningNode) -> httpx.Client:
    return node.client(node.actor("fao", ["officer", "monitor", "coordinator", "approver", "admin"]))


def test_an_upload_is_counted_once_however_often_it_is_sent(reporter: Reporter) -> None:
    indicator = reporter.plan()
    rows = [reporter.row(indicator, "a", 40, Q3), reporter.row(indicator, "b", 60, Q4)]
    first = reporter.hand_in(rows, **{"Idempotency-Key": reporter.pilot})
    assert first.status_code == 202, first.text
    assert first.json()["folded"] is True
    again = reporter.hand_in(rows, **{"Idempotency-Key": reporter.pilot})
    assert (again.status_code, again.json()["upload"]) == (202, first.json()["upload"])
    assert reporter.hand_in(rows[:1], **{"Idempotency-Key": reporter.pilot}).status_code == 422
    listed = reporter.client.get("/metrics/v1/observations", params={"indicator": indicator}).json()
    assert [row["id"] for row in listed["items"]] == ["a", "b"]


def test_a_correction_supersedes_what_it_names(reporter: Reporter) -> None:
    indicator = reporter.plan(measure="sum")
    reporter.hand_in([reporter.row(indicator, "wrong", 400, Q3)])
    assert reporter.results()[0]["value"] == 400
    lines = json.dumps(reporter.row(indicator, "right", 40, Q3, supersedes="wrong")) + "\n\n"
    done = reporter.client.post(
        "/metrics/v1/observations?wait=folded", content=lines, headers={"Content-Type": "application/x-ndjson"}
    )
    assert done.status_code == 202, done.text
    assert reporter.results()[0]["value"] == 40


def test_faults_of_an_upload_name_row_and_field_and_nothing_of_it_is_kept(reporter: Reporter) -> None:
    indicator = reporter.plan()
    rows = [
        reporter.row(indicator, "good", 5, Q3),
        reporter.row(indicator, "sex", 5, Q4, disaggregation={"SEX": "X9"}),
        reporter.row(indicator, "less", -5, {"start": "2026-01-01", "end": "2026-03-31"}),
        reporter.row("no-such-plan", "lost", 5, Q3),
        reporter.row(indicator, "when", 5, {"start": "2026-04-01", "end": "2026-01-01"}),
    ]
    answer = reporter.hand_in(rows)
    assert answer.status_code == 422
    fields = {error["field"] for error in answer.json()["errors"]}
    assert {"[1].disaggregation.SEX", "[2].value", "[3].indicator", "[4].period.end"} <= fields
    assert reporter.client.get("/metrics/v1/observations", params={"indicator": indicator}).json()["items"] == []


def test_a_broken_line_of_ndjson_is_named_by_its_number(reporter: Reporter) -> None:
    content = b'{"id": "a"}\nnot json\n'
    answer = reporter.client.post(
        "/metrics/v1/observations", content=content, headers={"Content-Type": "application/x-ndjson"}
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "[1]"


def test_raw_observations_are_read_by_their_agency_alone(reporter: Reporter, elsewhere: httpx.Client) -> None:
    indicator = reporter.plan()
    secret = 734291
    reporter.hand_in(
        [reporter.row(indicator, "a", secret, Q3), reporter.row(indicator, "s", 3, Q3, disaggregation={"SEX": "F"})]
    )
    assert elsewhere.get("/metrics/v1/observations", params={"indicator": indicator}).json()["total"] == 0
    told = elsewhere.get(f"/metrics/v1/pilots/{reporter.pilot}/results").json()
    assert told["source"] == "published"
    assert "questions" not in told
    own = reporter.client.get(f"/metrics/v1/pilots/{reporter.pilot}/results").json()
    assert own["source"] == "private"
    events = elsewhere.get("/notifier/v1/events", params={"agencies": "wfp", "limit": 200}).text
    assert '"observations"' not in events
    assert "observations.recorded" not in events


def test_small_cells_are_withheld_from_what_is_published_and_from_every_later_edition(
    reporter: Reporter, elsewhere: httpx.Client
) -> None:
    indicator = reporter.plan()
    rows = [
        reporter.row(indicator, "all", 100, Q3),
        reporter.row(indicator, "f", 96, Q3, disaggregation={"SEX": "F"}),
        reporter.row(indicator, "m", 4, Q3, disaggregation={"SEX": "M"}),
    ]
    reporter.hand_in(rows)

    def published() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = elsewhere.get("/metrics/v1/progress", params={"pilot": reporter.pilot}).json()[
            "items"
        ]
        return items

    first = until(published, "progress is published")[0]
    shown = {tuple(f["disaggregation"].items()): f["value"] for f in first["figures"] if f["state"] == "shown"}
    assert (("SEX", "M"),) not in shown
    assert not {(), (("SEX", "F"),)} <= set(shown), "a whole and its other part would give the small cell away"
    reporter.hand_in([reporter.row(indicator, "all-2", 97, Q3, supersedes="all")])
    editions = published()
    values = [
        {(f["place"], tuple(f["disaggregation"].items())): f["value"] for f in e["figures"] if f["value"] is not None}
        for e in editions
    ]
    wholes = {value for each in values for (_, codes), value in each.items() if not codes}
    assert len(wholes) <= 1, "two editions whose difference is 3 people must not both be seen"


def test_reach_counts_each_person_once_between_bounds(node: RunningNode) -> None:
    """Two pilots in one country: at least the larger, at most the sum; one agency declares that they share."""
    one, two = (Reporter(node, "unesco", countries=["VUT"], needs=[]) for _ in range(2))
    for reporter, value in ((one, 300), (two, 120)):
        indicator = reporter.plan()
        row = {**reporter.row(indicator, "all", value, Q3), "country": "VUT"}
        assert reporter.hand_in([row]).status_code == 202
    reach = one.client.get("/metrics/v1/countries/VUT").json()["reach"]["direct"]
    assert (reach["lower"], reach["upper"]) == (300, 420)
    plan = one.client.get("/metrics/v1/plans", params={"pilot": one.pilot}).json()["items"][0]
    shared = one.client.put(
        f"/metrics/v1/plans/{plan['id']}",
        json={**PLAN, "pilot": one.pilot, "shared_reach_with": [two.pilot]},
        headers={"If-Match": f'"{plan["version"]}"'},
    )
    assert shared.status_code == 200, shared.text

    def tightened() -> bool:
        told = one.client.get("/metrics/v1/countries/VUT").json()["reach"]["direct"]
        return (told["lower"], told["upper"]) == (300, 300)

    until(tightened, "shared reach tightens the bounds")


def test_a_large_upload_spans_facts_and_folds_the_same_after_a_rebuild(node: RunningNode, reporter: Reporter) -> None:
    indicator = reporter.plan(measure="latest", unit="sites", calendar="yearly")
    rows = [
        {**reporter.row(indicator, f"r{n}", n, Q3), "disaggregation": {}, "country": None, "method": {"en": "x" * 300}}
        | {"period": {"start": f"{2000 + n // 300}-{n % 12 + 1:02d}-{n // 12 % 25 + 1:02d}", "end": "2026-06-30"}}
        for n in range(1500)
    ]
    done = reporter.hand_in(rows)
    assert done.status_code == 202, done.text
    assert done.json()["parts"] > 1
    upload = reporter.client.get(f"/metrics/v1/uploads/{done.json()['upload']}").json()
    assert (upload["status"], upload["rows"]) == ("complete", 1500)
    before = reporter.results()
    with node.client(node.operator) as operator:
        assert operator.post("/metrics/v1/rebuild").status_code == 200
    until(lambda: reporter.results() == before, "the rebuilt figures equal those before")


def test_an_actor_without_the_role_hands_in_nothing(node: RunningNode) -> None:
    with node.client(node.actor("wfp", ["viewer"])) as viewer:
        answer = viewer.post("/metrics/v1/observations", json=[{"id": "a"}])
        assert answer.status_code == 403
        assert "monitor" in answer.json()["detail"]


def test_the_sample_observations_are_taken_as_they_are(node: RunningNode) -> None:
    folder = Path(__file__).parents[2] / "examples" / "portfolio"
    sample = yaml.safe_load((folder / "observations" / "agency-a-market-days.yaml").read_text())
    post = yaml.safe_load((folder / "pilots" / "agency-a-market-days.yaml").read_text())
    clerk = node.client(node.actor("agency-a", ["officer", "monitor"]))
    pilot = clerk.post("/registry/v1/pilots", json=post).json()["id"]
    until(lambda: clerk.get(f"/metrics/v1/pilots/{pilot}/results").is_success, "metrics knows the pilot")
    ids = {}
    for plan in sample["plans"]:
        ids[plan["code"]] = clerk.post("/metrics/v1/plans", json={**plan, "pilot": pilot}).json()["id"]
    for part in ("observations", "corrections"):
        rows = [{**row, "pilot": pilot, "indicator": ids[row["indicator"]]} for row in sample[part]]
        done = clerk.post("/metrics/v1/observations?wait=folded", json=rows)
        assert done.status_code == 202, done.text
    told = clerk.get(f"/metrics/v1/pilots/{pilot}/results").json()["results"]
    assert {one["code"]: one["status"] for one in told} == {"sellers-told": "behind", "price-known": "behind"}


def test_progress_of_a_private_pilot_stays_in_the_agency(node: RunningNode, elsewhere: httpx.Client) -> None:
    secret = Reporter(node, "ohchr", visibility="private")
    indicator = secret.plan()
    secret.hand_in([secret.row(indicator, "all", 400, Q3)])
    own = until(
        lambda: secret.client.get("/metrics/v1/progress", params={"pilot": secret.pilot}).json()["items"],
        "the agency itself reads its progress",
    )
    assert {one["audience"] for one in own} == {"private"}
    assert elsewhere.get("/metrics/v1/progress", params={"pilot": secret.pilot}).status_code == 404
    assert elsewhere.get("/metrics/v1/plans", params={"pilot": secret.pilot}).json()["items"] == []
    assert secret.pilot not in elsewhere.get("/notifier/v1/events", params={"agencies": "ohchr"}).text


def test_words_that_name_people_do_not_leave_the_agency(node: RunningNode, elsewhere: httpx.Client) -> None:
    reporter = Reporter(node, "ohchr")
    told = reporter.client.post(
        "/metrics/v1/plans",
        json={**PLAN, "pilot": reporter.pilot, "title": {"en": "Ask Mary on +260 977 123 456 how many"}},
    )
    assert told.status_code == 422
    assert told.json()["errors"][0] == {
        "field": "title.en",
        "code": "personal-data",
        "detail": "A telephone number was found: take it out.",
    }
    indicator = reporter.plan()
    silent = [{"dimension": "AGE", "reason": "not_asked", "note": "Mary said so"}]
    reporter.hand_in([reporter.row(indicator, "all", 400, Q3, not_collected=silent)])
    published = until(
        lambda: elsewhere.get("/metrics/v1/progress", params={"pilot": reporter.pilot}).json()["items"],
        "progress is published",
    )
    assert published[0]["not_collected"] == [{"dimension": "AGE", "reason": "not_asked"}]


def test_an_agency_sets_its_own_threshold(node: RunningNode, elsewhere: httpx.Client) -> None:
    admin = node.client(node.actor("ohchr", ["admin"]))
    wrong = admin.post("/registry/v1/agencies", json={"slug": "ohchr", "small_cell": "5"})
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["field"] == "small_cell"
    assert admin.post("/registry/v1/agencies", json={"slug": "ohchr", "small_cell": 50}).status_code == 201
    reporter = Reporter(node, "ohchr")
    indicator = reporter.plan()
    reporter.hand_in([reporter.row(indicator, "all", 49, Q3), reporter.row(indicator, "more", 51, Q4)])
    published = until(
        lambda: elsewhere.get("/metrics/v1/progress", params={"pilot": reporter.pilot}).json()["items"],
        "progress is published",
    )
    assert [(one["period"]["start"], one["threshold"]) for one in published] == [("2025-10-01", 50)]


def test_a_hopeless_upload_is_not_read_to_its_end(reporter: Reporter) -> None:
    answer = reporter.hand_in([{"indicator": "x"}] * 20_000)
    assert answer.status_code == 422
    errors = answer.json()["errors"]
    assert len(errors) < 300
    assert "not looked at" in " ".join(error["detail"] for error in errors)


def test_figures_stay_within_what_can_be_added_up(reporter: Reporter) -> None:
    indicator = reporter.plan(measure="sum", unit="kg")
    answer = reporter.hand_in([reporter.row(indicator, "huge", 1.7e308, Q3)])
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "[0].value"
