"""A disk that was put back to yesterday: what the node's own streams lost too, the hub still holds."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.nats.provision import connect
from shared.bus.recalling import recalling
from shared.bus.recovery import Recovered, Recovery
from shared.ledger.store import LedgerStore
from shared.ledger.witness import Witness, foreign_heads
from tests.node.exchanging import Federation, Side, eventually, federation
from tests.node.test_recovery import Backup
from tests.node.three_nodes import faults, leaves_sockets, write

LEDGER, PRIVATE = "wfp.registry", "wfp.registry.private"
pytestmark = leaves_sockets


@pytest.fixture
def mesh(tmp_path: Path, mongodb_uri: str) -> Iterator[Federation]:
    with federation(tmp_path, mongodb_uri, "wfp") as made:
        yield made
    gc.collect()


async def recovered(side: Side) -> Recovered:
    """As a service of this node does it at its start."""
    node = side.ledgers
    connection = await connect(node.settings, "registry")
    try:
        async with recalling(node.settings, node.identity, node.roster, node.keyring) as others:
            recovery = Recovery(
                connection,
                node.store,
                node.identity,
                node.roster,
                node.keyring,
                side.quarantine,
                Witness(node.settings.home),
                others,
            )
            return await recovery.run("registry")
    finally:
        await connection.close()


async def lose(side: Side, backup: Backup) -> None:
    """Yesterday's database, and streams that were lost altogether."""
    await asyncio.to_thread(backup.put_back, side.ledgers)
    async with side.user("provisioner") as connection:
        for stream in ("FACTS", "PRIVATE", "CIRCLES"):
            await connection.jetstream().purge_stream(stream)


def test_facts_that_disk_and_streams_lost_come_back_from_the_hub(mesh: Federation) -> None:
    wfp = mesh["wfp"]

    async def story() -> None:
        async with mesh.running("hub"):
            async with mesh.running("wfp"):
                await write(wfp, 3)
                await mesh.level()
                backup = await asyncio.to_thread(Backup, wfp.ledgers)
                lost = await write(wfp, 300)
                await mesh.level()
                heads = foreign_heads(mesh.hub.store)
                await eventually(lambda: heads.all()[LEDGER]["sequence"] == 303, "the hub was told how far it goes")
            await lose(wfp, backup)
            assert wfp.head(LEDGER).sequence == 3
            found = await recovered(wfp)
            assert (found.taken, found.frozen) == (300, {})
            assert wfp.holds(lost)
            assert (await recovered(wfp)).taken == 0
            assert faults(wfp) == {}
            (after,) = await write(wfp, 1)
            assert after.header.sequence == 304

    asyncio.run(story())


def test_private_facts_that_are_gone_are_named(mesh: Federation) -> None:
    wfp = mesh["wfp"]

    async def story() -> None:
        async with mesh.running("hub"):
            async with mesh.running("wfp"):
                await write(wfp, 2, audience="private")
                backup = await asyncio.to_thread(Backup, wfp.ledgers)
                await write(wfp, 5, audience="private")
                heads = foreign_heads(mesh.hub.store)
                await eventually(lambda: heads.all().get(PRIVATE, {}).get("sequence") == 7, "the hub was told")
            await lose(wfp, backup)
            found = await recovered(wfp)
            assert set(found.frozen) == {PRIVATE}
            assert "5 private facts are gone" in found.frozen[PRIVATE]

    asyncio.run(story())


def test_a_hub_that_is_away_holds_nobody_up(mesh: Federation) -> None:
    wfp = mesh["wfp"]

    async def story() -> None:
        await write(wfp, 2)
        assert await recovered(wfp) == Recovered()

    asyncio.run(story())


def test_a_disk_that_went_on_after_it_was_put_back_is_not_written_to(mesh: Federation) -> None:
    wfp = mesh["wfp"]

    async def story() -> None:
        async with mesh.running("hub"):
            async with mesh.running("wfp"):
                await write(wfp, 1)
                backup = await asyncio.to_thread(Backup, wfp.ledgers)
                await write(wfp, 2)
                await mesh.level()
                heads = foreign_heads(mesh.hub.store)
                await eventually(lambda: heads.all().get(LEDGER, {}).get("sequence") == 3, "the hub was told")
            await lose(wfp, backup)
            wfp.ledgers.store = LedgerStore(wfp.ledgers.client, wfp.ledgers.settings.database("ledger"))
            await write(wfp, 4)
            found = await recovered(wfp)
            assert found.taken == 0
            assert "another fact there" in found.frozen[LEDGER]

    asyncio.run(story())
