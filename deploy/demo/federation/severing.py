"""A wire that can be cut: a small TCP proxy between a member's NATS server and the hub's."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

CHUNK = 65536


class Wire:
    """Listens on a port of its own (or on `port`) and passes everything on to `target`, until it is cut."""

    def __init__(self, target: int, port: int = 0) -> None:
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listening.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._cut = False
        threading.Thread(target=self._accept, name="wire", daemon=True).start()

    def cut(self) -> None:
        """Breaks what is connected and lets nothing through."""
        with self._lock:
            self._cut = True
            ends, self._open = self._open, set()
        for end in ends:
            break_off(end)

    def heal(self) -> None:
        with self._lock:
            self._cut = False

    def close(self) -> None:
        self.cut()
        break_off(self._listening)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            try:
                far = self.reach()
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for end in (near, far):  # small messages are passed on at once, as a wire would
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                through = not self._cut
                if through:
                    self._open |= {near, far}
            if not through:
                near.close()
                far.close()
                continue
            for outward in (True, False):
                source, sink = (near, far) if outward else (far, near)
                threading.Thread(target=self._pass_on, args=(source, sink, outward), name="wire", daemon=True).start()

    def reach(self) -> socket.socket:
        """Connects to the target. Raises OSError."""
        return socket.create_connection(("127.0.0.1", self._target), timeout=5)

    def hold_up(self, *, outward: bool) -> None:
        """Asked before each piece is passed on, `outward` being the way to the target. Here nothing is held up."""

    def _pass_on(self, source: socket.socket, sink: socket.socket, outward: bool) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                self.hold_up(outward=outward)
                sink.sendall(data)
        self.let_go(source, sink)

    def let_go(self, *ends: socket.socket) -> None:
        """One of these two is broken: so is the other then."""
        with self._lock:
            self._open.difference_update(ends)
        for end in ends:
            break_off(end)


def break_off(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
