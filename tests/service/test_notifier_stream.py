"""The stream over HTTP: who follows hears everything he may, once, in order, also through kills and restarts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from shared.ledger.appender import Appender
from shared.ledger.drafts import Author, Draft
from shared.ledger.identity import Identity
from shared.ledger.keyring import Keyring
from shared.ledger.ledger import Ledger
from shared.ledger.store import Document, LedgerStore
from shared.settings import Settings
from tests.node.ledgers import pilot

from .event_reader import EventReader
from .running import RunningNode, until

OFFICER = Author("0198c0de-0000-7000-8000-0000000000ac", "officer")


@pytest.fixture(scope="module")
def quiet_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node on which nothing happens but what the test does."""
    running = RunningNode(tmp_path_factory.mktemp("quiet"), "mesh", "notifier")
    try:
        node = running.start()
        node.host("wfp")
        node.host("fao")
        yield node
    finally:
        running.stop()


@contextmanager
def writing(node: RunningNode, service: str = "registry") -> Iterator[Ledger]:
    """Another process of the node that writes facts, as a replica of a service would."""
    client: MongoClient[Document] = MongoClient(node.mongodb_uri, tz_aware=True)
    store = LedgerStore(client, Settings(home=node.home).database("ledger"))
    keyring = Keyring(node.home / "keys")
    appender = Appender(store, keyring, Identity.read(node.home).mesh)
    appender.start()
    try:
        yield Ledger(service, store, appender, keyring)
    finally:
        appender.stop()
        client.close()


def register(ledger: Ledger, **state: Any) -> str:
    return ledger.record(pilot(**state)).fact.place


def register_and_journal(node: RunningNode, ledger: Ledger, **state: Any) -> str:
    """Registers a pilot and waits until it is in the journal: whoever subscribes afterwards is not told of it."""
    place = register(ledger, **state)
    with MongoClient[Document](node.mongodb_uri) as client:
        journal = client[Settings(home=node.home).database("notifier")]["journal"]
        until(lambda: journal.find_one({"event": place}), "it is journaled")
    return place


def journal_positions(node: RunningNode) -> list[int]:
    with MongoClient[Document](node.mongodb_uri) as client:
        journal = client[Settings(home=node.home).database("notifier")]["journal"]
        return [raw["_id"] for raw in journal.find({}, {"_id": 1}).sort("_id", 1)]


def test_what_happens_is_told_as_cloudevents_to_whoever_follows(quiet_node: RunningNode) -> None:
    reader = EventReader(quiet_node, quiet_node.actor("wfp", ["viewer"]), "?kinds=pilot").opened()
    with writing(quiet_node) as registry:
        place = register(registry, countries=["ZMB"], title={"en": "Crop-loss early warning"})
    event = reader.wait_for(1).events[0].data
    assert event["specversion"] == "1.0"
    assert event["id"] == place
    assert event["source"] == f"urn:pilotmesh:{Identity.read(quiet_node.home).mesh}:wfp:registry"
    assert event["type"] == "org.pilotmesh.pilot.registered.v1"
    assert event["subject"].startswith("pilot/")
    assert event["datacontenttype"] == "application/json"
    assert event["data"]["title"] == {"en": "Crop-loss early warning"}
    reader.close()


def test_a_stream_tells_only_what_was_asked_for(quiet_node: RunningNode) -> None:
    token = quiet_node.actor("wfp", ["viewer"])
    here = EventReader(quiet_node, token, "?countries=ZMB&kinds=pilot,testbed&goals=2").opened()
    theirs = EventReader(quiet_node, token, "?agencies=fao&kinds=pilot").opened()
    with writing(quiet_node) as registry:
        register(registry, countries=["MWI"], sdg_targets=["2.3"])
        register(registry, countries=["ZMB"], sdg_targets=["3.1"])
        wanted = register(registry, countries=["ZMB", "MWI"], sdg_targets=["2.3"])
        of_fao = register(registry, agency="fao", countries=["KEN"])
    assert here.wait_for(1).ids == [wanted]
    assert theirs.wait_for(1).ids == [of_fao]
    here.close()
    theirs.close()


def test_private_facts_never_reach_another_agency(quiet_node: RunningNode) -> None:
    own = EventReader(quiet_node, quiet_node.actor("wfp", ["viewer"]), "?kinds=pilot").opened()
    foreign = EventReader(quiet_node, quiet_node.actor("fao", ["admin"]), "?kinds=pilot").opened()
    operators = EventReader(quiet_node, quiet_node.operator, "?kinds=pilot").opened()
    with writing(quiet_node) as registry:
        hidden = register(registry, audience="private", title={"en": "Nobody's business"})
        circle = register(registry, audience="0198c0de-0000-7000-8000-00000000c1c1")
        seen = register(registry)
    assert set(own.wait_for(3).ids) == {hidden, circle, seen}, "between ledgers there is no order"
    assert foreign.wait_for(1).ids == [seen]
    assert operators.wait_for(1).ids == [seen]
    for token in (quiet_node.actor("fao", ["viewer"]), quiet_node.operator):
        with quiet_node.client(token) as client:
            listed = client.get("/notifier/v1/events?kinds=pilot&limit=200").text
            assert seen in listed
            assert hidden not in listed
            assert circle not in listed
    for reader in (own, foreign, operators):
        reader.close()


def test_a_reader_goes_on_where_it_left_off(quiet_node: RunningNode) -> None:
    token = quiet_node.actor("wfp", ["viewer"])
    first = EventReader(quiet_node, token, "?kinds=pilot").opened()
    silent = EventReader(quiet_node, token, "?kinds=lesson").opened()
    with writing(quiet_node) as registry:
        places = [register(registry) for _ in range(3)]
        first.wait_for(3).close()
        places += [register(registry) for _ in range(3)]
        again = EventReader(quiet_node, token, "?kinds=pilot", last_id=first.events[2].id)
        assert again.wait_for(3).ids == places[3:]
        by_query = EventReader(quiet_node, token, f"?kinds=pilot&last_event_id={first.events[0].id}")
        assert by_query.wait_for(5).ids == places[1:]
        never_heard = EventReader(quiet_node, token, "?kinds=pilot", last_id=silent.last_id)
        assert never_heard.wait_for(6).ids == places, "who heard nothing yet can resume as well"
    for reader in (again, by_query, never_heard, silent):
        reader.close()


def test_an_id_of_another_journal_is_answered_by_a_reset_and_everything(quiet_node: RunningNode) -> None:
    with writing(quiet_node) as registry:
        register(registry)
    token = quiet_node.actor("wfp", ["viewer"])
    for foreign in ("0123456789ab.3", "nonsense", "."):
        reader = EventReader(quiet_node, token, last_id=foreign).wait_for(1)
        reset = reader.heard[0]
        assert reset.name == "reset"
        assert reset.position == 0
        assert reader.events[0].position == 1
        reader.close()
    journal = reader.events[0].id.split(".")[0]
    beyond = EventReader(quiet_node, token, last_id=f"{journal}.999999").wait_for(1)
    assert beyond.heard[0].name == "reset", "a place that this journal has not reached is not its own"
    beyond.close()


def test_the_list_pages_through_the_same_events_and_says_where_the_stream_goes_on(quiet_node: RunningNode) -> None:
    token = quiet_node.actor("wfp", ["viewer"])
    with writing(quiet_node) as registry, quiet_node.client(token) as client:
        places = [register(registry) for _ in range(5)]
        until(lambda: places[-1] in client.get("/notifier/v1/events?limit=200&kinds=pilot").text, "all are there")
        listed, url, upto = [], "/notifier/v1/events?kinds=pilot&limit=2", ""
        while url:
            page = client.get(url).raise_for_status()
            assert len(page.json()["items"]) <= 2
            listed += [item["event"]["id"] for item in page.json()["items"]]
            upto = page.json()["upto"]
            url = page.links["next"]["url"] if page.json()["next"] else ""
        assert listed[-5:] == places
        reader = EventReader(quiet_node, token, f"?last_event_id={upto}").opened()
        following = register(registry)
        assert reader.wait_for(1).ids == [following]
        reader.close()


def test_bad_requests_name_every_fault_at_once(quiet_node: RunningNode) -> None:
    with quiet_node.client(quiet_node.actor("wfp", ["viewer"])) as client:
        answer = client.get("/notifier/v1/stream?kinds=pilt&countries=XX,ZMB&goals=18&agencies=W!")
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert [one["field"] for one in answer.json()["errors"]] == [
            "kinds[0]",
            "agencies[0]",
            "countries[0]",
            "goals[0]",
        ]
        assert client.get("/notifier/v1/stream?from=yesterday").status_code == 422
        assert client.get("/notifier/v1/events?cursor=%C3%A9").status_code == 422
        assert client.get("/notifier/v1/events?after=0.1").status_code == 422
    with quiet_node.client() as nobody:
        assert nobody.get("/notifier/v1/stream").status_code == 401
        assert nobody.get("/notifier/v1/events").status_code == 401


def test_the_stream_of_an_actor_who_left_ends(quiet_node: RunningNode) -> None:
    made = quiet_node.new_actor("wfp", ["viewer"])
    reader = EventReader(quiet_node, made["token"]).opened()
    with quiet_node.client(quiet_node.host("wfp")) as admin:
        assert admin.delete(f"/mesh/v1/actors/{made['id']}").status_code == 204
    assert reader.wait_until_ended().heard[-1].name == "end"
    assert EventReader(quiet_node, made["token"]).wait_until_ended().failures == [401]


def test_a_redacted_event_is_told_without_its_content(quiet_node: RunningNode) -> None:
    token = quiet_node.actor("wfp", ["viewer"])
    with writing(quiet_node) as registry:
        fact = registry.record(pilot(problem={"en": "call 0123 456789"})).fact
        header = fact.header
        named = {"epoch": header.epoch, "sequence": header.sequence, "subject": header.subject}
        reader = EventReader(quiet_node, token, "?kinds=pilot&from=start")
        until(lambda: fact.place in reader.ids, "it is told")
        registry.record(
            Draft(
                agency="wfp",
                service="registry",
                kind="fact",
                verb="redacted",
                id="0198c0de-0000-7000-8000-00000000f0f0",
                version=1,
                state={"facts": [named], "reason": "personal_data"},
                author=OFFICER,
            )
        )
        until(lambda: "fact.redacted.v1" in reader.types, "the redaction is told to who follows pilots")
    again = EventReader(quiet_node, token, "?kinds=pilot&from=start")
    event = until(lambda: [one.data for one in again.events if one.data["id"] == fact.place], "it is told again")[0]
    assert event["redacted"] is True
    assert "data" not in event
    reader.close()
    again.close()


@pytest.fixture
def mortal_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    running = RunningNode(tmp_path_factory.mktemp("mortal"), "mesh", "notifier")
    try:
        yield running.start()
    finally:
        running.stop()


def test_kills_in_mid_stream_lose_nothing_and_repeat_nothing(mortal_node: RunningNode) -> None:
    token = mortal_node.actor("wfp", ["viewer"])
    reader = EventReader(mortal_node, token, "?kinds=pilot", comes_back=True).opened()
    places: list[str] = []
    for kill in (True, True, False):
        with writing(mortal_node) as registry:
            stopping = threading.Event()

            def write(ledger: Ledger = registry, until_told: threading.Event = stopping) -> None:
                while not until_told.is_set():
                    if len(places) - len(reader.events) < 50:  # else the reader would be busy for long
                        places.append(register(ledger))

            writer = threading.Thread(target=write)
            writer.start()
            heard = len(reader.events)
            reader.wait_for(heard + 20)
            stopping.set()
            writer.join()
            if kill:
                places.append(register(registry))  # the node dies with this on its way
                mortal_node.kill()
        if kill:
            mortal_node.start()
    until(lambda: len(reader.events) >= len(places), f"all {len(places)} are heard, not only {len(reader.events)}")
    assert reader.ids == places
    assert not [one for one in reader.heard if one.name == "reset"]
    assert reader.connections == 3
    positions = journal_positions(mortal_node)
    assert positions == list(range(1, len(positions) + 1))
    reader.close()


def test_a_node_that_stops_ends_its_streams_properly(mortal_node: RunningNode) -> None:
    reader = EventReader(mortal_node, mortal_node.actor("wfp", ["viewer"])).opened()
    mortal_node.stop()
    assert reader.wait_until_ended().ended_well


def test_a_client_that_does_not_read_holds_nobody_up_and_costs_no_memory(quiet_node: RunningNode) -> None:
    token = quiet_node.actor("wfp", ["viewer"])
    with (
        quiet_node.client(token) as client,
        client.stream("GET", "/notifier/v1/stream?kinds=pilot&from=start") as lazy,
        writing(quiet_node) as registry,
    ):
        assert lazy.status_code == 200
        reader = EventReader(quiet_node, token, "?kinds=pilot").opened()
        text = "x" * 60_000
        places = [register(registry, title={"en": text}) for _ in range(120)]
        assert reader.wait_for(120).ids == places
        reader.close()
        heard = ""
        for part in lazy.iter_text():
            heard += part
            if places[-1] in heard:
                break
        assert all(place in heard for place in places), "it finds everything when it reads at last"
    assert httpx.get(f"{quiet_node.url}/notifier/readyz").status_code == 200
