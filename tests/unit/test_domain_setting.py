"""A node that joined, or became a hub, keeps its JetStream domain without a setting."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.settings import Settings


def test_the_domain_is_the_one_in_mesh_json_unless_it_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings(home=tmp_path).nats_domain == "node"
    (tmp_path / "mesh.json").write_text(json.dumps({"mesh": "m", "anchor": "00", "hub": None, "domain": "wfp"}))
    assert Settings(home=tmp_path).nats_domain == "wfp"
    assert Settings(home=tmp_path, nats_domain="other").nats_domain == "other"
    monkeypatch.setenv("PILOTMESH_HOME", str(tmp_path))
    monkeypatch.setenv("PILOTMESH_NATS_DOMAIN", "")
    assert Settings().nats_domain == "wfp"
    monkeypatch.setenv("PILOTMESH_NATS_DOMAIN", "other")
    assert Settings().nats_domain == "other"


def test_a_damaged_mesh_json_does_not_keep_settings_from_being_read(tmp_path: Path) -> None:
    for text in ("", "{", "[]", "7", '{"domain": null}'):
        (tmp_path / "mesh.json").write_text(text)
        assert Settings(home=tmp_path).nats_domain == "node"
