"""Where a node meets the machine: the port that it listens on and the signals that end it."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from deploy.node.home import NodeError
from shared.settings import Settings


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
