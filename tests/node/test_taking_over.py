"""An agency whose node is lost goes on at another, on whole nodes: by its recovery key, with what the hub holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from deploy.cli import tokens
from tests.node.federation import Hub, Member, heads, until_level
from tests.node.test_cli import run
from tests.service.posting import pilot
from tests.service.running import RunningNode, until


def done(node: RunningNode, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> dict[str, Any]:
    monkeypatch.setenv("PILOTMESH_HOME", str(node.home))
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def registers(node: RunningNode, token: str, **changes: Any) -> Any:
    with node.client(token) as officer:
        return officer.post("/registry/v1/pilots", json=pilot("wfp", **changes))


def foreign_heads_in(database: Database[dict[str, Any]]) -> dict[str, Any] | None:
    return database["foreign_heads"].find_one({"_id": "wfp.registry.private"})


def test_a_lost_nodes_agency_goes_on_at_anothers_and_the_lost_one_finds_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, wfp, fao = Hub(tmp_path / "hub"), Member(tmp_path / "wfp", "wfp"), Member(tmp_path / "fao", "fao")
    try:
        hub.start()
        for member in (wfp, fao):
            member.join(hub).start()
        assert wfp.joined is not None
        key = tmp_path / "recovery"
        key.write_text(wfp.joined.recovery_key)
        officer = wfp.actor("wfp", ["officer"])
        for changes in ({}, {"visibility": "private"}):
            assert registers(wfp, officer, **changes).status_code == 201

        def is_witnessed() -> bool:
            with MongoClient[dict[str, Any]](fao.mongodb_uri) as client:
                return foreign_heads_in(client["pilotmesh_ledger"]) is not None

        until_level(hub, wfp, fao)
        until(is_witnessed, "that there are private facts is known elsewhere")
        wfp.kill()

        taken = done(fao, monkeypatch, "node", "take-over", "wfp", "--recovery-key", key)
        assert taken["gone"] == ["wfp.registry.private: 1 private facts are gone; it had 1:1"]
        assert hub.members()["wfp"]["domain"] == "fao"
        admin = tokens.read(fao.home)["wfp"]["admin"]
        with fao.client(admin) as keeper:
            here = keeper.post("/mesh/v1/actors", json={"roles": ["officer"]}).json()["token"]
        for changes in ({}, {"visibility": "private"}):
            answer = registers(fao, here, **changes)
            assert answer.status_code == 201, answer.text
        until(lambda: heads(hub)["wfp.registry"] == heads(fao)["wfp.registry"], "the hub takes it from the new node")

        wfp.start()
        late = registers(wfp, officer)
        assert late.status_code == 421, late.text
        assert late.json()["address"].startswith(fao.url)
        for node in (hub, fao):
            assert done(node, monkeypatch, "verify")["proven"]
    finally:
        for node in (wfp, fao, hub):
            node.stop()
