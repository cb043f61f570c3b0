"""An agency moves between whole nodes: exported here, imported there, and never two who write in its name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.ledger.identity import Identity
from shared.ledger.keyring import Keyring
from tests.node.federation import Hub, Member, heads, until_level
from tests.node.test_cli import run
from tests.service.posting import pilot
from tests.service.running import RunningNode, until

WORDS = "correct horse battery staple"


class Scene:
    """A hub and two members; the commands run in the home of whichever is asked."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.folder = folder
        self.hub = Hub(folder / "hub")
        self.wfp, self.fao = Member(folder / "wfp", "wfp"), Member(folder / "fao", "fao")
        self.nodes: list[RunningNode] = [self.hub, self.wfp, self.fao]
        self.words = folder / "words"
        self.words.write_text(WORDS + "\n")

    def start(self) -> Scene:
        self.hub.start()
        for member in (self.wfp, self.fao):
            member.join(self.hub).start()
        return self

    def stop(self) -> None:
        for node in reversed(self.nodes):
            node.stop()

    def at(self, home: Path, *arguments: object, url: str | None = None) -> Any:
        self._monkeypatch.setenv("PILOTMESH_HOME", str(home))
        if url is not None:
            self._monkeypatch.setenv("PILOTMESH_PUBLIC_URL", url)
        try:
            return run(*arguments, "--json")
        finally:
            self._monkeypatch.delenv("PILOTMESH_PUBLIC_URL", raising=False)

    def done(self, home: Path, *arguments: object, url: str | None = None) -> dict[str, Any]:
        result = self.at(home, *arguments, url=url)
        assert result.exit_code == 0, result.output
        told: dict[str, Any] = json.loads(result.stdout)
        return told

    def refused(self, home: Path, *arguments: object) -> str:
        result = self.at(home, *arguments)
        assert result.exit_code == 1, result.output
        return " ".join(result.output.split())

    def exported(self, node: RunningNode, name: str = "wfp.agency") -> Path:
        file = self.folder / name
        self.done(node.home, "node", "export-agency", "wfp", file, "--passphrase", self.words)
        return file

    def imports(self, home: Path, file: Path, **more: Any) -> dict[str, Any]:
        return self.done(home, "node", "import-agency", file, "--passphrase", self.words, **more)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    made = Scene(tmp_path, monkeypatch)
    try:
        yield made.start()
    finally:
        made.stop()


def registers(node: RunningNode, token: str, title: str, *, key: str = "", private: bool = False) -> httpx.Response:
    changes = {"visibility": "private"} if private else {}
    with node.client(token) as officer:
        headers = {"Idempotency-Key": key} if key else {}
        return officer.post("/registry/v1/pilots", json=pilot("wfp", title={"en": title}, **changes), headers=headers)


def made(answer: httpx.Response) -> str:
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def reads(node: RunningNode, token: str, pilot_id: str) -> bool:
    with node.client(token) as reader:
        return reader.get(f"/registry/v1/pilots/{pilot_id}").status_code == 200


def test_an_agency_moves_to_another_members_node_and_its_old_one_says_where(scene: Scene) -> None:
    hub, wfp, fao = scene.hub, scene.wfp, scene.fao
    officer = wfp.actor("wfp", ["officer"])
    first = made(registers(wfp, officer, "shared", key="once"))
    hidden = made(registers(wfp, officer, "private", private=True))
    until_level(hub, wfp, fao)
    shutil.copytree(wfp.home / "keys", scene.folder / "keys of yesterday")

    file = scene.exported(wfp)
    assert file.stat().st_mode & 0o777 == 0o600
    assert WORDS.encode() not in file.read_bytes()
    refusal = registers(wfp, officer, "too late")
    assert refusal.status_code == 421
    assert "was exported from this node" in refusal.json()["detail"]
    assert "passphrase is wrong" in scene.refused(fao.home, "node", "import-agency", file, "--passphrase", __file__)

    told = scene.imports(fao.home, file)
    assert (told["domain"], told["joined"]) == ("fao", False)
    assert hub.members()["wfp"]["domain"] == "fao"
    until(lambda: reads(fao, officer, hidden), "what was private is read at the new node, with the old token")
    again = registers(fao, officer, "shared", key="once")
    assert (again.status_code, again.json()["id"]) == (201, first), "what was acknowledged there is known here"
    second = made(registers(fao, officer, "at the new node"))
    until_level(hub, fao)
    until(lambda: reads(hub, hub.actor("unicc", ["viewer"]), second), "the hub takes it from the new node")

    def says_where() -> bool:
        answer = registers(wfp, officer, "at the wrong node")
        assert answer.status_code == 421
        return str(answer.json().get("address", "")).startswith(fao.url)

    until(says_where, "the old node names the new one")
    assert not Keyring(wfp.home / "keys").kept(), "no key of WFP is left on its old node"
    for node in (hub, fao):
        assert scene.done(node.home, "verify")["proven"]

    # A file is good once, whatever node comes second; also the node that has it already may ask again.
    assert "imported from this very file before" in scene.refused(
        hub.home, "node", "import-agency", file, "--passphrase", scene.words
    )
    assert scene.imports(fao.home, file)["facts"] == 0

    # The old node, put back to the day before: its key is there again, and it notices before its first command.
    wfp.stop()
    shutil.rmtree(wfp.home / "keys")
    shutil.copytree(scene.folder / "keys of yesterday", wfp.home / "keys")
    wfp.start()
    restored = registers(wfp, officer, "by the node of yesterday")
    assert restored.status_code == 421, restored.text
    assert restored.json()["address"].startswith(fao.url)
    assert heads(hub)["wfp.registry"] == heads(fao)["wfp.registry"]


def test_an_agency_moves_from_the_hub_to_a_fresh_node_of_its_own_and_its_file_cannot_be_taken_back(
    scene: Scene,
) -> None:
    hub = scene.hub
    admin = hub.host("who")
    with hub.client(hub.actor("who", ["officer"])) as officer:
        posted = officer.post("/registry/v1/pilots", json=pilot("who"))
        assert posted.status_code == 201
    file = scene.folder / "who.agency"
    scene.done(hub.home, "node", "export-agency", "who", file, "--passphrase", scene.words)
    told = scene.done(hub.home, "node", "export-agency", "who", "--undo")
    assert told["agency"] == "who"
    with hub.client(hub.actor("who", ["officer"])) as officer:
        assert officer.post("/registry/v1/pilots", json=pilot("who")).status_code == 201
    who = Member(scene.folder / "who", "who")
    scene.nodes.append(who)
    refused = scene.refused(who.home, "node", "import-agency", file, "--passphrase", scene.words)
    assert "imported from this very file before" in refused
    assert not (who.home / "mesh.json").exists()

    second = scene.folder / "who again.agency"
    scene.done(hub.home, "node", "export-agency", "who", second, "--passphrase", scene.words)
    assert scene.imports(who.home, second, url=who.url)["joined"]
    assert Identity.read(who.home).hub is not None
    who.start()
    with who.client(admin) as keeper:
        made_there = keeper.post("/mesh/v1/actors", json={"roles": ["officer"]})
        assert made_there.status_code == 201, made_there.text
    with who.client(made_there.json()["token"]) as officer:
        posted = officer.post("/registry/v1/pilots", json=pilot("who", title={"en": "at home"}))
        assert posted.status_code == 201, posted.text
    until(
        lambda: len({json.dumps(heads(node).get("who.registry")) for node in (hub, who, scene.fao)}) == 1,
        "everybody has what WHO wrote on its own node",
    )
