"""Whether a server that runs has given up: it answers, and will never write again until it is started anew.

After a write to a full disk both do so, and stay so when there is room again: SecantusDB's storage engine panics and
every command but the greeting is answered with an internal error; nats-server refuses every message to the stream
and says so in its health alone. What they acknowledged before is on disk, so that a new start is all they need.
A server that is slow or cannot be reached has not given up.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

HEALTH = "$SYS.REQ.SERVER.PING.HEALTHZ"
PATIENCE_SECONDS = 2.0


def database_gave_up(port: int) -> str | None:
    """Why the database on this port of the loopback needs a new start, None if it does not."""
    # Imported here because a node imports it while its servers start.
    from pymongo import MongoClient  # noqa: PLC0415
    from pymongo.errors import OperationFailure, PyMongoError  # noqa: PLC0415

    patience = int(PATIENCE_SECONDS * 1000)
    client: MongoClient[dict[str, object]] = MongoClient(
        "127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=patience, socketTimeoutMS=patience
    )
    try:
        client.list_database_names()
    except OperationFailure as error:
        return str(error)
    except PyMongoError:
        return None
    finally:
        client.close()
    return None


def nats_gave_up(port: int, password: str) -> str | None:
    """Why the nats-server on this port of the loopback needs a new start. `password` is that of the user `system`."""
    import nats  # noqa: PLC0415 (as above)
    import nats.errors  # noqa: PLC0415

    async def ask() -> dict[str, Any]:
        connection = await nats.connect(
            f"nats://127.0.0.1:{port}",
            user="system",
            password=password,
            connect_timeout=int(PATIENCE_SECONDS),
            allow_reconnect=False,
            error_cb=_quiet,
        )
        try:
            reply = await connection.request(HEALTH, timeout=PATIENCE_SECONDS)
        finally:
            await connection.close()
        told: dict[str, Any] = json.loads(reply.data)["data"]
        return told

    try:
        error = str(asyncio.run(ask()).get("error", ""))
    except (nats.errors.Error, OSError, ValueError, KeyError):
        return None
    return error if "write error" in error else None  # it is also unwell while it starts


async def _quiet(_: Exception) -> None:
    """Whoever asked is told by the answer."""
