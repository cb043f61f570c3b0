"""A wire between a member and its hub that is cut, stalls, is slow, or breaks at one end alone."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from deploy.demo.federation.severing import Wire, break_off


class FaultyWire(Wire):
    """`heal` ends every fault. What was held up meanwhile goes on its way then, nothing of it lost or doubled."""

    def __init__(self, target: int) -> None:
        self._may_pass = {True: threading.Event(), False: threading.Event()}
        for one in self._may_pass.values():
            one.set()
        self._delay_seconds = 0.0
        self._over = threading.Event()
        self._forsaken: set[socket.socket] = set()
        """Ends towards the member that broke without the hub's hearing of it."""
        self._left_open: set[socket.socket] = set()
        """Their other ends."""
        super().__init__(target)

    def stall(self, *, outward: bool = True, inward: bool = True) -> None:
        """Connections stay, and nothing comes through any more: both ways, or one."""
        for way, stalled in ((True, outward), (False, inward)):
            if stalled:
                self._may_pass[way].clear()

    def slow_down(self, seconds: float) -> None:
        """Each piece, of at most 64 KiB, waits so long before it is passed on."""
        self._delay_seconds = seconds

    def break_near_ends(self) -> None:
        """The member's server loses its connection and makes another; the hub's is told nothing, as when a router
        between them forgets."""
        with self._lock:
            near = [end for end in self._open if end.getsockname()[1] == self.port]
            self._open.difference_update(near)
            self._forsaken.update(near)
        for end in near:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        for end in self._left_open:
            break_off(end)
        super().cut()
        self._let_pass()

    def heal(self) -> None:
        self._delay_seconds = 0.0
        super().heal()
        self._let_pass()

    def let_go(self, *ends: socket.socket) -> None:
        with self._lock:
            near = self._forsaken.intersection(ends)
            self._left_open.update(set(ends) - near if near else ())
            self._open.difference_update(ends)
        for end in near or ends:
            break_off(end)

    def close(self) -> None:
        self._over.set()
        super().close()
        for end in self._left_open:
            break_off(end)

    def _let_pass(self) -> None:
        for one in self._may_pass.values():
            one.set()

    def hold_up(self, *, outward: bool) -> None:
        self._may_pass[outward].wait()
        if self._delay_seconds:
            self._over.wait(self._delay_seconds)
