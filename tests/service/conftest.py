"""One whole node for all service tests that neither stop it nor count its records."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .running import RunningNode


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A running node: `node.host("wfp")`, `node.actor("wfp", ["officer"])`, `node.client(token)`."""
    running = RunningNode(tmp_path_factory.mktemp("node"))
    try:
        yield running.start()
    finally:
        running.stop()
