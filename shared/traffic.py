"""How busy a process is with commands of its callers, so that what can wait gives way to them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MANY = 8
"""So many commands begun within WITHIN_SECONDS are a rush,"""
WITHIN_SECONDS = 0.25
AT_ONCE = 3
"""and so are so many that are being worked on at this moment."""
JUST_NOW_SECONDS = 0.1
"""A command that came so shortly ago is still being told to those who follow."""
LOOK_SECONDS = 0.05


class Traffic:
    """Commands (requests that change something) as they come and go. May be used from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun: deque[float] = deque(maxlen=MANY)
        self._lock = threading.Lock()
        self.turn = threading.Lock()
        """Held by one at a time of those whose work can wait."""
        self._here = 0

    @contextmanager
    def passing(self) -> Iterator[None]:
        """A command is being worked on."""
        with self._lock:
            self._begun.append(self._clock())
            self._here += 1
        try:
            yield
        finally:
            with self._lock:
                self._here -= 1

    @contextmanager
    def standing_aside(self) -> Iterator[None]:
        """A command that only waits for what gives way to commands: it is none of the rush meanwhile."""
        with self._lock:
            self._here -= 1
        try:
            yield
        finally:
            with self._lock:
                self._here += 1

    @property
    def is_rushing(self) -> bool:
        with self._lock:
            if self._here >= AT_ONCE:
                return True
            return len(self._begun) == MANY and self._clock() - self._begun[0] < WITHIN_SECONDS

    @property
    def is_quiet(self) -> bool:
        """Nobody waits for an answer, nor for the news of one that was given just now."""
        with self._lock:
            return not self._here and (not self._begun or self._clock() - self._begun[-1] > JUST_NOW_SECONDS)

    def give_way(self, at_most: float, wait: Callable[[float], object] = time.sleep) -> None:
        """Waits until it is quiet, `at_most` so many seconds: what is put off is done all the same."""
        until = self._clock() + at_most
        while not self.is_quiet and self._clock() < until:
            wait(LOOK_SECONDS)
