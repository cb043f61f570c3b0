"""Linked nodes for tests of what passes between them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.exchanging import Federation, federation


@pytest.fixture
def mesh(tmp_path: Path, mongodb_uri: str) -> Iterator[Federation]:
    with federation(tmp_path, mongodb_uri, "wfp", "fao") as made:
        yield made
    gc.collect()  # the sockets that nats-py left are this test's, not the next one's
