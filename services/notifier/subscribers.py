"""Where another replica leads, this one reads what that one has written: soon after a nudge, else now and then."""

from __future__ import annotations

import time
from collections.abc import Iterable

from shared.bus.news import News
from shared.bus.nudging import Neighbours
from shared.ledger.follower import Follower
from shared.ledger.quarantine import Quarantine
from shared.ledger.store import LedgerStore
from shared.service import Worker

from .tail import Tail

EXPECTING_SECONDS = 2.0
LOOK_EVERY_SECONDS = 0.01
SLOWLY_SECONDS = 0.5


class Watch:
    """Keeps the tail up with a journal that another process appends to."""

    def __init__(self, follower: Follower, tail: Tail) -> None:
        self._follower = follower
        self._tail = tail
        self._expecting_until = 0.0
        self.worker = Worker("journal", self._step, SLOWLY_SECONDS)

    def expect(self) -> None:
        """Somebody has committed facts: the leader is about to append."""
        if not self._follower.leads:
            self._expecting_until = time.monotonic() + EXPECTING_SECONDS
            self.worker.wake()

    def _step(self) -> bool:
        if self._follower.leads:
            return False
        if self._tail.catch_up():
            self._expecting_until = 0.0
        if time.monotonic() >= self._expecting_until:
            return False
        time.sleep(LOOK_EVERY_SECONDS)  # in a thread of its own: the leader needs a few milliseconds
        return True


class WatchedNews(News):
    """The service's news; a nudge is passed on to the watch as well."""

    def __init__(
        self,
        store: LedgerStore,
        quarantine: Quarantine,
        follower: Follower,
        neighbours: Neighbours,
        watch: Watch,
    ) -> None:
        super().__init__(store, quarantine, follower, neighbours)
        self._watch = watch

    def hear(self, ledgers: Iterable[str], *, own: bool = False) -> None:
        super().hear(ledgers, own=own)
        self._watch.expect()
