"""Serves one application over HTTP until a signal comes, and stops without cutting anybody off."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from deploy.node.composition import EndStreams
from deploy.node.home import NodeError
from shared.settings import Settings

logger = logging.getLogger(__name__)

GRACE_SECONDS = 8
"""Requests that still run this long after a stop was asked for are cut off."""


def bind(settings: Settings) -> socket.socket:
    """The socket to listen on; raises `NodeError` when the port is taken or the address is not this machine's."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((settings.host, settings.port))
    except OSError as error:
        bound.close()
        raise NodeError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}. "
            f"Stop what listens there, or set PILOTMESH_PORT (0 takes a free one) and PILOTMESH_HOST."
        ) from error
    return bound


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


@contextmanager
def signals_as_interrupts() -> Iterator[Callable[[], None]]:
    """Until the yielded function is called, SIGINT, SIGTERM and SIGHUP raise `KeyboardInterrupt` in the main thread.

    Afterwards SIGHUP counts as SIGTERM and a server's own handlers decide; what the server passes on when it has
    stopped is then without effect, so that what stands behind it (other servers, the home) is ended in order.
    """
    raising = True

    def handle(number: int, _: FrameType | None) -> None:
        if raising:
            raise KeyboardInterrupt
        if number == signal.SIGHUP:
            os.kill(os.getpid(), signal.SIGTERM)

    def hand_over() -> None:
        nonlocal raising
        raising = False

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup asks to be left alone
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield hand_over
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
