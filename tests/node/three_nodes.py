"""A hub and two members for tests of what passes between nodes, and what is asked of any of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.bus.reading import read_stream
from shared.facts.fact import Fact
from shared.ledger.drafts import Author
from shared.ledger.verification import verify_node
from tests.node.exchanging import Side

ADMIN = Author("admin", "admin")

# nats-py leaves a socket to the garbage collector when a server goes away while it connects.
leaves_sockets = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


async def write(side: Side, count: int, **more: Any) -> list[Fact]:
    return await asyncio.to_thread(side.write, count, **more)


async def stored(side: Side, stream: str, ledger: str) -> list[int]:
    """Sequences of a ledger in a stream, in the stream's order."""
    async with side.user("provisioner") as connection:
        found = [message.headers async for message in read_stream(connection, stream, ">")]
    return [int(one["Pilotmesh-Sequence"]) for one in found if one.get("Pilotmesh-Ledger") == ledger]


def faults(side: Side) -> dict[str, str]:
    reports = verify_node(side.store, side.ledgers.identity)
    return {report.ledger: report.fault for report in reports if report.fault}
