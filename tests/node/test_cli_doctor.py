"""`pilotmesh doctor` finds what fails silently, says the remedy, and mends nothing."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from deploy.cli import tokens
from deploy.nats.provision import PROVISIONER, connect, consumer_config, provision
from deploy.node.home import read_note
from shared.ledger.quarantine import Quarantine
from shared.settings import Settings
from tests.node.test_cli import run
from tests.service.running import RunningNode, until

Found = dict[str, list[Mapping[str, str]]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path_factory.mktemp("doctor"), "registry", "mesh")
    try:
        node.start()
        with node.client(node.actor("wfp", ["officer"])) as officer:
            for number in range(3):
                pilot = {"title": {"en": f"Pilot {number}"}, "draft": True, "lead_agency": "wfp"}
                assert officer.post("/registry/v1/pilots", json=pilot).status_code == 201
        with node.client(node.operator) as operator:
            until(lambda: not operator.get("/registry/v1/lag").json()["behind"], "the registry is level")
        yield node
    finally:
        node.stop()


@pytest.fixture
def node(running: RunningNode, monkeypatch: pytest.MonkeyPatch) -> RunningNode:
    monkeypatch.setenv("PILOTMESH_HOME", str(running.home))
    return running


@contextmanager
def database(node: RunningNode, service: str) -> Iterator[Database[dict[str, Any]]]:
    client: MongoClient[dict[str, Any]] = MongoClient(node.mongodb_uri, tz_aware=True)
    with client:
        yield client[Settings().database(service)]


def nats_of(node: RunningNode) -> Settings:
    return Settings(home=node.home, nats_url=read_note(node.home)["nats_url"])


def examined() -> tuple[int, Found]:
    """The exit status, and what is not well: state and remedy by subject."""
    told = run("doctor", "--json")
    found: Found = {}
    for finding in json.loads(told.stdout):
        if finding["state"] != "well":
            assert finding["remedy"], finding
            found.setdefault(finding["subject"], []).append(finding)
    return told.exit_code, found


def test_a_sound_node_is_found_sound(node: RunningNode) -> None:
    assert examined() == (0, {})
    told = run("doctor")
    assert told.exit_code == 0
    assert "wrong" not in told.stdout
    for subject in ("database", "clock", "streams", "relay", "folds", "keys", "quarantine", "roster", "disk"):
        assert f"{subject}: " in told.stdout


def test_a_key_that_others_can_read_is_named_with_its_remedy(node: RunningNode) -> None:
    key = node.home / "keys" / "wfp.key"
    key.chmod(0o644)
    try:
        status, found = examined()
    finally:
        key.chmod(0o600)
    assert (status, list(found)) == (1, ["secrets"])
    assert found["secrets"][0]["said"] == f"{key} has mode 0644"
    assert found["secrets"][0]["remedy"] == f"chmod 600 {key}"


def test_a_damaged_key_is_named(node: RunningNode) -> None:
    key = node.home / "keys" / "wfp.key"
    sound = key.read_text()
    key.write_text(sound[:20])
    try:
        status, found = examined()
    finally:
        key.write_text(sound)
    assert status == 1
    assert "wfp.key" in found["keys"][0]["said"]
    assert "backup" in found["keys"][0]["remedy"]


def test_a_lost_stream_and_a_changed_consumer_are_named(node: RunningNode) -> None:
    settings = nats_of(node)

    async def harm() -> None:
        connection = await connect(settings, PROVISIONER)
        await connection.jetstream().delete_stream("CIRCLES")
        changed = replace(consumer_config("matching"), max_ack_pending=7)
        await connection.jetstream().add_consumer("PRIVATE", changed)
        await connection.close()

    asyncio.run(harm())
    try:
        status, found = examined()
    finally:
        asyncio.run(provision(settings))
    assert status == 1
    assert [finding["said"] for finding in found["streams"]] == [
        "consumer PRIVATE/matching: max_ack_pending not as provisioned",
        "stream CIRCLES is missing",
    ]
    assert examined() == (0, {})


def test_a_fold_that_does_not_move_is_named(node: RunningNode) -> None:
    with database(node, "registry") as registry:
        cursor = registry["cursors"].find_one({"_id": "wfp.registry.private"})
        assert cursor is not None
        registry["cursors"].update_one({"_id": cursor["_id"]}, {"$inc": {"sequence": -2}})
        try:
            status, found = examined()
        finally:
            registry["cursors"].replace_one({"_id": cursor["_id"]}, cursor)
    assert status == 1
    assert found["folds"][0]["said"] == "registry is 2 facts behind in wfp.registry.private and does not move"
    assert "pilotmesh rebuild registry" in found["folds"][0]["remedy"]


def test_a_reaction_that_fails_again_and_again_is_named(node: RunningNode) -> None:
    with database(node, "registry") as registry:
        task = {"_id": "pilot|x", "touches": 1, "attempts": 9, "error": "no such pilot"}
        registry["work"].insert_one(task)
        try:
            status, found = examined()
        finally:
            registry["work"].delete_one({"_id": "pilot|x"})
    assert status == 1
    assert found["reactions"][0]["said"] == "registry: pilot|x (9 times): no such pilot"


def test_what_was_refused_is_shown_and_is_no_failure(node: RunningNode) -> None:
    with database(node, "node") as held:
        entries = held["quarantine"]
        Quarantine(entries).add(source="FACTS", kind="a", code="signature", detail="wfp.registry:1:9", content=b"x")
        try:
            status, found = examined()
        finally:
            entries.delete_many({})
    assert (status, list(found)) == (0, ["quarantine"])
    assert "signature: wfp.registry:1:9" in found["quarantine"][0]["said"]
    assert "Tell the agency" in found["quarantine"][0]["remedy"]


def test_a_lost_operator_token_is_named(node: RunningNode) -> None:
    file = tokens.path_in(node.home)
    sound = file.read_text()
    file.write_text("{}")
    try:
        status, found = examined()
    finally:
        file.write_text(sound)
    assert status == 1
    assert "operator's token" in found["tokens"][0]["said"]


def test_a_database_that_does_not_answer_is_named(node: RunningNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTMESH_MONGODB_URI", "mongodb://127.0.0.1:1/?directConnection=true")
    status, found = examined()
    assert status == 1
    assert "mongodb://127.0.0.1:1" in found["database"][0]["said"]


def test_a_node_that_does_not_run_is_examined_as_far_as_that_goes(
    node: RunningNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.stop()
    monkeypatch.setenv("PILOTMESH_PORT", str(node.port))
    assert examined() == (0, {})
    with socket.create_server(("127.0.0.1", node.port)):
        status, found = examined()
    node.start()
    assert (status, list(found)) == (1, ["port"])
    assert "PILOTMESH_PORT" in found["port"][0]["remedy"]


def test_a_home_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTMESH_HOME", str(tmp_path / "nowhere"))
    monkeypatch.setenv("PILOTMESH_PORT", "0")
    status, found = examined()
    assert (status, list(found)) == (0, ["home"])
    assert not (tmp_path / "nowhere").exists()
