"""A hub's NATS as three servers of a cluster, each a process with its own disk, killed and started one by one."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nats.errors
from nats.aio.client import Client
from nats.js.api import ClusterInfo
from nats.js.errors import APIError

from deploy.nats import config
from deploy.nats.authority import make_authority, make_server_certificate
from deploy.nats.config import Place, write_private
from deploy.nats.link import Link, Listener, write_link
from deploy.nats.provision import PROVISIONER, connect
from deploy.node.embedded import LOOPBACK, executable, free_port, nats_answers
from shared.settings import Settings
from tests.service.running import until

NAMES = ("one", "two", "three")


@dataclass
class Cluster:
    """`settings` are the node's."""

    settings: Settings
    ports: dict[str, int]
    leafs: dict[str, int]
    authority: bytes
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        file = self.settings.home / "nats" / f"nats-server-{name}.conf"
        log = (self.settings.home / f"{name}.log").open("ab")
        with log:
            command = [executable("nats-server", "PILOTMESH_NATS_URL"), "--config", str(file)]
            self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log)
        until(lambda: nats_answers(self.ports[name]), f"{name} answers")

    def kill(self, name: str) -> None:
        """As kill -9 does."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait(30)

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait(30)

    async def leader(self, stream: str = "FACTS") -> str:
        """Which server decides for the stream now."""
        async with asyncio.timeout(120):
            while True:
                told = (await self._told(stream))[0]
                if told is not None and told.leader is not None:
                    return told.leader.removeprefix("hub-")
                await asyncio.sleep(0.1)

    async def is_whole(self, *streams: str) -> bool:
        """Whether all three hold all of these streams, without a lag."""
        for told in await self._told(*streams):
            replicas = [] if told is None else told.replicas or []
            if len(replicas) != 2 or not all(one.current and not one.offline for one in replicas):
                return False
        return True

    async def _told(self, *streams: str) -> list[ClusterInfo | None]:
        """What each stream's leader says of its servers; None while there is no leader."""
        connection = await connect(self.settings, PROVISIONER, patience_seconds=60)
        try:
            return [await self._told_of(connection, stream) for stream in streams]
        finally:
            await connection.close()

    async def _told_of(self, connection: Client, stream: str) -> ClusterInfo | None:
        try:
            return (await connection.jetstream(timeout=2).stream_info(stream)).cluster
        except (nats.errors.Error, APIError):
            return None


@contextmanager
def cluster(home: Path, **settings: object) -> Iterator[Cluster]:
    """Three servers with leaf listeners, as the configuration for a cluster has them."""
    ports, leafs, between = ({name: free_port() for name in NAMES} for _ in range(3))
    servers = ",".join(f"nats://{LOOPBACK}:{port}" for port in ports.values())
    made = Settings(home=home, nats_url=servers, nats_domain="hub", stream_replicas=3, **settings)  # type: ignore[arg-type]
    authority, key = make_authority("test")
    certificate, certificate_key = make_server_certificate(authority, key, [LOOPBACK])
    for name, content in (("ca.pem", authority), ("server.pem", certificate), ("server.key", certificate_key)):
        write_private(home / "nats" / name, content.decode())
    routes = tuple(f"{LOOPBACK}:{port}" for port in between.values())
    places = [
        Place(
            listen=f"{LOOPBACK}:{ports[name]}",
            store=str(home / "jetstream" / name),
            folder=str(home / "nats"),
            server=name,
            cluster=f"{LOOPBACK}:{between[name]}",
            routes=routes,
            leafs=f"{LOOPBACK}:{leafs[name]}",
        )
        for name in NAMES
    ]
    write_link(home, Link(Listener(f"{LOOPBACK}:0", "server.pem", "server.key", "ca.pem")))
    leaf = [f"tls://{LOOPBACK}:{port}" for port in leafs.values()]
    write_private(home / "nats" / "hub.json", json.dumps({"leaf": leaf, "authority": authority.decode()}))
    config.write_configuration(made, *places)
    with ExitStack() as stack:
        running = Cluster(made, ports, leafs, authority)
        stack.callback(running.stop)
        for name in NAMES:
            running.start(name)
        yield running
