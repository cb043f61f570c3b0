"""Serves one application over HTTP until a signal comes, and stops without cutting anybody off."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from deploy.node.composition import EndStreams
from deploy.node.home import NodeError
from shared.settings import Settings

logger = logging.getLogger(__name__)

GRACE_SECONDS = 8
"""Requests that still run this long after a stop was asked for are cut off."""


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, streams: EndStreams, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._streams = streams
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._streams.end()
        await super().shutdown(sockets)


def serve(app: ASGIApp, bound: socket.socket, settings: Settings, on_ready: Callable[[], None]) -> None:
    """Serves until SIGINT or SIGTERM. `on_ready` runs in a thread once requests are answered; should it raise, the
    server stops and the same is raised here. Raises `NodeError` when the application does not start."""
    streams = EndStreams(app)
    config = uvicorn.Config(
        streams,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level=settings.log_level.lower(),
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    failures: list[BaseException] = []

    def announce() -> None:
        try:
            on_ready()
        except BaseException as failure:
            failures.append(failure)
            server.should_exit = True

    def ready() -> None:
        threading.Thread(target=announce, name="on ready", daemon=True).start()

    server = _Server(config, streams, ready)
    server.run(sockets=[bound])
    if failures:
        raise failures[0]
    if not server.started:
        raise NodeError("a service did not start; its own words stand in the log.")
