"""Keys across nodes: a rotation, a theft, a recovery at one agency's node, seen by the hub and by another member."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.ledger.identity import Identity
from tests.node.federation import Hub, Member
from tests.node.test_cli import run
from tests.service.posting import pilot
from tests.service.running import RunningNode, until

LEDGER = "wfp.registry"


class Scene:
    """A hub and two members, each a process; the commands run in the home of whichever is asked."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.hub = Hub(folder / "hub")
        self.wfp = Member(folder / "wfp", "wfp")
        self.fao = Member(folder / "fao", "fao")
        self.recovery = folder / "recovery"

    def start(self) -> Scene:
        self.hub.start()
        for member in (self.wfp, self.fao):
            member.join(self.hub).start()
        assert self.wfp.joined is not None
        self.recovery.write_text(self.wfp.joined.recovery_key)
        return self

    def stop(self) -> None:
        for node in (self.wfp, self.fao, self.hub):
            node.stop()

    def done(self, node: RunningNode, *arguments: object) -> dict[str, Any]:
        self._monkeypatch.setenv("PILOTMESH_HOME", str(node.home))
        result = run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        told: dict[str, Any] = json.loads(result.stdout)
        return told

    def registers(self, title: str) -> str:
        with self.wfp.client(self.wfp.actor("wfp", ["officer"])) as officer:
            answer = officer.post("/registry/v1/pilots", json=pilot("wfp", title={"en": title}))
            assert answer.status_code == 201, answer.text
            return str(answer.json()["id"])

    def status_at(self, node: Member, pilot_id: str) -> int:
        with node.client(node.actor(node.agency, ["viewer"])) as viewer:
            return int(viewer.get(f"/registry/v1/pilots/{pilot_id}").status_code)

    def head(self, node: RunningNode) -> dict[str, Any]:
        with node.client(node.operator) as operator:
            told = operator.get("/mesh/v1/status").json()["ledgers"]
        return next((one for one in told if one["ledger"] == LEDGER), {"sequence": 0})

    def key_at(self, node: RunningNode) -> str:
        with node.client(node.operator) as operator:
            items = operator.get("/mesh/v1/agencies").json()["items"]
        return next((str(one["public_key"]) for one in items if one["agency"] == "wfp"), "")

    def everywhere(self, what: Callable[[RunningNode], Any], said: str) -> None:
        """All three tell the same of it."""
        until(lambda: len({json.dumps(what(node)) for node in (self.hub, self.wfp, self.fao)}) == 1, said)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    made = Scene(tmp_path, monkeypatch)
    try:
        yield made.start()
    finally:
        made.stop()


def test_a_key_is_rotated_stolen_revoked_and_recovered_and_all_nodes_agree(scene: Scene, tmp_path: Path) -> None:
    wfp, fao, hub = scene.wfp, scene.fao, scene.hub

    def is_at_fao(pilot_id: str) -> Callable[[], bool]:
        return lambda: scene.status_at(fao, pilot_id) == 200

    first = scene.registers("before any rotation")
    until(is_at_fao(first), "the first pilot is at FAO")
    before = scene.key_at(hub)

    rotated = scene.done(wfp, "keys", "rotate", "wfp")
    second = scene.registers("after the rotation")
    until(is_at_fao(second), "what the new key signed is at FAO")
    until(lambda: scene.key_at(fao) not in ("", before), "the roster names the new key everywhere")
    scene.everywhere(scene.key_at, "one roster")

    good = scene.head(wfp)
    stolen = scene.registers("by whoever stole the key")
    until(is_at_fao(stolen), "the forged pilot is at FAO")
    place = f"{LEDGER}={good['epoch']}:{good['sequence']}:{good['hash']}"
    revoked = scene.done(hub, "hub", "revoke-key", "wfp", "--ledger-head", place)
    assert revoked["keyid"] == rotated["key"]
    until(lambda: scene.status_at(fao, stolen) == 404, "the forged pilot is folded away at FAO")
    until(lambda: scene.status_at(wfp, stolen) == 404, "and at WFP itself")
    assert scene.status_at(fao, second) == 200

    recovered = scene.done(wfp, "keys", "recover", "wfp", "--recovery-key", scene.recovery)
    assert recovered["ledgers"][LEDGER] == f"{LEDGER}:1:{good['sequence'] + 1}"
    third = scene.registers("after the recovery")
    until(is_at_fao(third), "what the recovered agency writes is at FAO")
    scene.everywhere(lambda node: scene.head(node).get("hash"), "one head everywhere")
    for node in (hub, wfp, fao):
        assert scene.done(node, "verify")["proven"]

    scene._monkeypatch.setenv("PILOTMESH_HOME", str(fao.home))
    written = run("evidence", f"pilot/{third}")  # of WFP's pilot, from FAO's node
    assert written.exit_code == 0, written.stderr
    file = tmp_path / "evidence.json"
    file.write_bytes(written.stdout_bytes)
    told = scene.done(fao, "evidence", "check", file, "--anchor", Identity.read(hub.home).anchor.hex())
    assert [one["agency"] for one in told["facts"]] == ["wfp"]


def test_the_anchor_is_rotated_and_somebody_joins_afterwards(scene: Scene, tmp_path: Path) -> None:
    scene.done(scene.hub, "keys", "rotate", "hub")
    late = Member(tmp_path / "who", "who")
    try:
        late.join(scene.hub).start()
        until(lambda: scene.key_at(late) != "", "the newcomer has the roster")
        first = scene.registers("for the newcomer")
        until(lambda: scene.status_at(late, first) == 200, "and what the others share")
        assert scene.done(late, "verify")["proven"]
    finally:
        late.stop()
