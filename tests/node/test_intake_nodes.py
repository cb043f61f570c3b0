"""Whole nodes, each a process: forgetting reaches every one, also one that was away, and an agency can be paused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from deploy.nats.provision import connect
from deploy.node.home import read_note
from shared.bus.reading import read_stream
from shared.bus.subjects import HASH
from shared.facts.fact import from_wire
from shared.settings import Settings
from tests.node.federation import federation, until_level
from tests.service.posting import pilot
from tests.service.running import RunningNode, until

SECRET = "Chief Mwansa of Kasama"


def register(node: RunningNode, agency: str, title: str) -> dict[str, Any]:
    with node.client(node.actor(agency, ["officer"])) as client:
        answer = client.post("/registry/v1/pilots", json=pilot(agency, title={"en": title}))
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made


def stored(node: RunningNode, ledger: str) -> dict[int, bytes | None]:
    """Payloads by sequence, as the node's database holds them."""
    with MongoClient[dict[str, Any]](node.mongodb_uri) as client:
        return {one["sequence"]: one["payload"] for one in client["pilotmesh_ledger"].facts.find({"ledger": ledger})}


def in_streams(node: RunningNode, word: bytes) -> list[str]:
    """Hashes of facts in the node's streams whose content holds this."""
    settings = Settings(home=node.home, nats_url=read_note(node.home)["nats_url"])

    async def look() -> list[str]:
        connection = await connect(settings, "provisioner")
        try:
            found = []
            for stream in ("FACTS", "VERIFIED"):
                async for message in read_stream(connection, stream, ">"):
                    if word in (from_wire(message.data).payload or b""):
                        found.append(message.headers[HASH])
            return found
        finally:
            await connection.close()

    return asyncio.run(look())


def test_forgetting_reaches_every_node_also_one_that_was_away(tmp_path: Path) -> None:
    with federation(tmp_path, "wfp", "fao") as (hub, wfp, fao):
        register(wfp, "wfp", f"Call {SECRET}")
        register(wfp, "wfp", "Another")
        until_level(hub, wfp, fao)
        word = SECRET.encode()
        assert in_streams(fao, word)
        assert in_streams(hub, word)
        fao.stop()
        with wfp.client(wfp.host("wfp")) as client:
            post = {"ledger": "wfp.registry", "facts": ["wfp.registry:1:1"], "reason": "personal_data"}
            answer = client.post("/registry/v1/redactions", json=post)
            assert answer.status_code == 201, answer.text
        until(lambda: stored(hub, "wfp.registry").get(1) is None and not in_streams(hub, word), "the hub forgets")
        fao.start()
        until_level(hub, wfp, fao)
        until(lambda: stored(fao, "wfp.registry")[1] is None, "whoever was away forgets")
        until(lambda: not in_streams(fao, word), "and its streams")
        for node in (hub, wfp, fao):
            with node.client(node.operator) as client:
                assert client.post("/mesh/v1/verification").json()["proven"]

        with fao.client(fao.operator) as client:
            assert client.post("/mesh/v1/pauses", json={"agency": "wfp"}).status_code == 201
            assert client.get("/mesh/v1/status").json()["intake"]["paused"] == ["wfp"]
            register(wfp, "wfp", "Later")
            until_level(hub, wfp)
            assert stored(fao, "wfp.registry").keys() == {1, 2, 3}
            assert client.delete("/mesh/v1/pauses/wfp").status_code == 204
            until_level(hub, wfp, fao)
            status = client.get("/mesh/v1/status").json()
            assert status["verified"]["proven"]
            assert [peer["domain"] for peer in status["peers"]] == ["hub"]
            assert status["trouble"]["not_authentic"] == status["trouble"]["frozen"] == 0
