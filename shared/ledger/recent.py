"""Facts that this process committed a moment ago, so that its own followers need not read them back one by one.

Only what cannot change is held: bytes that were signed and inserted, at places that are taken for ever. The one
thing that may change is that a payload is redacted. This process lets go of it at once; another replica's redaction
is a later fact of the same ledger, which whoever folds meets after this one. What is older than SECONDS is not
answered, so that nobody who comes late is told from here.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from shared.facts.fact import Fact

SECONDS = 2.0
MOST_FACTS = 1024
MOST_BYTES = 2 * 2**20
"""Bytes of payload; whoever reads a fact holds its state as well, which is several times as large."""

Place = tuple[str, int, int]


class RecentFacts:
    """By ledger and place. Answers in full or not at all: None means that the store must be asked."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._held: OrderedDict[Place, tuple[float, Fact]] = OrderedDict()
        self._newest: dict[str, tuple[int, int]] = {}
        self._hashes: dict[str, Place] = {}
        self._bytes = 0

    def put(self, facts: Iterable[Fact]) -> None:
        """These facts are in the store, journaled on a majority."""
        now = self._clock()
        with self._lock:
            for fact in facts:
                header = fact.header
                place = (str(header.ledger), header.epoch, header.sequence)
                self._drop(place)
                self._held[place] = (now, fact)
                self._hashes[fact.hash] = place
                self._bytes += len(fact.payload or b"")
                self._newest[place[0]] = max(header.position, self._newest.get(place[0], header.position))
            while self._held and (len(self._held) > MOST_FACTS or self._bytes > MOST_BYTES):
                self._drop(next(iter(self._held)))

    def after(self, ledger: str, position: tuple[int, int], limit: int) -> Sequence[Fact] | None:
        """The facts that follow `position`, at most `limit`; None unless all that this process knows of are held."""
        epoch, sequence = position
        oldest = self._clock() - SECONDS
        with self._lock:
            newest = self._newest.get(ledger, (0, 0))
            until = min(newest[1], sequence + limit)
            if epoch != newest[0] or sequence >= until:
                return None
            found = []
            for number in range(sequence + 1, until + 1):
                held = self._held.get((ledger, epoch, number))
                if held is None or held[0] < oldest:
                    return None
                found.append(held[1])
            return found

    def is_newest(self, ledger: str, position: tuple[int, int]) -> bool:
        """Whether this process has committed nothing beyond `position`; another one may have."""
        with self._lock:
            return self._newest.get(ledger, (0, 0)) <= position

    def those_held(self, hashes: Iterable[str]) -> set[str]:
        """Which of these facts are known to be in the store without asking it."""
        oldest = self._clock() - SECONDS
        with self._lock:
            places = {name: place for name in hashes if (place := self._hashes.get(name)) is not None}
            return {name for name, place in places.items() if self._held[place][0] >= oldest}

    def forget(self, ledger: str, epoch: int, sequence: int) -> None:
        """The payload is being redacted."""
        with self._lock:
            self._drop((ledger, epoch, sequence))

    def clear(self) -> None:
        with self._lock:
            self._held.clear()
            self._hashes.clear()
            self._newest.clear()
            self._bytes = 0

    def _drop(self, place: Place) -> None:
        held = self._held.pop(place, None)
        if held is not None:
            self._hashes.pop(held[1].hash, None)
            self._bytes -= len(held[1].payload or b"")
