"""What a moving agency, or whoever sealed its file, claims: nothing about anybody else is believed."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from deploy.node.exporting import actors_of
from deploy.node.home import NodeError
from deploy.node.joining import end_of
from services.mesh.moving import MoveRequest
from shared.access.actors import NODE, Actors
from shared.facts.fact import to_wire
from shared.facts.keys import SigningKey
from shared.ledger.carrying import Contents, NotCarried, opened
from shared.ledger.store import Command
from shared.ledger.verification import verify_node
from shared.problems import Conflict, Forbidden
from shared.settings import Settings
from tests.node.ledgers import pilot
from tests.node.moving_nodes import WORDS, MovingMesh, MovingNode
from tests.unit.facts.chains import Chain


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, mongodb_uri: str) -> Iterator[MovingMesh]:
    made = MovingMesh(tmp_path_factory.mktemp("claims"), mongodb_uri, Settings(), "a", "b", "c")
    try:
        yield made
    finally:
        made.close()


def actors(node: MovingNode) -> Actors:
    return Actors(node.ledgers.client[node.ledgers.settings.database("node")])


def saying(contents: Contents, **changed: Any) -> Contents:
    return replace(contents, manifest={**contents.manifest, **changed})


def test_a_file_brings_actors_of_its_own_agency_and_nobody_else(mesh: MovingMesh) -> None:
    mesh.joins("wfp", "a")
    a, b = mesh.nodes["a"], mesh.nodes["b"]
    officer, token = actors(a).add("wfp", ["officer"])
    neighbour, neighbours = actors(b).add("fao", ["admin"])
    contents = opened(a.exports("wfp"), WORDS)
    (mine,) = contents.manifest["actors"]
    for wrong, why in (
        ({"agency": NODE, "roles": ["admin"]}, "agency is 'node'"),
        ({"roles": ["officer", "emperor"]}, "no role 'emperor'"),
        ({"_id": neighbour.id}, "acts for fao on this node"),
        ({"tokens": "all"}, "tokens is no list"),
    ):
        with pytest.raises(NotCarried, match=why):
            b.imports_contents(saying(contents, actors=[{**mine, **wrong}]))
    assert mesh.home_of("wfp") == "a", "the hub was not asked"
    assert actors(b).by_token(neighbours).agency == "fao"
    assert actors_of(b.ground).count_documents({}) == 1

    b.imports_contents(contents)
    assert actors(b).by_token(token) == officer


def test_a_command_of_another_agency_is_not_brought(mesh: MovingMesh) -> None:
    mesh.joins("iom", "a")
    mesh.joins("who", "b")
    a, b = mesh.nodes["a"], mesh.nodes["b"]
    command = Command("ab" * 32, "digest", "answer")
    for node, agency in ((a, "iom"), (b, "who")):
        appender = node.ledgers.appender()
        appender.record(replace(pilot(agency=agency), command=command))
        appender.stop()
    file = a.exports("iom")
    with pytest.raises(NotCarried, match="A command of the file is that of who"):
        b.imports(file)
    assert mesh.home_of("iom") == "a"


def test_a_key_in_a_file_has_the_name_of_a_key(mesh: MovingMesh) -> None:
    mesh.joins("undp", "a")
    contents = opened(mesh.nodes["a"].exports("undp"), WORDS)
    for name in ("undp.key/../x.key", "undp/../../nats/link.key", "undp.a.b.old", "fao.key", "undp.next"):
        keys = {**contents.manifest["keys"], name: "00" * 32}
        with pytest.raises(NotCarried, match="is no name of a key of undp"):
            mesh.nodes["b"].imports_contents(saying(contents, keys=keys))
    assert mesh.home_of("undp") == "a"


def test_the_first_file_is_refused_where_the_agency_was_exported_anew(mesh: MovingMesh) -> None:
    """Both files say that the agency is at this node; the second may have been imported elsewhere meanwhile."""
    mesh.joins("itu", "a")
    a, b = mesh.nodes["a"], mesh.nodes["b"]
    first = a.exports("itu")
    a.takes_back("itu")
    second = a.exports("itu")
    with pytest.raises(NodeError, match="exported again from here"):
        a.imports(first)
    b.imports(second)
    assert set(mesh.writers("itu")) == {"b"}


def test_actors_come_back_from_a_backup(mesh: MovingMesh) -> None:
    recovery = mesh.joins("unfpa", "a")
    a, b = mesh.nodes["a"], mesh.nodes["b"]
    officer, token = actors(a).add("unfpa", ["officer"])
    actors(a).add("unesco", ["officer"])
    b.takes_over("unfpa", recovery, backup=a)
    assert actors(b).by_token(token) == officer
    assert actors(b).of_agency("unesco") == []


def test_a_node_that_starts_with_a_roster_older_than_the_move_keeps_what_was_imported(mesh: MovingMesh) -> None:
    """It was stopped while the agency came to it; its intake looks at the roster before anything is pulled."""
    mesh.joins("ilo", "a")
    a, c = mesh.nodes["a"], mesh.nodes["c"]
    c.imports(a.exports("ilo"))
    c.takes_in([])
    assert set(mesh.writers("ilo")) == {"c"}
    a_roster = mesh.hub.ledgers.roster.newest()
    assert a_roster is not None
    assert c.ledgers.keyring.since("ilo") == a_roster.header.position

    mesh.tell()
    a.imports(c.exports("ilo"))
    mesh.tell()
    assert set(mesh.writers("ilo")) == {"a"}, "a newer roster counts"


def test_a_takeover_that_was_granted_is_not_granted_again_after_the_next_move(mesh: MovingMesh) -> None:
    recovery = mesh.joins("unep", "a")
    a, b = mesh.nodes["a"], mesh.nodes["b"]
    posted: list[tuple[str, Any]] = []
    answers = mesh.post

    def post(address: str, document: Any) -> dict[str, Any]:
        posted.append((address, document))
        return answers(address, document)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mesh, "post", post)
        b.takes_over("unep", recovery)
    (taking,) = posted
    mesh.tell()
    a.imports(b.exports("unep"))
    with pytest.raises(Conflict, match="by this very request before, and has moved on"):
        mesh.post(*taking)
    assert set(mesh.writers("unep")) == {"a"}


def test_a_member_asks_its_own_hub_and_believes_its_own_anchor(mesh: MovingMesh) -> None:
    """Whatever the file names: whoever sealed it may have a hub and an anchor's key of his own."""
    mesh.joins("wmo", "a")
    a, b = mesh.nodes["a"], mesh.nodes["b"]
    contents = opened(a.exports("wmo"), WORDS)
    mesh.tell()
    asked: list[str] = []
    answers = mesh.post

    def post(address: str, document: Any) -> dict[str, Any]:
        asked.append(address)
        return answers(address, document)

    elsewhere = {**contents.manifest["hub"], "url": "http://evil"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mesh, "post", post)
        b.imports_contents(saying(contents, hub=elsewhere, anchor_key="00" * 32))
    assert asked == ["http://hub/mesh/v1/members/wmo/moves"]
    assert set(mesh.writers("wmo")) == {"b"}


def test_a_roster_signed_by_the_key_that_the_file_names_is_none(mesh: MovingMesh) -> None:
    mesh.joins("unhcr", "a")
    contents = opened(mesh.nodes["a"].exports("unhcr"), WORDS)
    mesh.tell()
    roster = mesh.hub.ledgers.roster.newest()
    assert roster is not None
    chain = Chain(ledger="hub.mesh", key=SigningKey.make(), mesh=mesh.hub.ledgers.identity.mesh)
    forged = to_wire(chain.add(subject="roster/mesh", state=dict(roster.state or {})))
    with pytest.raises(NotCarried, match="roster cannot be believed"):
        mesh.nodes["b"].imports_contents(
            saying(contents, roster=base64.b64encode(forged).decode(), anchor_key=chain.key.public.hex())
        )
    assert mesh.home_of("unhcr") == "a"


def test_no_agency_places_itself_on_a_node_that_does_not_agree(mesh: MovingMesh) -> None:
    """What the roster says of a node, its domain and the public half of its nkey, anyone can name."""
    mesh.joins("unido", "a")
    a, b = mesh.nodes["a"], mesh.nodes["b"]
    mesh.joins("icao", "b")
    sealed = opened(a.exports("unido"), WORDS).manifest
    key = SigningKey.from_bytes(bytes.fromhex(sealed["keys"]["unido.key"]))
    announcements = a.ledgers.store.rekeyings("unido.registry")
    assert announcements
    leaf, there = end_of(b.ledgers.settings.home, b.ledgers.identity, b.ledgers.keyring)
    _, mine = end_of(a.ledgers.settings.home, a.ledgers.identity, a.ledgers.keyring)
    mesh_id = a.ledgers.identity.mesh

    def asks(domain: str, named: str, by: SigningKey | None) -> None:
        request = MoveRequest("unido", sealed["move"], domain, named, f"http://{domain}")
        mesh.post("http://hub/mesh/v1/members/unido/moves", request.signed(mesh_id, key, by, announcements))

    for signer in (None, mine, key):
        with pytest.raises(Forbidden, match="not signed by the nkey"):
            asks("b", leaf, signer)
        with pytest.raises(Forbidden, match="not signed by the anchor's key"):
            asks("hub", "", signer)
    assert mesh.home_of("unido") == "a"
    asks("b", leaf, there)
    assert mesh.home_of("unido") == "b"


def test_the_hub_takes_an_agency_in_and_back(mesh: MovingMesh) -> None:
    mesh.joins("wipo", "a")
    mesh.hub.imports(mesh.nodes["a"].exports("wipo"))
    assert set(mesh.writers("wipo")) == {"hub"}
    mesh.hub.exports("wipo")
    mesh.hub.takes_back("wipo")
    assert set(mesh.writers("wipo")) == {"hub"}


def test_a_ledger_that_a_stalled_process_begins_while_the_file_is_packed_is_in_it(mesh: MovingMesh) -> None:
    mesh.joins("unodc", "a")
    a, b = mesh.nodes["a"], mesh.nodes["b"]
    a.writes("unodc")
    mesh_id = a.ledgers.identity.mesh
    stalled = Chain(ledger="unodc.registry.private", key=a.ledgers.keyring.key("unodc"), mesh=mesh_id).add(
        {"lead_agency": "unodc"}
    )
    a.departing.seal("unodc")
    a.ledgers.store.insert([stalled], [None], own=True)
    b.imports(a.exports("unodc"))
    assert b.ledgers.store.by_hash(stalled.hash) == stalled
    assert [one.fault for one in verify_node(b.ledgers.store, b.ledgers.identity) if one.fault] == []
    head = b.ledgers.store.head("unodc.registry.private")
    assert head.sequence == 2, "it ends under the new key"

    late = Chain(ledger="unodc.metrics", key=stalled_key(a), mesh=mesh_id).add({"lead_agency": "unodc"})
    a.ledgers.store.insert([late], [None], own=True)
    before = a.chain("unodc")
    a.exports("unodc")
    assert a.chain("unodc") == before, "a file is out: nothing is written here any more"


def stalled_key(node: MovingNode) -> SigningKey:
    (old,) = node.ledgers.keyring.leaving().folder.glob("unodc.*.old")
    return SigningKey.from_bytes(bytes.fromhex(old.read_text()))
