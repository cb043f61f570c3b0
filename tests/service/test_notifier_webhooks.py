"""Webhooks against real receivers: signed, tried again, recorded, and never told what is not theirs."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from .running import RunningNode, until
from .test_notifier_stream import register, register_and_journal, writing
from .webhook_receiver import Receiver, receiving


@pytest.fixture(scope="module")
def hook_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node whose webhooks may go to this machine, with nothing happening but what the test does."""
    running = RunningNode(tmp_path_factory.mktemp("hooks"), "mesh", "notifier", PILOTMESH_WEBHOOK_ALLOW_PRIVATE="true")
    try:
        node = running.start()
        node.host("wfp")
        node.host("fao")
        yield node
    finally:
        running.stop()


@pytest.fixture
def officer(hook_node: RunningNode) -> Iterator[httpx.Client]:
    with hook_node.client(hook_node.actor("wfp", ["officer"])) as client:
        yield client


def subscribe(client: httpx.Client, receiver: Receiver, **asked: Any) -> str:
    answer = client.post("/notifier/v1/subscriptions", json={"url": receiver.url, **asked})
    assert answer.status_code == 201, answer.text
    receiver.secret = answer.json()["secret"]
    return str(answer.json()["id"])


def deliveries(client: httpx.Client, **asked: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/notifier/v1/deliveries", params=asked).raise_for_status().json()["items"]
    return found


def remove(client: httpx.Client, subscription: str) -> None:
    assert client.delete(f"/notifier/v1/subscriptions/{subscription}").status_code == 204


def test_events_are_posted_signed_and_recorded(hook_node: RunningNode, officer: httpx.Client) -> None:
    with receiving() as receiver, writing(hook_node) as registry:
        register_and_journal(hook_node, registry, countries=["ZMB"])  # before the subscription: never told
        subscription = subscribe(officer, receiver, kinds=["pilot"], countries=["ZMB"], goals=["2"])
        register(registry, countries=["MWI"], sdg_targets=["2.3"])
        told = register(registry, countries=["ZMB"], sdg_targets=["2.3"], title={"en": "Early warning", "fr": "Alerte"})
        until(lambda: told in receiver.ids, "the notice arrives")
        notice = receiver.notices[0]
        assert notice.headers["content-type"] == "application/cloudevents+json"
        assert notice.event["type"] == "org.pilotmesh.pilot.registered.v1"
        assert notice.event["data"]["title"] == {"en": "Early warning", "fr": "Alerte"}
        (record,) = until(lambda: deliveries(officer, subscription=subscription, status="delivered"), "it is recorded")
        assert record["id"] == notice.headers["webhook-id"]
        assert record["event"] == told
        assert record["attempts"] == 1
        assert record["history"][0]["status"] == 204
        assert record["latency_ms"] >= 0
        assert record["next_try_at"] is None
        assert receiver.forged == []
        assert len(receiver.notices) == 1
        remove(officer, subscription)


def test_a_failed_notice_is_tried_again_with_the_same_id_until_it_is_taken(
    hook_node: RunningNode, officer: httpx.Client
) -> None:
    with receiving(lambda before: (500, {}) if before == 0 else (200, {})) as receiver, writing(hook_node) as registry:
        subscription = subscribe(officer, receiver, kinds=["pilot"])
        place = register(registry)
        until(lambda: receiver.notices, "the first attempt")
        (waiting,) = until(
            lambda: [one for one in deliveries(officer, subscription=subscription) if one["history"]], "it is recorded"
        )
        assert waiting["status"] == "waiting"
        assert waiting["next_try_at"] > waiting["history"][0]["at"]
        until(lambda: place in receiver.ids, "the second attempt")
        first, second = receiver.notices
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert first.event == second.event
        (record,) = until(lambda: deliveries(officer, subscription=subscription, status="delivered"), "it is recorded")
        assert [one["status"] for one in record["history"]] == [500, 200]
        remove(officer, subscription)


def test_a_receiver_that_wants_no_more_ends_its_subscription(hook_node: RunningNode, officer: httpx.Client) -> None:
    with receiving(lambda _: (410, {})) as receiver, writing(hook_node) as registry:
        subscription = subscribe(officer, receiver, kinds=["pilot"])
        register(registry)
        place = f"/notifier/v1/subscriptions/{subscription}"
        until(lambda: officer.get(place).json()["status"] == "ended", "the subscription ends")
        assert "410" in officer.get(place).json()["reason"]
        assert officer.post(f"{place}/resume").status_code == 409
        register_and_journal(hook_node, registry)
        until(lambda: deliveries(officer, subscription=subscription, status="dead"), "a dead letter is kept")
        assert len(receiver.notices) == 1


def test_a_receivers_wish_to_be_left_alone_for_a_while_is_heard(hook_node: RunningNode, officer: httpx.Client) -> None:
    with receiving(lambda _: (503, {"Retry-After": "3600"})) as receiver, writing(hook_node) as registry:
        subscription = subscribe(officer, receiver, kinds=["pilot"])
        register(registry)
        (record,) = until(
            lambda: [one for one in deliveries(officer, subscription=subscription) if one["history"]], "it is recorded"
        )
        assert record["next_try_at"][:13] > record["history"][0]["at"][:13], "an hour later"
        remove(officer, subscription)


def test_a_slow_receiver_holds_up_nobody_else(hook_node: RunningNode, officer: httpx.Client) -> None:
    with receiving() as slow, receiving() as quick, writing(hook_node) as registry:
        slow.is_slow.set()
        subscriptions = [subscribe(officer, slow, kinds=["pilot"]), subscribe(officer, quick, kinds=["pilot"])]
        places = [register(registry) for _ in range(30)]
        until(lambda: len(quick.ids) == 30, "the quick one is told everything", 20)
        assert slow.notices == []
        slow.is_slow.clear()
        slow.may_answer.set()
        until(lambda: set(slow.ids) == set(places), "the slow one as well, at last")
        assert sorted(quick.ids) == sorted(places), "each once"
        for subscription in subscriptions:
            remove(officer, subscription)


def test_another_agency_is_never_told_private_facts_nor_sees_subscriptions_and_records(
    hook_node: RunningNode, officer: httpx.Client
) -> None:
    with (
        receiving() as ours,
        receiving() as theirs,
        writing(hook_node) as registry,
        hook_node.client(hook_node.actor("fao", ["admin"])) as stranger,
    ):
        mine = subscribe(officer, ours, kinds=["pilot"])
        other = subscribe(stranger, theirs, kinds=["pilot"])
        hidden = register(registry, audience="private")
        seen = register(registry)
        until(lambda: set(ours.ids) == {hidden, seen}, "our own are told both")
        until(lambda: seen in theirs.ids, "the others what is the mesh's")
        assert theirs.ids == [seen]
        (record,) = deliveries(officer, event=hidden)
        for path in (f"subscriptions/{mine}", f"deliveries/{record['id']}"):
            assert stranger.get(f"/notifier/v1/{path}").status_code == 404
        for path in (
            f"subscriptions/{mine}/test",
            f"subscriptions/{mine}/pause",
            f"deliveries/{record['id']}/redelivery",
        ):
            assert stranger.post(f"/notifier/v1/{path}").status_code == 404
        assert stranger.delete(f"/notifier/v1/subscriptions/{mine}").status_code == 404
        listed = stranger.get("/notifier/v1/subscriptions").json()["items"]
        assert [one["id"] for one in listed] == [other]
        remove(officer, mine)
        remove(stranger, other)


def test_what_happens_in_a_pause_waits_or_is_skipped(hook_node: RunningNode, officer: httpx.Client) -> None:
    with receiving() as receiver, writing(hook_node) as registry:
        subscription = subscribe(officer, receiver, kinds=["pilot"])
        place = f"/notifier/v1/subscriptions/{subscription}"
        assert officer.post(f"{place}/pause").json()["status"] == "paused"
        kept = register(registry)
        until(lambda: deliveries(officer, event=kept, subscription=subscription), "it is planned")
        assert officer.post(f"{place}/test").status_code == 409
        assert receiver.notices == []
        assert officer.post(f"{place}/resume").json()["status"] == "active"
        until(lambda: receiver.ids == [kept], "it is told after the pause")
        officer.post(f"{place}/pause")
        skipped = register(registry)
        until(lambda: deliveries(officer, event=skipped, subscription=subscription), "it is planned")
        officer.post(f"{place}/resume", params={"skip": "true"})
        later = register(registry)
        until(lambda: later in receiver.ids, "what came later is told")
        assert receiver.ids == [kept, later]
        assert [one["status"] for one in deliveries(officer, event=skipped)] == ["cancelled"]
        remove(officer, subscription)


def test_a_delivery_can_be_asked_for_again(hook_node: RunningNode, officer: httpx.Client) -> None:
    with receiving() as receiver:
        subscription = subscribe(officer, receiver)
        sent = officer.post(f"/notifier/v1/subscriptions/{subscription}/test")
        assert sent.status_code == 202
        place = f"/notifier/v1/deliveries/{sent.json()['id']}"
        until(lambda: officer.get(place).json()["status"] == "delivered", "the test arrives")
        assert receiver.notices[0].event["type"] == "org.pilotmesh.test.sent.v1"
        assert officer.post(f"{place}/redelivery").status_code == 202
        until(lambda: len(receiver.notices) == 2, "it arrives again")
        assert receiver.notices[0].headers["webhook-id"] == receiver.notices[1].headers["webhook-id"]
        until(lambda: len(officer.get(place).json()["history"]) == 2, "both are on record")
        remove(officer, subscription)


def test_after_a_change_of_secrets_both_are_good_for_a_while(hook_node: RunningNode, officer: httpx.Client) -> None:
    with receiving() as receiver:
        subscription = subscribe(officer, receiver)
        place = f"/notifier/v1/subscriptions/{subscription}"
        fresh = officer.post(f"{place}/secret").json()["secret"]
        assert fresh != receiver.secret
        officer.post(f"{place}/test")
        until(lambda: len(receiver.notices) == 1, "signed with the old one")
        receiver.secret = fresh
        officer.post(f"{place}/test")
        until(lambda: len(receiver.notices) == 2, "and with the new one")
        assert receiver.forged == []
        assert "secret" not in officer.get(place).json()
        remove(officer, subscription)


def test_what_was_acknowledged_is_delivered_once_planned_through_a_kill(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    node = RunningNode(tmp_path_factory.mktemp("killed"), "mesh", "notifier", PILOTMESH_WEBHOOK_ALLOW_PRIVATE="true")
    try:
        node.start()
        token = node.actor("wfp", ["officer"])
        with receiving() as receiver:
            with node.client(token) as officer, writing(node) as registry:
                subscription = subscribe(officer, receiver, kinds=["pilot"])
                receiver.is_slow.set()
                places = [register(registry) for _ in range(12)]
                until(lambda: deliveries(officer, subscription=subscription), "some are planned, perhaps not all")
                node.kill()
            receiver.is_slow.clear()
            receiver.may_answer.set()
            node.start()
            with node.client(token) as officer:
                until(lambda: set(receiver.ids) >= set(places), "all arrive after the restart", 120)
                records = deliveries(officer, subscription=subscription, limit="200")
                assert sorted(one["event"] for one in records) == sorted(places), "each is planned exactly once"
    finally:
        node.stop()


def test_a_subscription_is_made_once_however_often_it_is_asked_for(officer: httpx.Client) -> None:
    asked = {"url": "https://example.org/hook"}
    answers = []
    lock = threading.Lock()

    def post() -> None:
        answer = officer.post("/notifier/v1/subscriptions", json=asked, headers={"Idempotency-Key": "only-once"})
        with lock:
            answers.append(answer)

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len({answer.json()["secret"] for answer in answers}) == 1
    other = officer.post(
        "/notifier/v1/subscriptions", json={"url": "https://example.org/2"}, headers={"Idempotency-Key": "only-once"}
    )
    assert other.status_code == 422
    assert "idempotency-key" in other.json()["type"]
    remove(officer, answers[0].json()["id"])


def test_faults_in_a_subscription_are_named_all_at_once(hook_node: RunningNode, officer: httpx.Client) -> None:
    bad = {"url": "ftp://x", "kinds": ["pilt"], "goals": "2", "secret": "whsec_c2hvcnQ=", "color": "red"}
    answer = officer.post("/notifier/v1/subscriptions", json=bad)
    assert answer.status_code == 422
    assert {one["field"] for one in answer.json()["errors"]} == {"url", "kinds[0]", "goals", "secret", "color"}
    own = "whsec_" + base64.b64encode(b"a secret that is long enough").decode()
    made = officer.post("/notifier/v1/subscriptions", json={"url": "https://example.org/", "secret": own})
    assert made.json()["secret"] == own
    remove(officer, made.json()["id"])
    with hook_node.client(hook_node.actor("wfp", ["viewer"])) as viewer:
        assert viewer.post("/notifier/v1/subscriptions", json={"url": "https://example.org/"}).status_code == 403


def test_without_the_operators_leave_nothing_is_sent_to_private_addresses(node: RunningNode) -> None:
    with receiving() as receiver, node.client(node.actor("wmo", ["officer"])) as officer:
        subscription = subscribe(officer, receiver)
        sent = officer.post(f"/notifier/v1/subscriptions/{subscription}/test").json()
        place = f"/notifier/v1/deliveries/{sent['id']}"
        history = until(lambda: officer.get(place).json()["history"], "the attempt is recorded")
        assert "no public address" in history[0]["error"]
        assert receiver.notices == []
        remove(officer, subscription)
