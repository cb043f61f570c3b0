"""Whole nodes for all service tests that neither stop them nor count their records."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .desk import Desk
from .running import RunningNode
from .two_nodes import HOSTED, Desks, Link, Mesh


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A running node: `node.host("wfp")`, `node.actor("wfp", ["officer"])`, `node.client(token)`."""
    running = RunningNode(tmp_path_factory.mktemp("node"))
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """Two nodes of one mesh, `a` (which holds the anchor's key) and `b`; and `c`, which who needs it starts. Each test
    has countries of its own."""
    made = Mesh(tmp_path_factory.mktemp("mesh"), "a", "b", "c", PILOTMESH_WEBHOOK_ALLOW_PRIVATE="true")
    try:
        yield made.start("a", "b")
    finally:
        made.stop()


@pytest.fixture(scope="session")
def desks(mesh: Mesh) -> Desks:
    """A desk at each node; which agencies are hosted where is in `two_nodes.HOSTED`."""
    for name, agencies in HOSTED.items():
        for agency in agencies:
            mesh[name].host(agency)
    return Desks(Desk(mesh["a"]), Desk(mesh["b"]))


@pytest.fixture
def link(mesh: Mesh) -> Iterator[Link]:
    """What is shared at one of the two nodes is at the other a moment later, unless the test cuts it."""
    made = Link(mesh["a"], mesh["b"])
    try:
        yield made
    finally:
        made.close()
