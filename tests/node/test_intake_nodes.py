"""Whole nodes, each a process: forgetting reaches every one, also one that was away, and an agency can be paused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import bson
import pytest
from pymongo import MongoClient

from deploy.nats.provision import connect
from deploy.node.home import read_note
from shared.bus.reading import read_stream
from shared.bus.subjects import HASH
from shared.facts.fact import from_wire
from shared.ledger.confirmation import Confirmation
from shared.settings import Settings
from tests.node.federation import Hub, Member, federation, until_level
from tests.service.posting import pilot
from tests.service.running import RunningNode, until

SECRET = "Chief Mwansa of Kasama"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, Member, Member]]:
    with federation(tmp_path_factory.mktemp("mesh"), "wfp", "fao") as running:
        hub, wfp, fao = running
        assert isinstance(wfp, Member)
        assert isinstance(fao, Member)
        yield hub, wfp, fao


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


def redact(node: RunningNode, agency: str, *sequences: int) -> str:
    """Redacts facts of the agency's registry; the redaction's id."""
    with node.client(node.host(agency)) as client:
        places = [f"{agency}.registry:1:{sequence}" for sequence in sequences]
        post = {"ledger": f"{agency}.registry", "facts": places, "reason": "personal_data"}
        answer = client.post("/registry/v1/redactions", json=post)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


def confirmed(node: RunningNode, agency: str, redaction: str) -> dict[str, str | None]:
    """Who has confirmed it, as its agency sees it: by node, whose signature says so."""
    with node.client(node.host(agency)) as client:
        answer = client.get(f"/mesh/v1/redactions/{redaction}")
    if answer.status_code == 404:
        return {}
    told = answer.json()
    nodes = {one["domain"]: one["signed_by"] for one in told["nodes"] if one["confirmed_at"]}
    assert (told["expected"], told["confirmed"]) == (len(told["nodes"]), len(nodes))
    return nodes


def test_forgetting_reaches_every_node_also_one_that_was_away_and_each_confirms_it(
    nodes: tuple[Hub, Member, Member],
) -> None:
    hub, wfp, fao = nodes
    register(wfp, "wfp", f"Call {SECRET}")
    register(wfp, "wfp", "Another")
    until_level(hub, wfp, fao)
    word = SECRET.encode()
    assert in_streams(fao, word)
    assert in_streams(hub, word)
    fao.stop()
    redaction = redact(wfp, "wfp", 1)
    until(lambda: stored(hub, "wfp.registry").get(1) is None and not in_streams(hub, word), "the hub forgets")
    until(lambda: confirmed(wfp, "wfp", redaction).keys() == {"wfp", "hub"}, "two of three confirm")
    with wfp.client(wfp.host("wfp")) as client:
        (told,) = client.get("/mesh/v1/redactions").json()["items"]
    (away,) = [one for one in told["nodes"] if one["domain"] == "fao"]
    assert (told["confirmed"], told["expected"], away["confirmed_at"]) == (2, 3, None)
    assert away["last_contact"] is None or away["last_contact"] < told["recorded_at"]

    invent_confirmation(hub, "wfp", redaction, "fao")
    until(lambda: "confirmation" in refused(wfp), "what the hub invents is refused")
    assert confirmed(wfp, "wfp", redaction).keys() == {"wfp", "hub"}
    withdraw_invented(hub, "fao")

    fao.start()
    until_level(hub, wfp, fao)
    until(lambda: stored(fao, "wfp.registry")[1] is None, "whoever was away forgets")
    until(lambda: not in_streams(fao, word), "and its streams")
    until(lambda: confirmed(wfp, "wfp", redaction).get("fao") == "fao", "and says so, signed by its agency")
    for node in (hub, wfp, fao):
        assert in_databases(node, word) == []
        with node.client(node.operator) as client:
            assert client.post("/mesh/v1/verification").json()["proven"]
    with fao.client(fao.host("fao")) as client:
        assert client.get("/mesh/v1/redactions").json()["items"] == []
        assert client.get(f"/mesh/v1/redactions/{redaction}").status_code == 404


def in_databases(node: RunningNode, word: bytes) -> list[str]:
    """Collections of the node's databases that hold the word anywhere."""
    found = []
    with MongoClient[dict[str, Any]](node.mongodb_uri) as client:
        for database in client.list_database_names():
            for collection in client[database].list_collection_names():
                if any(word in bson.encode(one) for one in client[database][collection].find({})):
                    found.append(f"{database}.{collection}")
    return found


def refused(node: RunningNode) -> set[str]:
    with node.client(node.operator) as client:
        return {one["code"] for one in client.get("/mesh/v1/quarantine").json()["items"]}


def invent_confirmation(hub: RunningNode, agency: str, redaction: str, domain: str) -> None:
    """Whoever runs the hub writes into its database that another node has confirmed."""
    with MongoClient[dict[str, Any]](hub.mongodb_uri) as client:
        mesh = client["pilotmesh_mesh"]
        entry = mesh.forgotten.find_one({"id": redaction, "agency": agency})
        assert entry is not None
        said = Confirmation(entry["_id"], domain, "2026-01-01T00:00:00Z")
        mesh.confirmations.insert_one({"_id": f"{entry['_id']}|{domain}", **said.as_json()})


def withdraw_invented(hub: RunningNode, domain: str) -> None:
    with MongoClient[dict[str, Any]](hub.mongodb_uri) as client:
        mesh = client["pilotmesh_mesh"]
        assert mesh.confirmations.delete_many({"domain": domain}).deleted_count == 1
        mesh.forgotten.update_many({}, {"$set": {"open": True}})


def test_an_agency_can_be_paused(nodes: tuple[Hub, Member, Member]) -> None:
    hub, wfp, fao = nodes
    register(wfp, "wfp", "Before")
    before = set(until_holds_alike(*nodes))
    with fao.client(fao.operator) as client:
        assert client.post("/mesh/v1/pauses", json={"agency": "wfp"}).status_code == 201
        assert client.get("/mesh/v1/status").json()["intake"]["paused"] == ["wfp"]
        register(wfp, "wfp", "Later")
        until_level(hub, wfp)
        assert stored(fao, "wfp.registry").keys() == before
        assert client.delete("/mesh/v1/pauses/wfp").status_code == 204
        until_level(hub, wfp, fao)
        status = client.get("/mesh/v1/status").json()
        assert [peer["domain"] for peer in status["peers"]] == ["hub"]
        assert status["trouble"]["not_authentic"] == status["trouble"]["frozen"] == 0


def until_holds_alike(*nodes: RunningNode) -> list[int]:
    """Sequences of WFP's registry that all of these nodes hold."""
    until_level(*nodes)
    return list(stored(nodes[-1], "wfp.registry"))
