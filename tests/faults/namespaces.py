"""Networks of their own for servers, and a line between two of them that loses and delays packets.

The kernel's own TCP runs over it: retransmission, back-off, reordering are real. The networks have no names and
nothing leads out of them; they and what is in them are gone with the last process or open file that uses them, so
nothing is left behind by a test that fails or is killed.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import itertools
import os
import random
import selectors
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from deploy.demo.federation.severing import Wire
from deploy.node import embedded
from shared.settings import Settings

ENDS = ("192.0.2.1", "192.0.2.2")
"""The addresses of a line's two ends, of a range that is kept for examples (RFC 5737)."""

CLONE_NEWNET = 0x40000000
TUN, TUNSETIFF, IFF_TUN, IFF_NO_PI = Path("/dev/net/tun"), 0x400454CA, 0x0001, 0x1000
PACKET_BYTES = 65536

T = TypeVar("T")


def what_is_missing() -> str | None:
    """Why no namespaces can be made here; None if they can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "network namespaces need root"
    missing = [program for program in ("ip", "nsenter") if shutil.which(program) is None]
    if missing:
        return f"network namespaces need the program {missing[0]} (iproute2, util-linux)"
    if not TUN.exists():
        return f"packets are lost on purpose by way of {TUN}, which is not there"
    try:
        with namespace() as made, made.line_end(*ENDS):
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        return f"the kernel makes no namespace with a line here: {error}"


class Namespace:
    """A network of its own, with a loopback and nothing else."""

    def __init__(self, file: int) -> None:
        self._file = file

    @property
    def prefix(self) -> list[str]:
        """Put before a command, has it run in this network. It holds for as long as this process lives."""
        return [shutil.which("nsenter") or "nsenter", f"--net=/proc/{os.getpid()}/fd/{self._file}", "--"]

    def within(self, work: Callable[[], T]) -> T:
        """What `work` answers. A socket that it makes belongs to this network for ever, whoever uses it."""

        def entered() -> T:
            _enter(lambda libc: libc.setns(self._file, CLONE_NEWNET))
            return work()

        return _in_a_passing_thread(entered)

    def configure(self, *words: str) -> None:
        """Runs `ip` in this network. Raises subprocess.CalledProcessError."""
        subprocess.run([*self.prefix, "ip", *words], check=True, capture_output=True)

    @contextmanager
    def line_end(self, address: str, peer: str) -> Iterator[int]:
        """A file from which packets to `peer` are read, and to which those from it are written."""
        file = self.within(lambda: os.open(TUN, os.O_RDWR | os.O_NONBLOCK))
        try:
            self.within(lambda: fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH22x", b"line", IFF_TUN | IFF_NO_PI)))
            self.configure("link", "set", "line", "addrgenmode", "none")  # no packets but those of the test
            self.configure("addr", "add", address, "peer", peer, "dev", "line")
            self.configure("link", "set", "line", "up")
            yield file
        finally:
            os.close(file)


@contextmanager
def namespace() -> Iterator[Namespace]:
    """A new one. Raises OSError, subprocess.CalledProcessError where none can be made."""

    def made() -> int:
        _enter(lambda libc: libc.unshare(CLONE_NEWNET))
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    file = _in_a_passing_thread(made)
    try:
        one = Namespace(file)
        one.configure("link", "set", "lo", "up")
        yield one
    finally:
        os.close(file)


def _enter(call: Callable[[ctypes.CDLL], int]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if call(libc) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _in_a_passing_thread(work: Callable[[], T]) -> T:
    """Which network a thread is in is its own affair: this one ends before anything else could run in it."""
    with ThreadPoolExecutor(1, thread_name_prefix="namespace") as threads:
        return threads.submit(work).result()


class Line:
    """Carries packets between two files, each after `delay` to `delay + jitter` seconds, so that they overtake one
    another; one of `1 / loss` is lost by chance, and all of them while the line is dark. Nobody is told of any."""

    def __init__(self, ends: tuple[int, int], chance: random.Random, loss: float, delay: float, jitter: float) -> None:
        self._other = {ends[0]: ends[1], ends[1]: ends[0]}
        self._chance, self._loss, self._delay, self._jitter = chance, loss, delay, jitter
        self._on_its_way: list[tuple[float, int, int, bytes]] = []
        self._numbers = itertools.count()
        self._dark = threading.Event()
        self._over = threading.Event()
        self.carried = self.lost = self.swallowed = 0
        """Packets that went through, that chance took, that the dark took."""
        self._thread = threading.Thread(target=self._run, name="line", daemon=True)
        self._thread.start()

    def darken(self) -> None:
        """Whatever is sent from now on vanishes, and whatever is on its way."""
        self._dark.set()

    def lighten(self) -> None:
        self._dark.clear()

    def close(self) -> None:
        self._over.set()
        self._thread.join(10)

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for end in self._other:
                selector.register(end, selectors.EVENT_READ)
            while not self._over.is_set():
                due = self._on_its_way[0][0] - time.monotonic() if self._on_its_way else 0.05
                for key, _ in selector.select(min(max(due, 0.0), 0.05)):
                    self._take(key.fd)
                self._hand_over()

    def _take(self, end: int) -> None:
        while True:
            try:
                packet = os.read(end, PACKET_BYTES)
            except BlockingIOError:
                return
            if self._chance.random() < self._loss:
                self.lost += 1
                continue
            due = time.monotonic() + self._delay + self._chance.random() * self._jitter
            heapq.heappush(self._on_its_way, (due, next(self._numbers), self._other[end], packet))

    def _hand_over(self) -> None:
        while self._on_its_way and self._on_its_way[0][0] <= time.monotonic():
            _, _, end, packet = heapq.heappop(self._on_its_way)
            if self._dark.is_set():
                self.swallowed += 1
                continue
            os.write(end, packet)
            self.carried += 1


@contextmanager
def line(one: Namespace, other: Namespace, *, seed: int, loss: float, delay: float, jitter: float) -> Iterator[Line]:
    """Between these two, which find each other under `ENDS`. Delays are seconds one way."""
    with one.line_end(*ENDS) as near, other.line_end(*reversed(ENDS)) as far:
        made = Line((near, far), random.Random(seed), loss, delay, jitter)
        try:
            yield made
        finally:
            made.close()


class Door(Wire):
    """A port here that leads to the same port of a network's loopback. Nothing is lost there."""

    def __init__(self, inside: Namespace, port: int) -> None:
        self._inside = inside
        super().__init__(port, port)

    def reach(self) -> socket.socket:
        return self._inside.within(super().reach)


@contextmanager
def servers_within(networks: Mapping[str, Namespace]) -> Iterator[None]:
    """NATS servers that are started meanwhile run in the network of their domain; clients reach them as ever."""
    usual = embedded.nats_command

    def command(settings: Settings, home: Path, port: int) -> list[str]:
        network = networks[settings.nats_domain]
        stack.callback(Door(network, port).close)
        return [*network.prefix, *usual(settings, home, port)]

    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "nats_command", command)
        yield
