"""How much somebody may ask for: so that one who asks without end takes nothing from others."""

from __future__ import annotations

import time
from collections.abc import Callable


class Allowance:
    """A bucket per asker: `at_once` in a row, and `per_second` in the long run."""

    def __init__(self, per_second: float, at_once: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._at_once = at_once
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, asker: str) -> bool:
        now = self._clock()
        left, at = self._left.get(asker, (self._at_once, now))
        left = min(self._at_once, left + (now - at) * self._per_second)
        granted = left >= 1
        self._left[asker] = (left - 1 if granted else left, now)
        return granted
