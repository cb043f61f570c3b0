"""A hub and its members as real nodes, each a process with its own home, ports, domain and database.

They are made by what the commands run (`hub init`, `hub invite`, `node join`), started like any node, and may be
started with few services: `Hub(home, "registry", "mesh")`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from deploy.node.embedded import LOOPBACK, free_port
from deploy.node.hub import HubLink, make_hub
from deploy.node.joining import Joined, join, read_invite
from shared.settings import Settings
from tests.service.running import RunningNode, until

SERVICES = ("registry", "mesh")
"""What a node needs at least to have something to share."""


class Hub(RunningNode):
    """The node that others join. `start` makes it a hub at its first start."""

    def __init__(self, home: Path, *services: str, domain: str = "hub", **environment: str) -> None:
        super().__init__(home, *(services or SERVICES), **environment)
        self.domain = domain
        self.leaf_port = free_port()

    def start(self) -> Self:
        if not (self.home / "nats" / "hub.json").exists():
            link = HubLink((LOOPBACK,), listen=f"{LOOPBACK}:{self.leaf_port}")
            make_hub(Settings(home=self.home, nats_domain=self.domain), link)
        super().start()
        return self

    def invite(self, agency: str, days: int = 14) -> dict[str, Any]:
        """An invite, as `hub invite` writes it."""
        with self.client(self.operator) as client:
            answer = client.post("/mesh/v1/invites", json={"agency": agency, "days": days})
            assert answer.status_code == 201, answer.text
            made: dict[str, Any] = answer.json()
            return made

    def members(self) -> dict[str, dict[str, Any]]:
        with self.client(self.operator) as client:
            return {one["agency"]: one for one in client.get("/mesh/v1/agencies").json()["items"]}

    def set_status(self, agency: str, *, suspended: bool) -> None:
        with self.client(self.operator) as client:
            method = "POST" if suspended else "DELETE"
            answer = client.request(method, f"/mesh/v1/members/{agency}/suspension")
            assert answer.status_code == 200, answer.text


class Member(RunningNode):
    """An agency's node. Use: `Member(home, "wfp").join(hub).start()`."""

    def __init__(self, home: Path, agency: str, *services: str, **environment: str) -> None:
        super().__init__(home, *(services or SERVICES), **environment)
        self.agency = agency
        self.domain = agency
        self.joined: Joined | None = None

    def join(self, hub: Hub, *, leaf: str | None = None) -> Self:
        """Joins with a fresh invite. `leaf` is where the link goes, if not straight to the hub (a proxy between)."""
        invite = hub.invite(self.agency)
        if leaf is not None:
            invite["hub"]["leaf"] = [leaf]
        return self.join_with(invite)

    def join_with(self, invite: Mapping[str, Any]) -> Self:
        settings = Settings(home=self.home, public_url=self.url)
        self.joined = join(settings, read_invite(json.dumps(invite)), post)
        self._admins[self.agency] = self.joined.tokens[self.agency]["admin"]
        return self


def post(address: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
    with httpx.Client(trust_env=False, timeout=30) as client:
        answer = client.post(address, json=dict(document))
    if answer.status_code != 201:
        raise Refusal(answer.status_code, answer.json())
    told: Mapping[str, Any] = answer.json()
    return told


class Refusal(Exception):  # noqa: N818 - what the hub said
    """The hub's problem document."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status}: {problem.get('detail')}")
        self.status = status
        self.problem = problem


def heads(node: RunningNode, *, private: bool = False) -> dict[str, tuple[int, int, str]]:
    """Every ledger's head as the node has it; two nodes that are level answer the same."""
    with node.client(node.operator) as client:
        ledgers = client.get("/mesh/v1/status").json()["ledgers"]
    return {
        one["ledger"]: (one["epoch"], one["sequence"], one["hash"])
        for one in ledgers
        if private or not one["ledger"].endswith(".private")
    }


def until_level(*nodes: RunningNode, seconds: float = 60) -> dict[str, tuple[int, int, str]]:
    """Waits until all nodes hold the same heads of the ledgers for the whole mesh, and answers them."""

    def level() -> dict[str, tuple[int, int, str]] | None:
        first, *others = (heads(node) for node in nodes)
        return first if first and all(other == first for other in others) else None

    found: dict[str, tuple[int, int, str]] = until(level, "all nodes hold the same heads", seconds)
    return found


@contextmanager
def federation(folder: Path, *agencies: str, services: tuple[str, ...] = SERVICES) -> Iterator[tuple[Hub, ...]]:
    """A hub and one node for each agency, started and joined; all are stopped at the end."""
    hub = Hub(folder / "hub", *services)
    nodes: list[Any] = [hub]
    try:
        hub.start()
        for agency in agencies:
            nodes.append(Member(folder / agency, agency, *services).join(hub))
            nodes[-1].start()
        yield tuple(nodes)
    finally:
        for node in nodes:
            node.stop()
