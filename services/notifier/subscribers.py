"""What the notifier hears on NATS besides the news of facts: nudges, so that it looks at once.

The news comes when JetStream has stored a fact; the nudge when the ledger has. What it says is only where to look.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable

from faststream.nats import NatsBroker, NatsMessage

from shared.bus.subjects import NUDGE
from shared.facts.names import ledger_name
from shared.ledger.follower import Follower, LostLease
from shared.service import Worker

from .tail import Tail

EXPECTING_SECONDS = 2.0
LOOK_EVERY_SECONDS = 0.01
SLOWLY_SECONDS = 0.5


class Watch:
    """Has the news folded where this replica leads; where another does, reads what that one has written."""

    def __init__(self, follower: Follower, tail: Tail) -> None:
        self._follower = follower
        self._tail = tail
        self._lock = threading.Lock()
        self._hints: set[str] = set()
        self._expecting_until = 0.0
        self.worker = Worker("journal", self._step, SLOWLY_SECONDS)

    def hear(self, ledgers: Iterable[str]) -> None:
        with self._lock:
            self._hints.update(ledgers)
        self.worker.wake()

    def _step(self) -> bool:
        with self._lock:
            hints, self._hints = self._hints, set()
        try:
            if hints and self._follower.follow_now(hints):
                return False
        except LostLease:
            pass  # the other replica folds them
        if hints:
            self._expecting_until = time.monotonic() + EXPECTING_SECONDS
        if self._follower.leads:
            return False
        if self._tail.catch_up():
            self._expecting_until = 0.0
        if time.monotonic() >= self._expecting_until:
            return False
        time.sleep(LOOK_EVERY_SECONDS)  # in a thread of its own: the leader needs a few milliseconds
        return True


def ledgers_in(body: bytes) -> list[str]:
    """The ledgers that a nudge names; what is none is left out, for anybody in the node may send one."""
    try:
        named = json.loads(body)
    except ValueError:
        return []
    return [one for one in named if isinstance(one, str) and _is_ledger(one)] if isinstance(named, list) else []


def _is_ledger(name: str) -> bool:
    try:
        ledger_name(name)
    except ValueError:
        return False
    return True


def subscribe_to_nudges(broker: NatsBroker, watch: Callable[[], Watch | None]) -> None:
    @broker.subscriber(
        f"{NUDGE}.>",
        title="nudges:notifier",
        description="A list of ledgers that have news. Carries no state; may be lost.",
    )
    async def nudged(message: NatsMessage) -> None:
        watching = watch()
        if watching is not None:
            watching.hear(ledgers_in(message.body))
