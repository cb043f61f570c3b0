"""What somebody with valid tokens of one agency tries on a node that hosts several, and a visitor with none."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from ipaddress import ip_address
from typing import Any

import httpx
import pytest

from services.notifier.api.events import MOST_STREAMS_OF_AN_AGENCY
from services.notifier.channels.addresses import is_public
from shared.access.actors import ROLES

from .posting import pilot
from .running import RunningNode, until


@pytest.fixture(scope="module")
def owner(node: RunningNode) -> httpx.Client:
    return node.client(node.actor("wfp", list(ROLES)))


@pytest.fixture(scope="module")
def hostile(node: RunningNode) -> httpx.Client:
    return node.client(node.actor("fao", list(ROLES)))


def made(client: httpx.Client, path: str, post: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(path, json=post)
    assert answer.status_code == 201, answer.text
    record: dict[str, Any] = answer.json()
    return record


def test_a_draft_that_is_meant_for_the_mesh_is_in_nobody_elses_list(owner: httpx.Client, hostile: httpx.Client) -> None:
    draft = made(owner, "/registry/v1/pilots", pilot("wfp", draft=True, title={"en": "Unspoken idea"}))
    for asked in ("life=draft&limit=200", "lead=wfp&limit=200", f"ids={draft['id']}", "q=unspoken"):
        own = owner.get(f"/registry/v1/pilots?{asked}").json()["items"]
        assert draft["id"] in [one["id"] for one in own], asked
        theirs = hostile.get(f"/registry/v1/pilots?{asked}")
        assert theirs.status_code == 200
        assert "Unspoken idea" not in theirs.text, asked


def test_a_draft_is_listed_to_the_mesh_once_it_opens(owner: httpx.Client, hostile: httpx.Client) -> None:
    draft = made(owner, "/registry/v1/pilots", pilot("wfp", draft=True))
    opened = owner.patch(f"/registry/v1/pilots/{draft['id']}", json={"draft": False}, headers={"If-Match": '"1"'})
    assert opened.json()["life"] == "open", opened.text
    listed = hostile.get("/registry/v1/pilots", params={"ids": draft["id"]}).json()["items"]
    assert [one["id"] for one in listed] == [draft["id"]]


def test_handing_in_observations_tells_nothing_of_a_private_plan(owner: httpx.Client, hostile: httpx.Client) -> None:
    secret = made(owner, "/registry/v1/pilots", pilot("wfp", visibility="private"))
    plan = {"pilot": secret["id"], "code": "P1", "title": {"en": "x"}, "unit": "households", "measure": "sum"}
    until(lambda: owner.get(f"/metrics/v1/pilots/{secret['id']}/results").status_code == 200, "metrics knows the pilot")
    indicator = made(owner, "/metrics/v1/plans", plan)["id"]
    until(lambda: indicator in owner.get("/metrics/v1/plans", params={"pilot": secret["id"]}).text, "the plan is known")

    def faults_of(named: str) -> str:
        row = {
            "id": "1",
            "indicator": named,
            "pilot": secret["id"],
            "period": {"start": "2026-10-01", "end": "2026-10-31"},
            "basis": "measured",
            "value": -5,
            "unit": "no such unit",
            "site": "zz",
        }
        answer = hostile.post("/metrics/v1/observations", json=[row])
        assert answer.status_code == 422, answer.text
        return answer.text.replace(named, "…")

    assert faults_of(indicator) == faults_of("01a20410-0000-7000-8000-000000000000")


def test_one_agency_cannot_take_all_streams(node: RunningNode, owner: httpx.Client) -> None:
    greedy = node.actor("iom", ["viewer"])
    asking = f"GET /notifier/v1/stream HTTP/1.1\r\nHost: node\r\nAuthorization: Bearer {greedy}\r\n\r\n".encode()

    def open_stream() -> socket.socket:
        wire = socket.create_connection(("127.0.0.1", node.port), timeout=30)
        wire.sendall(asking)
        return wire

    with ExitStack() as held:
        for _ in range(MOST_STREAMS_OF_AN_AGENCY):
            wire = held.enter_context(open_stream())
            assert wire.recv(65536).startswith(b"HTTP/1.1 200 ")
        with open_stream() as one_more:
            assert one_more.recv(65536).startswith(b"HTTP/1.1 429 ")
        with owner.stream("GET", "/notifier/v1/stream") as answer:
            assert answer.status_code == 200


def test_an_address_with_two_slashes_makes_no_link_to_another_host(node: RunningNode) -> None:
    asking = b"GET //elsewhere.example/x HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as wire:
        wire.sendall(asking)
        page = b""
        while part := wire.recv(65536):
            page += part
    assert b" 404 " in page.splitlines()[0]
    assert b'href="/elsewhere.example/x' in page
    assert b'"//elsewhere.example' not in page


@pytest.mark.parametrize(
    "address", ["fec0::1", "3fff::1", "192.0.0.8", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "0.0.0.0"]
)
def test_a_webhook_goes_to_no_address_inside(address: str) -> None:
    assert not is_public(ip_address(address))
