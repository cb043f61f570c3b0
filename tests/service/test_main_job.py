"""The main job, from an officer's pilot to what a dashboard sees, over HTTP alone and through every real part.

The node exports its traces, so that the same test shows one trace from the request to the delivery.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from .desk import Desk
from .event_reader import EventReader
from .running import RunningNode, until
from .trace_collector import Collector, collecting
from .webhook_receiver import receiving

FIELD_STAFF = {"code": "human.field_staff"}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def observed_node(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[RunningNode]:
    running = RunningNode(
        tmp_path_factory.mktemp("main"),
        PILOTMESH_OTLP_ENDPOINT=collector.url,
        OTEL_BSP_SCHEDULE_DELAY="200",
        PILOTMESH_WEBHOOK_ALLOW_PRIVATE="true",
    )
    try:
        yield running.start()
    finally:
        running.stop()


def test_from_a_registered_pilot_to_a_testbed_with_results_while_a_dashboard_follows(
    observed_node: RunningNode,
) -> None:
    desk = Desk(observed_node)
    dashboard = EventReader(observed_node, observed_node.actor("unesco", ["viewer"])).opened()
    desk.releases_itself("fao")
    desk.offers("wfp", "human.field_staff", "ZMB", units=2)

    pilot = desk.registers("fao", "ZMB", FIELD_STAFF)
    proposal = desk.proposal(pilot, "fao")
    assert [member["agency"] for member in proposal["team"]] == ["fao", "wfp"]
    assert proposal["sentences"]["fr"][2].startswith("Le point le plus faible est")
    for agency in ("wfp", "fao"):
        desk.accepts(agency, proposal)
    testbed = desk.testbed(pilot, "wfp")
    until(lambda: desk.pilot(pilot, "fao")["life"] == "forming", "the pilot follows its testbed")

    reporter = observed_node.client(observed_node.actor("fao", ["officer", "monitor"]))
    plan = reporter.post(
        "/metrics/v1/plans",
        json={
            "pilot": pilot,
            "code": "warned",
            "title": {"en": "Farmers who were warned"},
            "unit": "people",
            "measure": "people_reached",
            "contributes_to": ["2.3"],
        },
    )
    assert plan.status_code == 201, plan.text
    period = {"start": "2026-01-01", "end": "2026-03-31"}
    seen = {"id": "q1", "indicator": plan.json()["id"], "pilot": pilot, "country": "ZMB", "period": period}
    done = reporter.post("/metrics/v1/observations?wait=folded", json=[{**seen, "value": 250, "basis": "reported"}])
    assert done.status_code == 202, done.text
    reach = desk.as_("wfp").get("/metrics/v1/countries/ZMB").json()["reach"]["direct"]
    assert (reach["lower"], reach["upper"]) == (250, 250)

    wanted = {"pilot.registered.v1", "response.accepted.v1", "testbed.formed.v1", "plan.registered.v1"}
    wanted |= {"progress.published.v1"}
    until(lambda: wanted <= set(dashboard.types), f"the dashboard sees {wanted - set(dashboard.types)}")
    assert not [name for name in dashboard.types if name.startswith(("observations.", "upload.", "snapshot."))]
    assert len(dashboard.ids) == len(set(dashboard.ids))
    formed = next(one for one in dashboard.events if one.data["type"].endswith("testbed.formed.v1"))
    assert formed.data["subject"] == f"testbed/{testbed['id']}"

    with observed_node.client(observed_node.operator) as operator:
        assert operator.post("/mesh/v1/verification").json()["proven"]
    dashboard.close()
    desk.close()


def test_one_trace_leads_from_the_request_through_ledger_and_fold_to_the_delivery(
    observed_node: RunningNode, collector: Collector
) -> None:
    desk = Desk(observed_node)
    trace = secrets.token_hex(16)
    with receiving() as receiver:
        subscription = desk.as_("who", "admin").post(
            "/notifier/v1/subscriptions", json={"url": receiver.url, "kinds": ["capability"]}
        )
        assert subscription.status_code == 201, subscription.text
        receiver.secret = subscription.json()["secret"]
        posted = desk.as_("who", "officer").post(
            "/registry/v1/capabilities",
            json={"agency": "who", "code": "data.health", "title": {"en": "Health facility data"}},
            headers={"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"},
        )
        assert posted.status_code == 201, posted.text
        until(lambda: receiver.notices, "the webhook is delivered")
        wanted = {
            "POST /registry/v1/capabilities",
            "relay",
            "fold registry",
            "fold matching",
            "fold notifier",
            "deliver",
        }
        until(lambda: wanted <= collector.names_in(trace), "every step is in the trace")
        assert trace in receiver.notices[0].headers["traceparent"]
    desk.close()
