"""Prepares a node whose servers run elsewhere, in two steps that may be repeated.

python -m deploy.node.provision configuration     nats-server.conf and users, into PILOTMESH_HOME/nats/
python -m deploy.node.provision streams           streams and consumers, on PILOTMESH_NATS_URL

And one that runs for as long as the node does:

python -m deploy.node.provision links             who may link is told to the NATS server as members come and go
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deploy.nats import config
from deploy.nats.linking import LinkKeeper
from deploy.node.home import NodeError
from deploy.node.launcher import provision_node
from deploy.node.logs import configure_logging
from shared.ledger.identity import ensure_identity
from shared.settings import Settings

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 60.0
CLUSTER_PORT = 6222
"""NATS's own default for the servers of a cluster among each other."""
SEEN_AT = "/etc/pilotmesh"
"""Where the NATS container has `<home>/nats` (docker-compose.yml)."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Prepare the NATS server of a node.")
    parser.add_argument("step", choices=["configuration", "streams", "links"])
    parser.add_argument(
        "--cluster", metavar="HOST,HOST,HOST", help="one configuration for each server of a NATS cluster"
    )
    parser.add_argument("--store", type=Path, default=Path("/data"), help="JetStream's folder as its server sees it")
    arguments = parser.parse_args()
    settings = Settings()
    configure_logging(settings.log_level, [logging.StreamHandler()])
    if arguments.step == "configuration":
        ensure_identity(settings.home)  # once, before several services would each make one
        hosts = [one.strip() for one in (arguments.cluster or "").split(",") if one.strip()]
        logger.info("wrote %s", write_configuration(settings, arguments.store, hosts))
        return 0
    if arguments.step == "links":
        keeper = LinkKeeper(settings)
        signal.signal(signal.SIGTERM, lambda *_: keeper.stop())  # a container's first process has no default for it
        keeper.run()
        return 0
    try:
        changes = provision_node(settings, patience_seconds=PATIENCE_SECONDS)
    except NodeError as error:
        logger.error("%s", error)
        return 1
    for change in changes or ["streams and consumers are as they should be"]:
        logger.info("%s", change)
    return 0


def write_configuration(settings: Settings, store: Path, hosts: Sequence[str] = ()) -> Path:
    """`<home>/nats/nats-server.conf` for a server that listens on all its addresses, for clients of one network; or
    `nats-server-<host>.conf` for each of these hosts, which form a cluster."""
    alone = config.Place(listen="0.0.0.0:4222", store=str(store), folder=SEEN_AT)
    routes = tuple(f"{host}:{CLUSTER_PORT}" for host in hosts)
    places = [replace(alone, server=host, cluster=f"0.0.0.0:{CLUSTER_PORT}", routes=routes) for host in hosts]
    return config.write_configuration(settings, *(places or [alone]))


if __name__ == "__main__":
    sys.exit(main())
