"""`hub` and `node` as commands, on a hub and a member that run; and how doctor tells what is wrong with a link."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deploy.nats.authority import expires, make_authority, make_server_certificate
from deploy.nats.link import link_of
from deploy.nats.linking import linked
from deploy.node.home import NodeError, read_note
from deploy.node.hub import HubLink, make_hub, put_anchor_back, take_anchor_out
from shared.ledger.identity import Identity
from shared.settings import Settings
from tests.node.federation import Hub, Member, federation, until_level
from tests.service.running import RunningNode, until


def run(node: RunningNode, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PILOTMESH_HOME": str(node.home), "PILOTMESH_PORT": str(node.port)}
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", *words], env=environment, capture_output=True, text=True, check=False
    )


def told(node: RunningNode, *words: str) -> Any:
    answer = run(node, *words)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def findings(node: RunningNode) -> dict[tuple[str, str], str]:
    """What doctor finds that is not well: (subject, state) to what it says."""
    return {
        (one["subject"], one["state"]): one["said"]
        for one in json.loads(run(node, "doctor", "--json").stdout)
        if one["state"] != "well"
    }


def domains_linked(hub: Hub) -> set[str]:
    settings = Settings(home=hub.home, nats_url=read_note(hub.home)["nats_url"])
    return {leaf["name"] for leaf in asyncio.run(linked(settings))}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, Member]]:
    with federation(tmp_path_factory.mktemp("mesh"), "wfp") as (hub, wfp):
        assert isinstance(wfp, Member)
        until_level(hub, wfp)
        yield hub, wfp


def test_an_invite_is_written_joined_with_and_tells_the_recovery_key_once(
    mesh: tuple[Hub, Member], tmp_path: Path
) -> None:
    hub, _ = mesh
    invite = run(hub, "hub", "invite", "fao")
    assert invite.returncode == 0, invite.stderr
    file = tmp_path / "fao.invite"
    file.write_text(invite.stdout)
    fao = Member(tmp_path / "home", "fao")
    joined = run(fao, "node", "join", str(file))
    assert joined.returncode == 0, joined.stderr
    assert "Recovery key of fao: " in joined.stdout
    again = run(fao, "node", "join", str(file))
    assert again.returncode == 1
    assert "has joined" in again.stderr
    other = run(Member(tmp_path / "other", "fao"), "node", "join", str(file))
    assert other.returncode == 1
    assert "used before" in other.stderr
    fao.start()
    try:
        until_level(hub, fao)
        assert {"hub", "fao"} <= {told(fao, "node", "status", "--json")[one] for one in ("hub", "domain")}
    finally:
        fao.stop()


def test_a_hub_that_does_not_answer_is_named_and_nothing_is_lost(mesh: tuple[Hub, Member], tmp_path: Path) -> None:
    hub, _ = mesh
    invite = hub.invite("iom")
    address = invite["hub"]["url"]
    file = tmp_path / "iom.invite"
    iom = Member(tmp_path / "home", "iom")
    file.write_text(json.dumps({**invite, "hub": {**invite["hub"], "url": "http://127.0.0.1:9"}}))
    answer = run(iom, "node", "join", str(file))
    assert answer.returncode == 3
    assert "same command again" in answer.stderr
    file.write_text(json.dumps({**invite, "hub": {**invite["hub"], "url": address}}))
    assert run(iom, "node", "join", str(file)).returncode == 0


def test_members_and_status_are_shown(mesh: tuple[Hub, Member]) -> None:
    hub, wfp = mesh
    assert "wfp" in {one["agency"] for one in told(hub, "hub", "members", "--json")["items"]}
    assert "wfp" in run(hub, "hub", "members").stdout
    shown = run(wfp, "node", "status").stdout
    assert "member of hub" in shown
    assert "Trouble: none." in shown


def test_doctor_tells_a_suspended_member_and_all_is_well_again_when_it_is_resumed(mesh: tuple[Hub, Member]) -> None:
    hub, wfp = mesh
    assert not findings(wfp)
    assert run(hub, "hub", "suspend", "wfp").returncode == 0
    until(lambda: "wfp" not in domains_linked(hub), "wfp is cut off")
    assert ("link", "wrong") in findings(wfp)
    assert run(hub, "hub", "resume", "wfp").returncode == 0
    until(lambda: "wfp" in domains_linked(hub), "wfp is linked again")
    until(lambda: not findings(wfp), "doctor finds nothing")


def test_doctor_tells_an_expired_roster(mesh: tuple[Hub, Member]) -> None:
    hub, wfp = mesh
    assert run(hub, "hub", "expires", "2020-01-01").returncode == 0
    try:
        assert "expired" in findings(hub)["roster", "wrong"]
        until(lambda: ("roster", "wrong") in findings(wfp), "the member's doctor tells it as well")
        assert "expired on 2020-01-01" in run(wfp, "node", "status").stdout
    finally:
        assert run(hub, "hub", "expires", "never").returncode == 0


def test_doctor_tells_a_domain_that_others_do_not_know_the_node_by(mesh: tuple[Hub, Member]) -> None:
    _, wfp = mesh
    environment = {**os.environ, "PILOTMESH_HOME": str(wfp.home), "PILOTMESH_NATS_DOMAIN": "other"}
    answer = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "doctor"], env=environment, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    assert "others know it as wfp" in answer.stdout


def test_a_member_cannot_admit_or_host_others(mesh: tuple[Hub, Member]) -> None:
    hub, wfp = mesh
    answer = run(wfp, "agency", "host", "ilo")
    assert answer.returncode == 1
    assert hub.url in answer.stderr
    assert "ilo" not in hub.members()
    with pytest.raises(NodeError, match="member"):
        make_hub(Settings(home=wfp.home), HubLink(("127.0.0.1",)))


def test_hub_init_keeps_its_keys_when_it_is_repeated(tmp_path: Path) -> None:
    link = HubLink(("hub.example", "192.0.2.7"), websocket="0.0.0.0:443")
    first = make_hub(Settings(home=tmp_path), link)
    authority = (tmp_path / "mesh-ca" / "ca.pem").read_bytes()
    assert make_hub(Settings(home=tmp_path), link) == first == Identity.read(tmp_path)
    assert (tmp_path / "mesh-ca" / "ca.pem").read_bytes() == authority
    assert json.loads((tmp_path / "nats" / "hub.json").read_text())["leaf"] == [
        "tls://hub.example:7422",
        "tls://192.0.2.7:7422",
        "wss://hub.example:443",
        "wss://192.0.2.7:443",
    ]
    listener = link_of(tmp_path).listener
    assert listener is not None
    assert expires(tmp_path / "nats" / listener.certificate) > datetime.now(UTC)
    for secret in ("nats/hub.key", "mesh-ca/ca.key", "nats/link.json"):
        assert (tmp_path / secret).stat().st_mode & 0o077 == 0


def test_a_hub_takes_the_operators_own_certificate(tmp_path: Path) -> None:
    authority, key = make_authority("theirs")
    certificate, certificate_key = make_server_certificate(authority, key, ["hub.example"])
    for name, content in (("ca.pem", authority), ("c.pem", certificate), ("c.key", certificate_key)):
        (tmp_path / name).write_bytes(content)
    home = tmp_path / "home"
    make_hub(
        Settings(home=home),
        HubLink(
            ("hub.example",),
            certificate=tmp_path / "c.pem",
            key=tmp_path / "c.key",
            authority=tmp_path / "ca.pem",
        ),
    )
    assert not (home / "mesh-ca").exists()
    assert (home / "nats" / "hub.pem").read_bytes() == certificate
    assert json.loads((home / "nats" / "hub.json").read_text())["authority"] == authority.decode()
    with pytest.raises(NodeError, match="both, or neither"):
        make_hub(Settings(home=home), HubLink(("hub.example",), certificate=tmp_path / "c.pem"))


def test_the_anchors_key_is_moved_whole_or_not_at_all(tmp_path: Path) -> None:
    make_hub(Settings(home=tmp_path / "home"), HubLink(("hub.example",)))
    key = tmp_path / "home" / "keys" / "hub.key"
    secret = key.read_text()
    taken = tmp_path / "taken"
    taken.write_text("something else")
    with pytest.raises(NodeError, match="cannot be written"):
        take_anchor_out(tmp_path / "home", taken)
    assert key.read_text() == secret
    taken.unlink()
    take_anchor_out(tmp_path / "home", taken)
    assert not key.exists()
    put_anchor_back(tmp_path / "home", taken)
    assert key.read_text() == secret
