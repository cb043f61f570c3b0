"""Joining a mesh: with an invite, keys of one's own, and an answer that is proven; and every way in which it fails."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from deploy.cli import tokens
from deploy.node.home import NodeError
from deploy.node.hub import put_anchor_back, take_anchor_out
from deploy.node.joining import join, read_invite
from services.mesh.membership import JoinRequest
from shared.bus import nkey
from shared.facts.keys import SigningKey
from shared.ledger.identity import Identity, ensure_identity
from shared.ledger.keyring import Keyring
from shared.settings import Settings
from tests.node.federation import Hub, Refusal, post
from tests.service.running import RunningNode, until

NODE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    made = Hub(tmp_path_factory.mktemp("hub") / "home", "mesh")
    try:
        yield made.start()
    finally:
        made.stop()


SIGNATURES = ("signature", "recovery_signature", "leaf_signature")


class Applicant:
    """Someone who asks to be let in, with keys that a test may share or exchange."""

    def __init__(self, agency: str, **changes: Any) -> None:
        self.key, self.recovery = SigningKey.make(), SigningKey.make()
        self.seed, self.leaf = nkey.make()
        self.told = {"agency": agency, "domain": agency, "node": NODE, **changes}

    def asks(self, hub: Hub, code: str, **changed: Any) -> dict[str, Any]:
        """The posted document; `changed` after it was signed."""
        request = JoinRequest(
            self.told["agency"],
            self.key.public,
            self.recovery.public,
            self.told["domain"],
            self.leaf,
            self.told["node"],
        )
        mesh = Identity.read(hub.home).mesh
        return {**request.signed(mesh, code, self.key, self.recovery, nkey.key_of(self.seed)), **changed}

    def joins(self, hub: Hub, code: str, **changed: Any) -> Mapping[str, Any]:
        return post(f"{hub.url}/mesh/v1/members", self.asks(hub, code, **changed))

    def is_refused(self, hub: Hub, code: str, **changed: Any) -> dict[str, Any]:
        with pytest.raises(Refusal) as refused:
            self.joins(hub, code, **changed)
        return {"status": refused.value.status, **refused.value.problem}


def settings_of(home: Path) -> Settings:
    return Settings(home=home, public_url=NODE)


def fields(problem: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(fault["field"], fault["code"]) for fault in problem["errors"]}


def test_a_fresh_home_becomes_a_members_with_keys_that_were_made_there(hub: Hub, tmp_path: Path) -> None:
    sent: list[Mapping[str, Any]] = []

    def listening(address: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
        sent.append(document)
        return post(address, document)

    joined = join(settings_of(tmp_path), read_invite(json.dumps(hub.invite("wfp"))), listening)
    identity, there = Identity.read(tmp_path), Identity.read(hub.home)
    assert (identity.mesh, identity.anchor, identity.domain) == (there.mesh, there.anchor, "wfp")
    assert identity.hub is not None
    assert identity.hub.url == hub.url
    assert Settings(home=tmp_path).nats_domain == "wfp"
    key = Keyring(tmp_path / "keys").key("wfp")
    assert hub.members()["wfp"]["public_key"] == key.public.hex()
    assert set(tokens.read(tmp_path)) == {"node", "wfp"}
    everything = json.dumps(sent)
    assert key.secret().hex() not in everything
    assert joined.recovery_key not in everything
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert joined.recovery_key.encode() not in kept


def test_an_answer_that_was_lost_is_given_again_and_nobody_is_admitted_twice(hub: Hub, tmp_path: Path) -> None:
    invite = read_invite(json.dumps(hub.invite("fao")))

    def lost(address: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
        post(address, document)
        raise ConnectionError("the answer is lost")

    with pytest.raises(ConnectionError):
        join(settings_of(tmp_path), invite, lost)
    assert not (tmp_path / "mesh.json").exists()
    joined = join(settings_of(tmp_path), invite, post)
    assert joined.agency == "fao"
    assert Keyring(tmp_path / "keys").key("fao").public.hex() == hub.members()["fao"]["public_key"]
    with pytest.raises(NodeError, match="has joined"):
        join(settings_of(tmp_path), invite, post)


def test_a_home_with_a_mesh_of_its_own_is_refused_with_the_remedy(hub: Hub, tmp_path: Path) -> None:
    ensure_identity(tmp_path)
    with pytest.raises(NodeError, match="fresh home"):
        join(settings_of(tmp_path), read_invite(json.dumps(hub.invite("ilo"))), post)
    assert "ilo" not in hub.members()


def test_an_answer_that_the_invites_anchor_has_not_signed_joins_nothing(hub: Hub, tmp_path: Path) -> None:
    invite = hub.invite("itu")
    invite["anchor"] = SigningKey.make().public.hex()
    invite["anchor_key"] = None
    with pytest.raises(NodeError, match="not signed by the anchor"):
        join(settings_of(tmp_path), read_invite(json.dumps(invite)), post)
    assert not (tmp_path / "mesh.json").exists()


def test_what_is_no_invite_is_said_to_be_none() -> None:
    for text in ("", "{}", "[]", '{"pilotmesh_invite": 1}', "hello"):
        with pytest.raises(NodeError, match="no invite"):
            read_invite(text)
    with pytest.raises(NodeError, match="newer"):
        read_invite('{"pilotmesh_invite": 2}')


def test_a_wrong_code_lets_nobody_in(hub: Hub) -> None:
    problem = Applicant("who").is_refused(hub, "guessed")
    assert (problem["status"], problem["reason"]) == (403, "wrong")


def test_an_invite_is_for_one_agency(hub: Hub) -> None:
    problem = Applicant("who").is_refused(hub, hub.invite("iom")["code"])
    assert (problem["status"], problem["reason"]) == (403, "agency")


def test_an_invite_is_good_once(hub: Hub) -> None:
    code = hub.invite("unesco")["code"]
    first = Applicant("unesco")
    assert first.joins(hub, code) == first.joins(hub, code), "the same request again is answered the same"
    problem = Applicant("unesco").is_refused(hub, code)
    assert (problem["status"], problem["reason"]) == (403, "used")


def test_an_invite_expires(hub: Hub) -> None:
    code = hub.invite("wmo")["code"]
    past = datetime.now(UTC) - timedelta(seconds=1)
    with MongoClient[dict[str, Any]](hub.mongodb_uri) as client:
        client["pilotmesh_node"]["invites"].update_one({"agency": "wmo"}, {"$set": {"expires_at": past}})
    problem = Applicant("wmo").is_refused(hub, code)
    assert (problem["status"], problem["reason"]) == (403, "expired")


def test_a_refused_request_leaves_the_invite_good(hub: Hub) -> None:
    code = hub.invite("unep")["code"]
    Applicant("unep", domain="hub").is_refused(hub, code)
    assert Applicant("unep").joins(hub, code)["agency"] == "unep"


def test_keys_and_domains_of_others_are_refused_all_at_once(hub: Hub) -> None:
    member = Applicant("unfpa")
    member.joins(hub, hub.invite("unfpa")["code"])
    thief = Applicant("undp", domain="unfpa")
    thief.key, thief.recovery = member.key, member.recovery
    problem = thief.is_refused(hub, hub.invite("undp")["code"])
    assert problem["status"] == 422
    assert fields(problem) == {("recovery", "bound"), ("public", "bound"), ("domain", "taken")}


def test_who_does_not_hold_the_keys_cannot_bind_them(hub: Hub) -> None:
    code = hub.invite("unhcr")["code"]
    applicant, other = Applicant("unhcr"), SigningKey.make()
    problem = applicant.is_refused(hub, code, recovery=other.public.hex())
    assert fields(problem) == {(name, "signature") for name in SIGNATURES}
    problem = applicant.is_refused(hub, code, node="http://elsewhere.example")
    assert fields(problem) == {(name, "signature") for name in SIGNATURES}


def test_nobody_is_placed_on_a_node_that_does_not_agree(hub: Hub) -> None:
    """Domain and nkey of every node are in the roster, for all members to read."""
    host, guest = Applicant("itc"), Applicant("unwto", domain="itc")
    host.joins(hub, hub.invite("itc")["code"])
    guest.leaf = host.leaf
    code = hub.invite("unwto")["code"]
    assert fields(guest.is_refused(hub, code)) == {("leaf_signature", "signature")}
    guest.seed = host.seed
    assert guest.joins(hub, code)["roster"]


def test_every_fault_of_a_request_is_named(hub: Hub) -> None:
    wrong = {"agency": "X", "public": "00", "recovery": 7, "domain": "mesh", "leaf": "U", "node": "ftp://x"}
    problem = Applicant("who").is_refused(hub, "code", **wrong)
    assert problem["status"] == 422
    assert {field for field, _ in fields(problem)} == set(wrong)


def test_a_member_is_not_invited_again(hub: Hub) -> None:
    Applicant("icao").joins(hub, hub.invite("icao")["code"])
    with hub.client(hub.operator) as client:
        answer = client.post("/mesh/v1/invites", json={"agency": "icao"})
    assert answer.status_code == 409


def test_only_the_operator_invites_suspends_and_renews(hub: Hub) -> None:
    with hub.client() as nobody:
        assert nobody.post("/mesh/v1/invites", json={"agency": "ifad"}).status_code == 401
    admin = hub.client(hub.host("unops"))
    for method, path, body in (
        ("POST", "/mesh/v1/invites", {"agency": "ifad"}),
        ("POST", "/mesh/v1/members/unops/suspension", {}),
        ("DELETE", "/mesh/v1/members/unops/suspension", {}),
        ("PUT", "/mesh/v1/roster/expiry", {"expires_on": None}),
    ):
        assert admin.request(method, path, json=body).status_code == 403


def test_suspending_takes_the_members_link_and_resuming_gives_it_back(hub: Hub) -> None:
    Applicant("ifad").joins(hub, hub.invite("ifad")["code"])

    def may_link() -> bool:
        told = json.loads((hub.home / "nats" / "members.json").read_text())
        return "ifad" in {leaf["domain"] for leaf in told["leaves"]}

    def is_told(linked: bool) -> bool:
        return may_link() is linked

    for suspended in (False, True, False):
        hub.set_status("ifad", suspended=suspended)
        assert hub.members()["ifad"]["status"] == ("suspended" if suspended else "active")
        until(partial(is_told, not suspended), "the hub's NATS server is told")


def test_an_expired_roster_admits_nobody_and_hosts_nobody_new_but_goes_on(hub: Hub) -> None:
    code = hub.invite("unido")["code"]
    with hub.client(hub.operator) as client:
        assert client.put("/mesh/v1/roster/expiry", json={"expires_on": "2020-01-01"}).status_code == 200
        try:
            assert client.post("/mesh/v1/invites", json={"agency": "unu"}).status_code == 409
            problem = Applicant("unido").is_refused(hub, code)
            assert problem["status"] == 409
            assert "expired" in problem["detail"]
            assert client.get("/readyz").status_code == 200
        finally:
            assert client.put("/mesh/v1/roster/expiry", json={"expires_on": None}).status_code == 200
    assert Applicant("unido").joins(hub, code)["agency"] == "unido"


def test_without_the_anchors_key_the_hub_admits_nobody_and_goes_on(hub: Hub, tmp_path: Path) -> None:
    code = hub.invite("unodc")["code"]
    kept = tmp_path / "anchor.key"
    take_anchor_out(hub.home, kept)
    try:
        problem = Applicant("unodc").is_refused(hub, code)
        assert problem["status"] == 409
        assert "put-back" in problem["detail"]
        with hub.client(hub.operator) as client:
            assert client.get("/readyz").status_code == 200
        wrong = tmp_path / "wrong.key"
        wrong.write_text(SigningKey.make().secret().hex())
        with pytest.raises(NodeError, match="another key"):
            put_anchor_back(hub.home, wrong)
    finally:
        put_anchor_back(hub.home, kept)
    assert Applicant("unodc").joins(hub, code)["agency"] == "unodc"


def test_a_node_that_is_no_hub_says_so(tmp_path: Path) -> None:
    node = RunningNode(tmp_path / "home", "mesh").start()
    try:
        with node.client(node.operator) as client:
            answer = client.post("/mesh/v1/invites", json={"agency": "wfp"})
            assert answer.status_code == 409
            assert "hub init" in answer.json()["detail"]
    finally:
        node.stop()
