"""A hub's and two members' NATS servers, linked by TLS and nkeys as the real configuration has it; nothing else."""

from __future__ import annotations

import asyncio
import gc
import json
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
from nats.aio.client import Client

from deploy.nats import link
from deploy.nats.authority import make_authority, make_server_certificate
from deploy.nats.config import write_private
from deploy.nats.link import link_of
from deploy.nats.linking import renew
from deploy.nats.provision import connect, provision
from deploy.node.embedded import LOOPBACK, embedded, free_port
from deploy.node.hub import HubLink, make_hub
from shared.bus import nkey
from shared.bus.links import inbox_for
from shared.ledger.identity import HubAddress, Identity
from shared.settings import Settings

HUB = "hub"


@dataclass
class Servers:
    """Settings of the three, by domain."""

    settings: dict[str, Settings]
    port: int

    def admit(self, *domains: str) -> None:
        """Exactly these may link from now on, as a change of the roster makes it."""
        home = self.settings[HUB].home
        before = link_of(home)
        leaves = [{"domain": one, "public": nkey.public_of(seed_of(self.settings[one].home))} for one in domains]
        write_private(home / "nats" / "members.json", json.dumps({"leaves": leaves}))
        asyncio.run(renew(self.settings[HUB], before))


@contextmanager
def no_restraint() -> Iterator[None]:
    """Configurations rendered meanwhile allow and deny nothing on the link."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(link, "denied_from_hub", lambda domain: ["never.>"])
        patch.setattr(link, "denied_to_hub", lambda: ["never.>"])
        patch.setattr(link, "leaf_permissions", lambda leaf, hub: ([">"], [">"]))
        yield


def seed_of(home: Path) -> str:
    told: dict[str, dict[str, str]] = json.loads((home / "nats" / "link.json").read_text())
    return told["remote"]["seed"]


@contextmanager
def no_word_of_attempts() -> Iterator[None]:
    """nats-py now and then leaves the socket of a first attempt to connect open; whoever collects it would be told."""
    try:
        yield
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@contextmanager
def linked_servers(
    folder: Path,
    *members: str,
    dishonest: str | None = None,
    standby: str | None = None,
    websocket: bool = False,
    host: str = LOOPBACK,
    through: Callable[[str, int], int] | None = None,
) -> Iterator[Servers]:
    """A hub's server with a leaf listener, and members' servers whose users it does not know yet; the member that is
    the `standby` has a listener too. With `websocket` members know no other way to the hub. At `host` the hub listens.
    `through` names, by member and the hub's port, the port at which that member finds the hub.

    The one that is `dishonest` holds itself to nothing on the link: what is refused, the other side refuses.
    """
    port = free_port()
    authority, key = make_authority("test")
    certificate, certificate_key = make_server_certificate(authority, key, [host])
    with no_word_of_attempts(), ExitStack() as stack:
        homes = {domain: folder / domain for domain in (HUB, *members)}
        for name, content in (("ca.pem", authority), ("server.pem", certificate), ("server.key", certificate_key)):
            write_private(homes[HUB] / "nats" / name, content.decode())
        listener = {
            "listen": f"{host}:{port}",
            "certificate": "server.pem",
            "key": "server.key",
            "authority": "ca.pem",
        }
        address = f"tls://{host}:{port}"
        if websocket:
            other = free_port()
            listener["websocket"], address = f"{host}:{other}", f"wss://{host}:{other}"
        write_private(homes[HUB] / "nats" / "link.json", json.dumps({"listener": listener}))
        told = {"leaf": [f"tls://{host}:{port}"], "authority": authority.decode()}
        write_private(homes[HUB] / "nats" / "hub.json", json.dumps(told))
        for member in members:
            write_private(homes[member] / "nats" / "ca.pem", authority.decode())
            seed, _ = nkey.make()
            urls = [address] if through is None else [f"tls://{LOOPBACK}:{through(member, port)}"]
            remote = {"domain": HUB, "urls": urls, "seed": seed, "authority": "ca.pem"}
            write_private(homes[member] / "nats" / "link.json", json.dumps({"remote": remote}))
        if standby is not None:
            link = HubLink(("127.0.0.1",), listen=f"127.0.0.1:{free_port()}")
            Identity("test", b"", HubAddress(HUB, "http://hub", ()), standby).write(homes[standby])
            make_hub(Settings(home=homes[standby]), link, standby=True)
        running = {}
        for domain, home in homes.items():
            settings = Settings(home=home, mongodb_uri="mongodb://unused", nats_domain=domain)
            with no_restraint() if domain == dishonest else nullcontext():
                running[domain] = stack.enter_context(embedded(settings))
            asyncio.run(provision(running[domain]))
        yield Servers(running, port)


async def intake_of(settings: Settings, peer: str) -> Client:
    """Signed in as the node's intake, for what this peer delivers."""
    return await user_of(settings, "intake", inbox_for(settings.nats_domain, peer))


async def user_of(settings: Settings, user: str, inbox: str) -> Client:
    import nats

    _, password = settings.nats_login(user)
    return await nats.connect(
        settings.nats_url or "", user=user, password=password, inbox_prefix=inbox, max_reconnect_attempts=2,
        error_cb=_quiet,
    )  # fmt: skip


async def provisioner_of(settings: Settings) -> Client:
    return await connect(settings, "provisioner")


async def _quiet(_: Exception) -> None:
    """Refusals are what is looked for."""


async def eventually(condition: Callable[[], Awaitable[object]], what: str, seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - what is waited for is in servers, not in this loop
            await asyncio.sleep(0.02)
