"""How much somebody may ask for: so that one who asks without end takes nothing from others."""

from __future__ import annotations

import time
from collections.abc import Callable

from fastapi import Request

from shared.problems import TooMany

MOST_KNOWN = 10_000
"""Askers that are remembered: whoever asks from address after address fills no memory."""


class Allowance:
    """A bucket per asker: `at_once` in a row, and `per_second` in the long run."""

    def __init__(self, per_second: float, at_once: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._at_once = at_once
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, asker: str) -> bool:
        now = self._clock()
        if len(self._left) >= MOST_KNOWN:
            self._forget(now)
        left, at = self._left.get(asker, (self._at_once, now))
        left = min(self._at_once, left + (now - at) * self._per_second)
        granted = left >= 1
        self._left[asker] = (left - 1 if granted else left, now)
        return granted

    def _forget(self, now: float) -> None:
        """Those who have asked for nothing for so long that their buckets are full again; else those longest quiet."""
        filling = self._at_once / self._per_second
        recent = {asker: held for asker, held in self._left.items() if now - held[1] < filling}
        if len(recent) >= MOST_KNOWN:
            newest = sorted(recent.items(), key=lambda one: one[1][1])[MOST_KNOWN // 2 :]
            recent = dict(newest)
        self._left = recent


OPEN_PER_SECOND, OPEN_AT_ONCE = 5.0, 50.0
"""Requests of one address to what is answered to anyone."""


def limited(request: Request) -> None:
    """For addresses that are answered without a token and are dear. Raises TooMany."""
    allowance: Allowance = request.app.state.open_to_anyone
    if not allowance.take(request.client.host if request.client is not None else ""):
        raise TooMany("Too many requests came from this address; try again in a few seconds.", retry_after=5)
