"""What a moving agency, or whoever sealed its file, claims: nothing about anybody else is believed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from deploy.node.exporting import actors_of
from deploy.node.home import NodeError
from shared.access.actors import NODE, Actors
from shared.ledger.carrying import Contents, NotCarried, opened
from shared.ledger.store import Command
from shared.settings import Settings
from tests.node.ledgers import pilot
from tests.node.moving_nodes import WORDS, MovingMesh, MovingNode


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
