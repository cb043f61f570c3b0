"""The running node, over HTTP: every part ready, the relay publishing, no ledger waiting."""

from __future__ import annotations

import time
from collections.abc import Iterator

from deploy.cli.checks.finding import Finding, odd, some, well, wrong
from deploy.cli.connection import Connection
from deploy.cli.operating import readiness, trouble_of
from deploy.cli.speaking import Trouble

PATIENCE_SECONDS = 3.0


def parts_are_ready(node: Connection) -> Iterator[Finding]:
    """Each part of `/readyz`: the database, NATS, the follower, the workers of every service."""
    try:
        told = readiness(node)
    except Trouble as trouble:
        yield wrong("node", trouble.sentence, trouble.remedy)
        return
    yield well("node", f"answers at {node.url}")
    for name, part in told["parts"].items():
        if (trouble_ := trouble_of(part)) is not None:
            yield wrong("services", f"{name}: {trouble_}", "See logs/node.log; the part goes on by itself when it can.")
    if told["ok"]:
        yield well("services", f"{some(told['parts'], most=20)} are ready")


def relay_publishes(node: Connection) -> Iterator[Finding]:
    """Somebody leads, and what is recorded is published within moments."""
    try:
        stands = node.get("/mesh/v1/status")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while _unpublished(stands) and time.monotonic() < deadline:
            time.sleep(0.3)
            stands = node.get("/mesh/v1/status")
    except Trouble as trouble:
        yield wrong("relay", trouble.sentence, trouble.remedy or "See logs/node.log.")
        return
    relay = stands["relay"]
    if relay["trouble"]:
        yield wrong("relay", relay["trouble"], "Facts are recorded meanwhile, and published when NATS is back.")
    elif not relay["leads"]:
        yield odd(
            "relay", "this replica does not publish", "Right where another replica of mesh does; else see the log."
        )
    elif behind := _unpublished(stands):
        yield wrong("relay", f"not published: {some(behind)}", "See logs/node.log; is a stream full?")
    else:
        yield well("relay", "publishes, and has nothing left to publish")
    for ledger, why in stands["waiting"].items():
        yield wrong("ledgers", f"{ledger} waits: {why}", "Run `pilotmesh verify`; a gap is filled by itself.")


def _unpublished(stands: dict[str, object]) -> list[str]:
    ledgers = stands["ledgers"]
    assert isinstance(ledgers, list)
    return [f"{one['ledger']} ({one['lag']} facts)" for one in ledgers if one["lag"] and one["hosted_here"]]
