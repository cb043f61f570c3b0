"""`pilotmesh verify` proves what is right and names the first fact that is not, with the node running or stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bson import Binary
from pymongo import MongoClient
from pymongo.collection import Collection

from deploy.cli.store import database
from shared.settings import Settings
from tests.node.test_cli import run
from tests.service.running import RunningNode, until

LEDGER = "wfp.registry.private"
FACTS = 6
Facts = Collection[dict[str, Any]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node with one agency and six pilots."""
    made = RunningNode(tmp_path_factory.mktemp("proof"), "registry", "mesh")
    try:
        made.start()
        with made.client(made.actor("wfp", ["officer"])) as officer:
            for number in range(FACTS):
                pilot = {"title": {"en": f"Pilot {number}"}, "draft": True, "lead_agency": "wfp"}
                answer = officer.post("/registry/v1/pilots", json=pilot)
                assert answer.status_code == 201, answer.text
        yield made
    finally:
        made.stop()


@pytest.fixture
def node(running: RunningNode, monkeypatch: pytest.MonkeyPatch) -> RunningNode:
    monkeypatch.setenv("PILOTMESH_HOME", str(running.home))
    return running


@contextmanager
def damage(facts: Facts, sequence: int, change: Mapping[str, Any] | None) -> Iterator[None]:
    """The fact changed, or taken out; as it was when this ends."""
    place = {"ledger": LEDGER, "epoch": 1, "sequence": sequence}
    before = facts.find_one(place)
    assert before is not None
    if change is None:
        facts.delete_one(place)
    else:
        facts.update_one(place, {"$set": change})
    try:
        yield
    finally:
        facts.replace_one({"_id": before["_id"]}, before, upsert=True)


@contextmanager
def facts_of(settings: Settings) -> Iterator[Facts]:
    client: MongoClient[dict[str, Any]] = MongoClient(settings.mongodb_uri)
    with client:
        yield client[settings.database("ledger")]["facts"]


def verified() -> tuple[int, dict[str, Any]]:
    told = run("verify", "--json")
    return told.exit_code, json.loads(told.stdout)


def told_of(proof: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = next(one for one in proof["ledgers"] if one["ledger"] == LEDGER)
    return told


def fault_in(proof: dict[str, Any]) -> str:
    return str(told_of(proof)["fault"])


def proven_in(proof: dict[str, Any]) -> int:
    return int(told_of(proof)["facts"])


@pytest.mark.parametrize(
    ("field", "said"),
    [("payload", "digest"), ("salt", "digest"), ("signature", "signature"), ("protected", "")],
)
def test_a_flipped_byte_names_its_fact(node: RunningNode, field: str, said: str) -> None:
    with facts_of(Settings(mongodb_uri=node.mongodb_uri)) as facts:
        found = facts.find_one({"ledger": LEDGER, "sequence": 4})
        assert found is not None
        flipped = bytearray(found[field])
        flipped[10] ^= 1
        with damage(facts, 4, {field: Binary(bytes(flipped))}):
            status, proof = verified()
            shown = run("verify")
    assert (status, proof["proven"]) == (1, False)
    assert said in fault_in(proof)
    assert f"{LEDGER}:1:4" in fault_in(proof)
    assert proven_in(proof) == 3
    assert shown.exit_code == 1
    assert "Not proven: 1 of" in shown.stdout


def test_a_fact_taken_out_of_the_middle_names_the_one_after(node: RunningNode) -> None:
    with facts_of(Settings(mongodb_uri=node.mongodb_uri)) as facts, damage(facts, 3, None):
        status, proof = verified()
    assert status == 1
    assert f"{LEDGER}:1:4" in fault_in(proof)


def test_a_stopped_node_is_examined_with_only_its_database_started(node: RunningNode) -> None:
    heads = node.home / "heads.jsonl"
    until(lambda: heads.exists() and f'"sequence": {FACTS}' in heads.read_text(), "the head is witnessed")
    node.stop()
    status, proof = verified()
    assert (status, proof["proven"], proven_in(proof)) == (0, True, FACTS)
    assert not (node.home / "node.json").exists()

    with database(Settings()) as settings, facts_of(settings) as facts, damage(facts, 5, {"version": 9}):
        status, proof = verified()
    assert status == 1
    assert f"{LEDGER}:1:5: version" in fault_in(proof)

    with database(Settings()) as settings, facts_of(settings) as facts, damage(facts, FACTS, None):
        status, proof = verified()
    assert status == 1
    assert all(one["fault"] is None for one in proof["ledgers"])
    assert [head.split(" ")[0] for head in proof["missing_heads"]] == [f"{LEDGER}:1:{FACTS}"]

    node.start()  # the home is free again
    assert verified()[0] == 0


def test_a_folder_without_a_node_is_named_and_nothing_is_made_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PILOTMESH_HOME", str(tmp_path / "nowhere"))
    told = run("verify")
    assert told.exit_code == 2
    assert "holds no node" in told.stderr
    assert not (tmp_path / "nowhere").exists()
