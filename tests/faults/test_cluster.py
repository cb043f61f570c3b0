"""The hub's NATS as three servers: one after the other is killed under load, and nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import gc
import json
import secrets
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from deploy.nats.config import write_private
from deploy.nats.link import Link, Remote, link_of, write_link
from deploy.nats.linking import linked, renew
from deploy.nats.provision import PROVISIONER, connect, provision
from deploy.node.embedded import embedded
from shared.bus import nkey
from shared.bus.reading import read_stream
from shared.bus.subjects import HASH
from shared.facts.fact import Fact
from shared.facts.keys import SigningKey
from shared.facts.names import ANCHOR
from shared.ledger.drafts import Author, Draft
from shared.ledger.identity import HubAddress, Identity, Member, roster_state
from shared.ledger.store import LedgerStore
from shared.settings import Settings
from tests.node.clustered_servers import NAMES, Cluster, cluster
from tests.node.exchanging import MESH, Side, eventually
from tests.node.ledgers import LedgerNode, pilot
from tests.node.test_standby import registering
from tests.service.running import RunningNode, until

STREAMS = ("FACTS", "VERIFIED")

# nats-py leaves a socket to the garbage collector when a server goes away while it connects.
pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@dataclass
class Mesh:
    """A hub on the cluster and a member linked to it."""

    cluster: Cluster
    hub: Side
    wfp: Side


@pytest.fixture
def mesh(tmp_path: Path, mongodb_uri: str) -> Iterator[Mesh]:
    quick = {"heads_seconds": 0.4, "lease_seconds": 1.0, "poll_seconds": 0.2, "mongodb_uri": mongodb_uri}
    anchor, sides = SigningKey.make(), []
    seed, public = nkey.make()
    with cluster(tmp_path / "hub", database_prefix=f"test_{secrets.token_hex(5)}", **quick) as three:
        home = tmp_path / "wfp"
        write_private(home / "nats" / "ca.pem", three.authority.decode())
        leafs = tuple(f"tls://127.0.0.1:{port}" for port in three.leafs.values())
        write_link(home, Link(remote=Remote("hub", leafs, seed, "ca.pem")))
        member = Settings(home=home, nats_domain="wfp", database_prefix=f"test_{secrets.token_hex(5)}", **quick)  # type: ignore[arg-type]
        with embedded(member) as running:
            for settings in (three.settings, running):
                asyncio.run(provision(settings, patience_seconds=60))
                domain = settings.nats_domain
                address = None if domain == "hub" else HubAddress("hub", "http://hub", leafs)
                Identity(MESH, anchor.public, address, domain).write(settings.home)
                made = LedgerNode(settings, mongodb_uri)
                made.keyring.folder.mkdir(exist_ok=True)
                made.keyring.make("unicc" if domain == "hub" else domain)
                sides.append(Side(domain, made))
            hub, wfp = sides
            (hub.ledgers.keyring.folder / f"{ANCHOR}.key").write_text(anchor.secret().hex())
            members = [
                Member("unicc", hub.ledgers.keyring.key("unicc").public, hub.recovery.public, domain="hub"),
                Member("wfp", wfp.ledgers.keyring.key("wfp").public, wfp.recovery.public, domain="wfp", leaf=public),
            ]
            appender = hub.ledgers.appender()
            draft = Draft(ANCHOR, "mesh", "roster", "issued", "mesh", 1, roster_state(members), Author("op", "admin"))
            appender.record(draft)
            before = link_of(three.settings.home)
            told = {"leaves": [{"domain": "wfp", "public": public}]}
            write_private(three.settings.home / "nats" / "members.json", json.dumps(told))
            asyncio.run(renew(three.settings, before))
            try:
                yield Mesh(three, hub, wfp)
            finally:
                for side in sides:
                    for name in side.ledgers.client.list_database_names():
                        if name.startswith(side.ledgers.settings.database_prefix):
                            side.ledgers.client.drop_database(name)
                    side.ledgers.close()
    gc.collect()


@asynccontextmanager
async def writing(side: Side, agency: str) -> AsyncIterator[list[Fact]]:
    """Facts are recorded without a pause, as by clients, while the context lasts; those that were acknowledged."""
    acknowledged: list[Fact] = []
    over = threading.Event()
    appender = side.ledgers.appender()

    def write() -> None:
        while not over.is_set():
            some = [appender.submit(pilot(agency=agency)) for _ in range(8)]
            acknowledged.extend(done.result(60).fact for done in some)
            side.nudge({f"{agency}.registry"})

    task = asyncio.create_task(asyncio.to_thread(write))
    try:
        yield acknowledged
    finally:
        over.set()
        await task


async def stored(settings: Settings, stream: str) -> Counter[str]:
    """How often each fact stands in the stream, by hash."""
    connection = await connect(settings, PROVISIONER, patience_seconds=30)
    try:
        return Counter([message.headers[HASH] async for message in read_stream(connection, stream, ">")])
    finally:
        await connection.close()


def test_a_server_of_three_is_killed_under_load_and_nothing_acknowledged_is_lost(mesh: Mesh, long_form: bool) -> None:
    three, hub, wfp = mesh.cluster, mesh.hub, mesh.wfp

    async def more(written: list[Fact], count: int) -> None:
        wanted = len(written) + count
        await eventually(lambda: len(written) >= wanted, f"{count} more are acknowledged", 120)

    async def story() -> None:
        async with hub.running(), wfp.running():
            async with writing(hub, "unicc") as ours, writing(wfp, "wfp") as theirs:
                await more(ours, 20)
                first = await three.leader()
                for name in (first, *(one for one in NAMES if one != first)) if long_form else (first,):
                    three.kill(name)
                    await more(ours, 40)
                    # The relay goes on through the others, and what it publishes reaches the member.
                    so_far = ours[-1]
                    await eventually(lambda fact=so_far: wfp.holds([fact]), "two servers carry it to the member", 120)
                    await asyncio.to_thread(three.start, name)
                    await until_whole(three)
            await eventually(lambda: wfp.holds(ours), "the member has all of the hub's", 120)
            await eventually(lambda: hub.holds(theirs), "the hub has all of the member's", 120)
            assert wfp.digest() == hub.digest()
            wanted = {"FACTS": {fact.hash for fact in ours}, "VERIFIED": {fact.hash for fact in theirs}}
            for stream, hashes in wanted.items():

                async def is_there(stream: str = stream, hashes: set[str] = hashes) -> bool:
                    found = await stored(three.settings, stream)
                    return hashes <= found.keys() and max(found.values()) == 1

                async with asyncio.timeout(120):
                    while not await is_there():  # noqa: ASYNC110 - as below
                        await asyncio.sleep(0.1)
            assert "wfp" in {leaf["name"] for leaf in await linked(three.settings)}
            assert hub.codes() == wfp.codes() == set()
            print(f"recorded: {len(ours)} at the hub, {len(theirs)} at the member")  # noqa: T201 - the figures of a run

    asyncio.run(story())


async def until_whole(three: Cluster) -> None:
    async with asyncio.timeout(120):
        while not await three.is_whole(*STREAMS):  # noqa: ASYNC110 - what is waited for is in the servers
            await asyncio.sleep(0.1)


def test_a_whole_node_works_on_while_each_of_its_three_nats_servers_is_killed(tmp_path: Path, long_form: bool) -> None:
    if not long_form:
        pytest.skip("a whole node on the cluster: with --long")
    with cluster(tmp_path / "hub") as three:
        settings = three.settings
        environment = {"PILOTMESH_NATS_URL": str(settings.nats_url), "PILOTMESH_STREAM_REPLICAS": "3"}
        node = RunningNode(settings.home, "registry", "mesh", PILOTMESH_NATS_DOMAIN="hub", **environment)
        node.start()
        try:
            with registering(node, "wfp") as acknowledged:
                for name in NAMES:
                    count = len(acknowledged)
                    three.kill(name)
                    until(lambda more=count + 20: len(acknowledged) > more, "pilots are registered meanwhile", 120)
                    three.start(name)
                    asyncio.run(until_whole(three))
            registered = {f"pilot/{one}" for one in acknowledged}
            with MongoClient[dict[str, Any]](node.mongodb_uri, tz_aware=True) as client:
                facts = LedgerStore(client, "pilotmesh_ledger").after("wfp.registry", (1, 0), 100_000)
            held = {fact.hash: fact.header.subject for fact in facts}
            assert registered <= set(held.values())

            def published() -> bool:
                found = asyncio.run(stored(settings, "FACTS"))
                return held.keys() <= found.keys() and max(found.values()) == 1

            until(published, "every fact stands in the stream, once", 120)
            until(lambda: not folds_behind(node, settings), "the services' consumers have read them all", 120)
            print(f"registered over HTTP: {len(acknowledged)}")  # noqa: T201 - the figures of a run
        finally:
            node.stop()


def folds_behind(node: RunningNode, settings: Settings) -> dict[str, int]:
    """Messages that a service's consumer has yet to read or acknowledge, by consumer."""

    async def look() -> dict[str, int]:
        connection = await connect(settings, PROVISIONER, patience_seconds=60)
        try:
            js, behind = connection.jetstream(timeout=5), {}
            for service in node.services:
                info = await js.consumer_info("FACTS", service)
                behind[service] = (info.num_pending or 0) + (info.num_ack_pending or 0)
            return {service: count for service, count in behind.items() if count}
        finally:
            await connection.close()

    return asyncio.run(look())
