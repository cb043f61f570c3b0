"""The intake: other nodes' facts arrive, are checked once, and days offline are caught up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.exchanging import Federation, eventually, federation


@pytest.fixture
def mesh(tmp_path: Path, mongodb_uri: str) -> Iterator[Federation]:
    with federation(tmp_path, mongodb_uri, "wfp", "fao") as made:
        yield made


def test_what_one_member_writes_reaches_hub_and_other_members_as_it_was_signed(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running():
            ours, theirs = await asyncio.to_thread(mesh["wfp"].write, 20), await asyncio.to_thread(mesh["fao"].write, 5)
            await asyncio.to_thread(mesh.hub.write, 3, "unicc")
            await mesh.level()
            assert mesh["fao"].store.after("wfp.registry", (1, 0), 100) == ours
            assert mesh["wfp"].store.after("fao.registry", (1, 0), 100) == theirs
            assert mesh["wfp"].digest() == mesh["fao"].digest() == mesh.hub.digest()
            assert all(side.codes() == set() for side in mesh.sides.values())

    asyncio.run(story())
