"""The mesh service on a running node: hosting, forgetting, what forgers put on NATS, how the node says it stands."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from deploy.nats.provision import connect
from deploy.node.home import read_note
from shared.bus.reading import read_stream
from shared.bus.subjects import headers_of, subject_of
from shared.facts.fact import to_wire
from shared.settings import Settings
from tests.service.running import RunningNode, until
from tests.unit.facts.chains import Chain, key_of

PILOT = {
    "title": {"en": "Crop-loss early warning for smallholders"},
    "summary": {"en": "Warns of crop loss."},
    "problem": {"en": "Losses are seen too late."},
    "lead_agency": "wfp",
    "countries": ["ZMB"],
    "sdg_targets": ["2.3"],
    "roadmap_measures": ["3.3"],
    "layers": ["data"],
    "uncertainty": "some",
    "target_groups": ["rural"],
    "people_reached": 120000,
    "needs": [{"code": "data.earth_observation", "country": "ZMB", "quantity": 1, "essential": True}],
    "starts_on": "2027-01-01",
    "ends_on": "2027-12-31",
    "visibility": "mesh",
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    running = RunningNode(tmp_path_factory.mktemp("mesh"), "mesh", "registry")
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture(scope="module")
def operator(node: RunningNode) -> httpx.Client:
    return node.client(node.operator)


@pytest.fixture(scope="module")
def admin(node: RunningNode) -> httpx.Client:
    return node.client(node.host("wfp"))


@pytest.fixture(scope="module")
def officer(node: RunningNode) -> httpx.Client:
    return node.client(node.actor("wfp", ["officer"]))


def nats_settings(node: RunningNode) -> Settings:
    port = read_note(node.home)["servers"]["nats-server"]["port"]
    return Settings(home=node.home, nats_url=f"nats://127.0.0.1:{port}")


def publish(node: RunningNode, *messages: tuple[str, bytes, dict[str, str] | None]) -> None:
    """As somebody who has got hold of the relay's login."""

    async def publishing() -> None:
        connection = await connect(nats_settings(node), "mesh")
        try:
            for subject, data, headers in messages:
                await connection.jetstream().publish(subject, data, headers=headers)
        finally:
            await connection.close()

    asyncio.run(publishing())


def waiting_messages(node: RunningNode, service: str) -> int:
    """Messages that the service's consumers have yet to take or to acknowledge."""

    async def asking() -> int:
        connection = await connect(nats_settings(node), "provisioner")
        try:
            js = connection.jetstream()
            states = [await js.consumer_info(stream, service) for stream in ("FACTS", "PRIVATE", "VERIFIED")]
            return sum((state.num_pending or 0) + (state.num_ack_pending or 0) for state in states)
        finally:
            await connection.close()

    return asyncio.run(asking())


def is_read(node: RunningNode, service: str) -> bool:
    return waiting_messages(node, service) == 0


def in_stream(node: RunningNode, place: str) -> list[dict[str, Any]]:
    """The messages of one fact, `<ledger>:<epoch>:<sequence>`, in FACTS."""

    async def reading() -> list[dict[str, Any]]:
        connection = await connect(nats_settings(node), "provisioner")
        try:
            found = []
            async for message in read_stream(connection, "FACTS", ">"):
                told = [message.headers.get(f"Pilotmesh-{name}") for name in ("Ledger", "Epoch", "Sequence")]
                if ":".join(str(one) for one in told) == place:
                    found.append(json.loads(message.data))
            return found
        finally:
            await connection.close()

    return asyncio.run(reading())


def register(officer: httpx.Client, **changes: Any) -> dict[str, Any]:
    answer = officer.post("/registry/v1/pilots", json={**PILOT, **changes})
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


def assert_proven(operator: httpx.Client) -> None:
    proof = operator.post("/mesh/v1/verification").json()
    assert proof["proven"], proof


# -- hosting and actors ------------------------------------------------------------------------------------------


def test_only_the_operator_hosts_agencies(admin: httpx.Client, officer: httpx.Client) -> None:
    for client in (admin, officer):
        assert client.post("/mesh/v1/agencies", json={"agency": "undp"}).status_code == 403


@pytest.mark.parametrize("slug", ["", "WFP", "a", "hub", "node", "wfp.registry", "x" * 40, None, 7, ["wfp"], "../keys"])
def test_a_name_that_no_agency_can_have_is_refused(operator: httpx.Client, slug: object) -> None:
    answer = operator.post("/mesh/v1/agencies", json={"agency": slug})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == "agency"


def test_an_agency_is_hosted_once_even_when_many_ask_at_once(node: RunningNode, operator: httpx.Client) -> None:
    def host(_: int) -> int:
        return operator.post("/mesh/v1/agencies", json={"agency": "unicef"}).status_code

    with ThreadPoolExecutor(6) as clients:
        statuses = sorted(clients.map(host, range(6)))
    assert statuses == [201, 409, 409, 409, 409, 409]
    listed = [one["agency"] for one in operator.get("/mesh/v1/agencies").json()["items"]]
    assert listed.count("unicef") == 1
    assert_proven(operator)


def test_hosting_that_was_not_answered_is_finished_by_the_next_call(node: RunningNode, operator: httpx.Client) -> None:
    """The roster was written, then the node was killed: the key that it binds was not shown to anybody yet."""
    first = operator.post("/mesh/v1/agencies", json={"agency": "ilo"}).json()
    assert not list(node.home.glob("keys/*.recovery"))
    (node.home / "keys" / "ilo.recovery").write_text(first["recovery_key"] + "\n")
    again = operator.post("/mesh/v1/agencies", json={"agency": "ilo"})
    assert again.status_code == 201, again.text
    for name in ("recovery_key", "public_key"):
        assert again.json()[name] == first[name]
    assert node.client(again.json()["admin"]["token"]).get("/mesh/v1/me").json()["agency"] == "ilo"
    assert operator.post("/mesh/v1/agencies", json={"agency": "ilo"}).status_code == 409
    listed = [one["agency"] for one in operator.get("/mesh/v1/agencies").json()["items"]]
    assert listed.count("ilo") == 1


def test_an_admin_adds_and_removes_actors_of_its_own_agency_alone(node: RunningNode, admin: httpx.Client) -> None:
    added = node.new_actor("wfp", ["officer"])
    theirs = node.client(added["token"])
    assert theirs.get("/mesh/v1/me").json()["id"] == added["id"]
    assert theirs.post("/mesh/v1/actors", json={"roles": ["admin"]}).status_code == 403
    stranger = node.client(node.host("fao"))
    assert stranger.delete(f"/mesh/v1/actors/{added['id']}").status_code == 404
    assert admin.delete(f"/mesh/v1/actors/{added['id']}").status_code == 204
    assert theirs.get("/mesh/v1/me").status_code == 401
    assert admin.post("/mesh/v1/sign-in-links", json={"actor": added["id"]}).status_code == 404
    faults = admin.post("/mesh/v1/actors", json={"roles": ["king"], "countries": ["Zambia"], "languages": "en"})
    assert {fault["field"] for fault in faults.json()["errors"]} == {"roles", "countries", "languages"}
    wrong_roles: list[object] = [[], "admin", [["admin"]], [{}], None]
    for roles in wrong_roles:
        assert admin.post("/mesh/v1/actors", json={"roles": roles}).status_code == 422
    odd: list[dict[str, object]] = [{"languages": [["en"]]}, {"languages": [{}]}, {"countries": [7]}, {"name": 7}]
    for more in odd:
        assert admin.post("/mesh/v1/actors", json={"roles": ["viewer"], **more}).status_code == 422


def test_a_sign_in_link_is_good_once(node: RunningNode, admin: httpx.Client) -> None:
    actor = node.new_actor("wfp", ["officer"])
    made = admin.post("/mesh/v1/sign-in-links", json={"actor": actor["id"]}).json()
    anybody = node.client()
    assert anybody.get(f"/mesh/v1/sign-in-links/{made['code']}").json()["id"] == actor["id"]

    def sign_in(_: int) -> httpx.Response:
        return anybody.post("/mesh/v1/sessions", json={"code": made["code"]})

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(sign_in, range(8)))
    assert sorted(answer.status_code for answer in answers) == [201, *[404] * 7]
    session = next(answer.json()["token"] for answer in answers if answer.status_code == 201)
    signed_in = node.client(session)
    assert signed_in.get("/mesh/v1/me").json()["id"] == actor["id"]
    assert signed_in.delete("/mesh/v1/sessions").status_code == 204
    assert signed_in.get("/mesh/v1/me").status_code == 401
    assert anybody.post("/mesh/v1/sessions", json={"code": 7}).status_code == 422


# -- what forgers put on NATS ------------------------------------------------------------------------------------


def test_malformed_and_forged_messages_are_shown_and_stop_nobody(
    node: RunningNode, operator: httpx.Client, officer: httpx.Client
) -> None:
    before = register(officer)
    head = {"Pilotmesh-Ledger": "wfp.registry", "Pilotmesh-Epoch": "1", "Pilotmesh-Sequence": "1"}
    forged = Chain(key=key_of("mallory")).add()
    registered, deep = "facts.wfp.registry.pilot.registered", b"[" * 100_000
    publish(
        node,
        (registered, b"", None),
        (registered, deep, {**head, "Pilotmesh-Hash": "0" * 64}),
        (registered, b"{}", {**head, "Pilotmesh-Ledger": "fao.registry", "Pilotmesh-Hash": "1" * 64}),
        (registered, b"{}", {**head, "Pilotmesh-Epoch": "first", "Pilotmesh-Hash": "2" * 64}),
        (registered, b"{}", {**head, "Pilotmesh-Sequence": "9" * 5000, "Pilotmesh-Hash": "3" * 64}),
        ("facts.x", b"\xff\xfe", {"Pilotmesh-Ledger": "\xff"}),
        ("facts.wfp.registry.pilot.registered.more.and.more", b"{}", None),
        ("verified.who.registry.pilot.registered", b"{}", {**head, "Pilotmesh-Hash": "4" * 64}),
        (subject_of(forged), to_wire(forged), headers_of(forged)),
    )

    def shown() -> set[str]:
        entries = operator.get("/mesh/v1/quarantine").json()["items"]
        assert all(entry["remedy"] and entry["detail"] and entry["digest"] for entry in entries)
        return {entry["code"] for entry in entries}

    until(lambda: shown() >= {"unreadable", "unknown_fact"}, "the forgeries are shown")
    after = register(officer)
    assert officer.get(f"/registry/v1/pilots/{after['id']}").status_code == 200
    for service in ("registry", "mesh"):
        until(partial(is_read, node, service), f"{service} has taken every message")
    assert officer.get(f"/registry/v1/pilots/{before['id']}").status_code == 200
    assert officer.get("/mesh/v1/quarantine").status_code == 403
    assert_proven(operator)


@pytest.mark.parametrize("nudge", [b"", b"[", b'["nowhere.at.all"]', b'["wfp.banking"]', b"[" * 100_000, b"7"])
def test_a_malformed_nudge_stops_nobody(node: RunningNode, officer: httpx.Client, nudge: bytes) -> None:
    async def nudging() -> None:
        connection = await connect(nats_settings(node), "registry")
        await connection.publish("nudge.registry", nudge)
        await connection.close()

    asyncio.run(nudging())
    place = register(officer)["ledger_place"]
    until(lambda: in_stream(node, place), "the relay goes on")


# -- forgetting --------------------------------------------------------------------------------------------------


def test_what_is_redacted_is_gone_from_store_stream_and_rows_and_the_chain_still_proves(
    node: RunningNode, operator: httpx.Client, admin: httpx.Client, officer: httpx.Client
) -> None:
    pilot = register(officer, title={"en": "Names a person"})
    place = pilot["ledger_place"]
    until(lambda: in_stream(node, place), "it is published")
    answer = admin.post(
        "/registry/v1/redactions", json={"ledger": "wfp.registry", "facts": [place], "reason": "personal_data"}
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["facts"][0]["subject"] == f"pilot/{pilot['id']}"

    def is_forgotten() -> bool:
        copies = in_stream(node, place)
        return bool(copies) and all(copy["payload"] is None and copy["salt"] is None for copy in copies)

    until(is_forgotten, "the stream has forgotten it")
    with MongoClient[dict[str, Any]](node.mongodb_uri) as client:
        found = client["pilotmesh_ledger"]["facts"].find_one({"aggregate": f"pilot/{pilot['id']}"})
    assert found is not None
    assert (found["payload"], found["salt"]) == (None, None)
    assert "Names a person" not in repr(found)
    until(lambda: officer.get(f"/registry/v1/pilots/{pilot['id']}").status_code == 410, "its row has forgotten it")
    assert_proven(operator)


def test_nobody_redacts_for_another_nor_what_is_not_there(
    node: RunningNode, admin: httpx.Client, officer: httpx.Client
) -> None:
    place = register(officer)["ledger_place"]
    post = {"ledger": "wfp.registry", "facts": [place], "reason": "error"}
    assert officer.post("/registry/v1/redactions", json=post).status_code == 403
    assert node.client(node.host("fao")).post("/registry/v1/redactions", json=post).status_code == 403
    changes: list[dict[str, object]] = [
        {"reason": "because"},
        {"facts": []},
        {"facts": ["wfp.registry:1:999999"]},
        {"facts": ["fao.registry:1:1"]},
        {"facts": ["wfp.registry:1:" + "9" * 40]},
        {"facts": [7, None, {}]},
        {"ledger": "wfp.metrics"},
        {"ledger": 7},
        {"ledger": "wfp.registry.everybody"},
    ]
    for change in changes:
        answer = admin.post("/registry/v1/redactions", json={**post, **change})
        assert answer.status_code == 422, (change, answer.text)
        assert answer.json()["errors"]


def test_a_redaction_itself_stays(admin: httpx.Client, officer: httpx.Client) -> None:
    place = register(officer)["ledger_place"]
    post = {"ledger": "wfp.registry", "facts": [place], "reason": "error"}
    key = {"Idempotency-Key": "redact once"}
    first = admin.post("/registry/v1/redactions", json=post, headers=key)
    again = admin.post("/registry/v1/redactions", json=post, headers=key)
    assert first.json()["id"] == again.json()["id"]
    heads = admin.get("/mesh/v1/heads").json()["items"]
    head = next(one for one in heads if one["ledger"] == "wfp.registry")
    redaction = f"wfp.registry:{head['epoch']}:{head['sequence']}"
    answer = admin.post("/registry/v1/redactions", json={**post, "facts": [redaction]})
    assert answer.status_code == 422
    assert "those stay" in answer.json()["errors"][0]["detail"]


# -- how the node stands -----------------------------------------------------------------------------------------


def test_the_node_says_how_it_stands_to_its_actors_alone(
    node: RunningNode, operator: httpx.Client, officer: httpx.Client
) -> None:
    register(officer)

    def level() -> bool:
        ledgers = operator.get("/mesh/v1/status").json()["ledgers"]
        return all(one["lag"] == 0 for one in ledgers)

    until(level, "the relay is level")
    status = officer.get("/mesh/v1/status").json()
    assert status["relay"] == {"leads": True, "trouble": None}
    assert {"hub.mesh", "wfp.registry"} <= {one["ledger"] for one in status["ledgers"]}
    for path in ("status", "heads", "agencies", "quarantine", "me", "actors"):
        assert node.client().get(f"/mesh/v1/{path}").status_code == 401
    assert officer.post("/mesh/v1/verification").status_code == 403


def test_an_agency_is_not_told_of_anothers_private_ledgers(node: RunningNode, operator: httpx.Client) -> None:
    theirs, others = (node.client(node.actor(agency, ["officer"])) for agency in ("itu", "wfp"))
    place = register(theirs, lead_agency="itu", visibility="private")["ledger_place"]
    ledger = place.split(":")[0]
    assert ledger == "itu.registry.private"
    for path, listed in (("status", "ledgers"), ("heads", "items")):

        def names(client: httpx.Client, path: str = path, listed: str = listed) -> set[str]:
            return {one["ledger"] for one in client.get(f"/mesh/v1/{path}").raise_for_status().json()[listed]}

        assert ledger in names(operator) & names(theirs)
        assert ledger not in names(others)


def test_what_is_answered_to_anyone_is_not_answered_without_end(node: RunningNode, operator: httpx.Client) -> None:
    with node.client() as anyone:
        assert anyone.get("/mesh/v1/hub", params={"sequence": 2**40}).status_code == 422
        deadline = time.monotonic() + 60
        while (answer := anyone.post("/mesh/v1/homes", json={"agencies": {}})).status_code == 403:
            assert time.monotonic() < deadline, "it is answered without end"
        assert answer.status_code == 429
        assert answer.json()["type"].endswith("too-many")
        for path in ("members/wfp/moves", "homes"):
            assert anyone.post(f"/mesh/v1/{path}", json={}).status_code == 429
    assert operator.get("/mesh/v1/status").status_code == 200, "who has a token is not concerned"


def test_a_stream_is_filled_again_on_demand(node: RunningNode, operator: httpx.Client, officer: httpx.Client) -> None:
    place = register(officer)["ledger_place"]
    until(lambda: in_stream(node, place), "it is published")

    async def purge() -> None:
        connection = await connect(nats_settings(node), "provisioner")
        await connection.jetstream().purge_stream("FACTS")
        await connection.close()

    asyncio.run(purge())
    assert not in_stream(node, place)
    told = operator.post("/mesh/v1/ledgers/wfp.registry/republication?from=1").json()
    assert told["published"] > 0
    assert len(in_stream(node, place)) == 1
    again = operator.post("/mesh/v1/ledgers/wfp.registry/republication").json()
    assert (again["published"], again["already_there"]) == (0, told["published"] + told["already_there"])
    assert operator.post("/mesh/v1/ledgers/wfp.banking/republication").status_code == 422
    assert operator.post("/mesh/v1/ledgers/who.registry/republication").status_code == 404
    assert officer.post("/mesh/v1/ledgers/wfp.registry/republication").status_code == 403
