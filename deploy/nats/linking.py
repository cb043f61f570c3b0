"""Keeps a running nats-server in step with who may link: renders its configuration anew, reloads it, restarts nothing.

The mesh service writes the members' public halves to `<home>/nats/members.json` as the roster tells them. Whoever
starts the server watches that file with a `LinkKeeper`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from typing import Any

import nats
import nats.errors
from nats.aio.client import Client

from deploy.nats import config
from deploy.nats.link import Link, link_of
from deploy.nats.provision import provision_readers
from shared.settings import Settings

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
RETRY_SECONDS = 2.0


class NotReloaded(Exception):  # noqa: N818 - says what did not happen
    """The server keeps its former configuration; the text is its answer."""


async def renew(settings: Settings, before: Link) -> Link:
    """Brings the server from `before` to what the files say now, and answers that.

    New readers find their consumers when they are let in. Who was taken off is cut off: the server lets a link stand
    whose user is gone, so links are broken then, and all others come back within a second or two.
    Raises nats.errors.Error, OSError, NotReloaded; it may be called again.
    """
    now = link_of(settings.home)
    await provision_readers(settings, now)
    places = config.written_places(settings.home)
    config.write_configuration(settings, *places)
    connection = await _system(settings)
    try:
        for told in await _asked_all(connection, "$SYS.REQ.SERVER.PING", len(places)):
            server = told["server"]["id"]
            answer = await _asked(connection, f"$SYS.REQ.SERVER.{server}.RELOAD")
            if answer.get("error"):
                raise NotReloaded(str(answer["error"].get("description")))
            if set(before.leaves) - set(now.leaves):
                leafs = (await _asked(connection, f"$SYS.REQ.SERVER.{server}.LEAFZ"))["data"].get("leafs") or []
                for leaf in leafs:
                    await _asked(connection, f"$SYS.REQ.SERVER.{server}.KICK", {"cid": leaf["id"]})
    finally:
        await connection.close()
    return now


async def linked(settings: Settings) -> list[dict[str, Any]]:
    """The links that stand now, as the server tells them. Raises nats.errors.Error, OSError."""
    connection = await _system(settings)
    try:
        told = await _asked_all(connection, "$SYS.REQ.SERVER.PING.LEAFZ", len(settings.nats_servers))
        return [leaf for one in told for leaf in one["data"].get("leafs") or []]
    finally:
        await connection.close()


async def _system(settings: Settings) -> Client:
    login = config.credentials(settings.home)["system"]
    return await nats.connect(
        settings.nats_servers,
        user="system",
        password=login,
        max_reconnect_attempts=2,
        connect_timeout=5,
        error_cb=_quiet,
    )


async def _asked_all(connection: Client, subject: str, servers: int) -> list[dict[str, Any]]:
    """The answers of all servers of a cluster, or of those that are there. One that is down reads what concerns it
    when it starts. Raises nats.errors.Error if none answers."""
    if servers == 1:
        return [await _asked(connection, subject)]
    inbox = connection.new_inbox()
    answers = await connection.subscribe(inbox)
    await connection.publish(subject, b"", reply=inbox)
    found: list[dict[str, Any]] = []
    try:
        while len(found) < servers:
            found.append(json.loads((await answers.next_msg(timeout=2 if found else 5)).data))
    except nats.errors.TimeoutError:
        if not found:
            raise
    finally:
        await answers.unsubscribe()
    return found


async def _asked(connection: Client, subject: str, body: object = None) -> dict[str, Any]:
    answer = await connection.request(subject, b"" if body is None else json.dumps(body).encode(), timeout=5)
    told: dict[str, Any] = json.loads(answer.data)
    return told


async def _quiet(_: Exception) -> None:
    """What fails is raised, and said by whoever asked."""


class LinkKeeper:
    """A thread that looks at the members' file and renews the server's configuration when it has changed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._link = link_of(settings.home)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="keep links", daemon=True)

    def start(self) -> LinkKeeper:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._done.set()
        if self._thread.ident is not None:
            self._thread.join(10)

    def run(self) -> None:
        """In this thread, until `stop`."""
        self._keep()

    def _keep(self) -> None:
        wait = LOOK_SECONDS
        while not self._done.wait(wait):
            wait = LOOK_SECONDS
            try:
                now = link_of(self._settings.home)
                if now != self._link:
                    self._link = asyncio.run(renew(self._settings, self._link))
                    logger.info("links: %d members may link", len(self._link.leaves))
            except (nats.errors.Error, OSError, ValueError, KeyError, NotReloaded) as error:
                logger.warning("links: the NATS server does not know yet who may link: %r", error)
                wait = RETRY_SECONDS
