"""NATS: reachable with this node's passwords, streams and consumers as provisioned, room in them, its clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import nats.errors
from nats.js.errors import APIError

from deploy.cli.checks.finding import Finding, odd, some, well, wrong
from deploy.nats.config import USERS
from deploy.nats.provision import PROVISIONER, connect, deviations
from deploy.nats.streams import STREAMS
from shared.settings import Settings

FULL = 0.8
"""Share of a stream's bytes from which its operator is warned: a full stream refuses facts (the record keeps them)."""
DRIFT = timedelta(seconds=1)


def users_are_known(settings: Settings) -> Iterator[Finding]:
    file = settings.home / "nats" / "users.json"
    if settings.nats_user is not None:
        yield well("nats users", f"PILOTMESH_NATS_USER names {settings.nats_user}")
        return
    try:
        known = json.loads(file.read_text())
        missing = [user for user in USERS if user not in known]
    except (OSError, ValueError) as error:
        yield wrong("nats users", f"{file} cannot be read: {error}", "Start the node: it makes the file anew.")
        return
    if missing:
        yield wrong("nats users", f"{file} lacks {some(missing)}", "Start the node again: it adds what is missing.")
    else:
        yield well("nats users", f"{len(known)} in {file.name}")


def streams_stand(settings: Settings) -> Iterator[Finding]:
    try:
        found = asyncio.run(deviations(settings))
    except (nats.errors.Error, OSError) as error:
        remedy = (
            "Start it, or mend PILOTMESH_NATS_URL and the users. Facts are recorded meanwhile, and published later."
        )
        yield wrong("nats", f"{settings.nats_url}: {error!r}", remedy)
        return
    yield well("nats", f"answers at {settings.nats_url}")
    for deviation in found:
        yield wrong("streams", deviation, "`python -m deploy.node.provision streams`, or start the node again.")
    if not found:
        yield well("streams", f"{len(STREAMS)} streams and their consumers are as provisioned")


def streams_have_room(settings: Settings) -> Iterator[Finding]:
    try:
        used, drift = asyncio.run(_looked_at(settings))
    except (nats.errors.Error, APIError, OSError):
        return  # said by `streams_stand`
    full = [f"{name} is {share:.0%} full" for name, share in used.items() if share > FULL]
    if full:
        remedy = "Raise PILOTMESH_STREAM_MAX_BYTES, or lower PILOTMESH_STREAM_MAX_AGE_DAYS: the store is the record."
        yield odd("streams", some(full), remedy)
    if drift > DRIFT:
        remedy = "Keep both machines' clocks by NTP."
        yield wrong("clock", f"the clock of NATS differs by {drift.total_seconds():.1f} s", remedy)
    else:
        yield well("clock", "the clock of NATS agrees")


async def _looked_at(settings: Settings) -> tuple[dict[str, float], timedelta]:
    """Share of its bytes that each stream uses, and how far the server's clock is from this one."""
    connection = await connect(settings, PROVISIONER, patience_seconds=3)
    try:
        used, drift = {}, timedelta()
        for name in STREAMS:
            before = datetime.now(UTC)
            answer = json.loads((await connection.request(f"$JS.API.STREAM.INFO.{name}", timeout=3)).data)
            if "config" not in answer:
                continue
            used[name] = answer["state"]["bytes"] / answer["config"]["max_bytes"]
            there = datetime.fromisoformat(answer["ts"])
            drift = max(drift, before - there, there - datetime.now(UTC))
        return used, drift
    finally:
        await connection.close()
