"""Keys and evidence by the `pilotmesh` command, against a node that runs, and one that does not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.ledger.identity import Identity
from tests.node.test_cli import run
from tests.service.posting import pilot
from tests.service.running import RunningNode, until


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningNode]:
    made = RunningNode(tmp_path / "home", "registry", "mesh")
    monkeypatch.setenv("PILOTMESH_HOME", str(made.home))
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def recovery(node: RunningNode, tmp_path: Path) -> Path:
    """WFP is hosted here; its recovery key is kept in a file."""
    with node.client(node.operator) as operator:
        told = operator.post("/mesh/v1/agencies", json={"agency": "wfp"}).json()
    node._admins["wfp"] = told["admin"]["token"]
    file = tmp_path / "recovery"
    file.write_text(told["recovery_key"] + "\n")
    return file


class Officer:
    """Registers pilots of WFP, and says what came of it."""

    def __init__(self, node: RunningNode) -> None:
        self.client = node.client(node.actor("wfp", ["officer"]))

    def registers(self, **changes: Any) -> str:
        answer = self.client.post("/registry/v1/pilots", json=pilot("wfp", **changes))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def is_refused(self, **changes: Any) -> str:
        answer = self.client.post("/registry/v1/pilots", json=pilot("wfp", **changes))
        assert answer.status_code == 409, answer.text
        return str(answer.json()["detail"])


def done(*arguments: object) -> dict[str, Any]:
    """What a command told as JSON, having succeeded."""
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def assert_proven() -> None:
    told = done("verify", "--json")
    assert told["proven"], told


def roster_key(node: RunningNode) -> str:
    with node.client(node.operator) as operator:
        (listed,) = operator.get("/mesh/v1/agencies").json()["items"]
    return str(listed["public_key"])


def test_a_key_is_replaced_while_pilots_are_registered(node: RunningNode, recovery: Path) -> None:
    officer, stopping, failures = Officer(node), threading.Event(), list[Exception]()
    before = roster_key(node)

    def register() -> None:
        while not stopping.is_set():
            try:
                officer.registers()
                officer.registers(visibility="private")
            except Exception as error:
                failures.append(error)

    writing = threading.Thread(target=register)
    officer.registers()
    officer.registers(visibility="private")
    writing.start()
    told = done("keys", "rotate", "wfp", "--json")
    again = done("keys", "rotate", "wfp", "--json")
    stopping.set()
    writing.join(60)
    assert failures == []
    assert set(told["ledgers"]) == {"wfp.registry", "wfp.registry.private"}
    assert again["replaces"] == told["key"]
    officer.registers()
    assert_proven()
    until(lambda: roster_key(node) != before, "the anchor takes the new key into the roster")
    assert_proven()
    assert recovery.exists()


def test_a_lost_key_is_replaced_with_the_node_stopped(node: RunningNode, recovery: Path) -> None:
    officer = Officer(node)
    officer.registers()
    (node.home / "keys" / "wfp.key").unlink()
    node.stop()
    wrong = recovery.with_name("wrong")
    wrong.write_text("ab" * 32)
    refused = run("keys", "recover", "wfp", "--recovery-key", wrong)
    assert refused.exit_code == 1
    assert "binds another recovery key" in refused.stderr
    told = done("keys", "recover", "wfp", "--recovery-key", recovery, "--json")
    assert list(told["ledgers"]) == ["wfp.registry"]
    node.start()
    Officer(node).registers()
    assert_proven()


def test_a_stolen_key_is_revoked_and_the_agency_goes_on(node: RunningNode, recovery: Path) -> None:
    officer = Officer(node)
    good = officer.registers()
    with node.client(node.operator) as operator:
        heads = {one["ledger"]: one for one in operator.get("/mesh/v1/heads").json()["items"]}
    head = heads["wfp.registry"]
    stolen = officer.registers()
    witnessed = node.home / "heads.jsonl"
    beyond = f'"sequence": {head["sequence"] + 1}'
    until(lambda: witnessed.exists() and beyond in witnessed.read_text(), "the forged head is witnessed")
    place = f"wfp.registry={head['epoch']}:{head['sequence']}:{head['hash']}"
    told = done("hub", "revoke-key", "wfp", "--ledger-head", place, "--json")
    assert told["last_good"]["wfp.registry"]["hash"] == head["hash"]

    def gone() -> bool:
        return bool(officer.client.get(f"/registry/v1/pilots/{stolen}").status_code == 404)

    until(gone, "what the thief registered is folded away")
    assert officer.client.get(f"/registry/v1/pilots/{good}").status_code == 200
    assert "keys recover wfp" in officer.is_refused()
    rotated = done("keys", "recover", "wfp", "--recovery-key", recovery, "--json")
    assert rotated["ledgers"]["wfp.registry"] == f"wfp.registry:1:{head['sequence'] + 1}"
    officer.registers()
    assert_proven()
    node.stop()
    node.start()  # what is in the streams, and was witnessed, beyond the last good fact freezes nothing
    Officer(node).registers()
    assert_proven()


def test_a_ledger_is_reopened_while_the_node_runs(node: RunningNode, recovery: Path) -> None:
    officer = Officer(node)
    officer.registers()
    told = done(
        "ledger", "reopen", "wfp.registry", "--recovery-key", recovery, "--reason", "a disk was put back", "--json"
    )
    assert told["reopened"] == "wfp.registry:2:1"
    officer.registers()
    assert_proven()
    with node.client(node.operator) as operator:
        heads = {one["ledger"]: one for one in operator.get("/mesh/v1/heads").json()["items"]}
    assert (heads["wfp.registry"]["epoch"], heads["wfp.registry"]["sequence"]) == (2, 2)
    assert run("ledger", "reopen", "nonsense", "--recovery-key", recovery, "--reason", "x").exit_code == 2


def test_the_evidence_of_a_pilot_is_checked_without_the_node(
    node: RunningNode, recovery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    officer = Officer(node)
    pilot_id = officer.registers()
    kept_home = officer.registers(visibility="private")
    done("keys", "rotate", "wfp", "--json")
    officer.registers()
    written = run("evidence", f"pilot/{pilot_id}")
    assert written.exit_code == 0, written.stderr
    file = tmp_path / "evidence.json"
    file.write_bytes(written.stdout_bytes)
    refused = run("evidence", f"pilot/{kept_home}")
    assert refused.exit_code == 1
    assert "--private" in refused.stderr
    private = run("evidence", f"pilot/{kept_home}", "--private")
    assert private.exit_code == 0
    anchor = Identity.read(node.home).anchor.hex()
    node.stop()
    monkeypatch.setenv("PILOTMESH_HOME", str(tmp_path / "nowhere"))
    told = done("evidence", "check", file, "--anchor", anchor, "--json")
    assert [one["state"]["title"] for one in told["facts"]] == [pilot("wfp")["title"]]
    assert any("anchor you named" in one for one in told["proven"])
    shown = run("evidence", "check", file)
    assert anchor in shown.stdout
    file.write_bytes(private.stdout_bytes)
    assert any("Who else may read" in one for one in done("evidence", "check", file, "--json")["not_proven"])
    file.write_bytes(private.stdout_bytes.replace(b"smallholders", b"bigholders", 1))
    altered = run("evidence", "check", file)
    assert (altered.exit_code, "proves nothing" in altered.stdout) == (1, True)
    assert run("evidence", "check", tmp_path / "none").exit_code == 2
    assert run("evidence", "check").exit_code == 2
    assert recovery.exists()
