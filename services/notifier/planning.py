"""From the journal to deliveries: once per event, subscription and channel, whatever crashes in between.

A delivery's id follows from what it delivers to whom, so planning a page again adds nothing. The planner's own place
may therefore lag behind on disk; it is written when something was planned, and now and then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from pymongo.collection import Collection
from pymongo.database import Database

from shared.ledger.store import JOURNALED, Document

from .domain.deliveries import Delivery, delivery_of, digest_of, goes_into_digest
from .domain.entries import Entry
from .domain.places import told_place
from .domain.subscriptions import Subscription
from .journal import Journal
from .memory import CircleBook
from .records import Deliveries, Subscriptions
from .tail import Tail

PAGE = 256
REMEMBER_EVERY = 5000
"""Positions after which the planner's place is written even if nothing was planned."""
QUIET = timedelta(seconds=30)
LONGEST = timedelta(minutes=10)
"""A digest is closed when nothing late came for QUIET, or its first event came LONGEST ago."""
COMPILE_EVERY_SECONDS = 2.0
NOBODY_SECONDS = 0.5
LARGEST_DIGEST = 20_000


class Planner:
    """Runs where the follower leads. `planned` is called when there is something to deliver."""

    def __init__(
        self,
        database: Database[Document],
        journal: Journal,
        tail: Tail,
        subscriptions: Subscriptions,
        deliveries: Deliveries,
        circles: CircleBook,
        mesh: str,
        planned: Callable[[], None],
    ) -> None:
        self._meta: Collection[Document] = database.get_collection("meta", write_concern=JOURNALED)
        self._journal = journal
        self._tail = tail
        self._subscriptions = subscriptions
        self._deliveries = deliveries
        self._circles = circles
        self._mesh = mesh
        self._planned = planned
        self._position: int | None = None
        self._written = 0
        self._compiled_at = 0.0
        self._nobody_at = float("-inf")

    def step(self) -> bool:
        """Plans one page. True if there is more."""
        if self._position is None:
            self._position = self._written = self._read_position()
        head = self._tail.last  # read before the subscriptions: whoever subscribes later begins after it
        count = self._plan_upto(head) if head > self._position and not self._may_wait() else 0
        if time.monotonic() - self._compiled_at > COMPILE_EVERY_SECONDS:
            count += self._compile_digests()
            self._compiled_at = time.monotonic()
        if count:
            self._planned()
        return self._position < head and not self._may_wait()

    def _may_wait(self) -> bool:
        """Nobody had subscribed a moment ago: no need to ask after every single event."""
        return time.monotonic() - self._nobody_at < NOBODY_SECONDS

    def _plan_upto(self, head: int) -> int:
        assert self._position is not None
        living = self._subscriptions.living()
        self._nobody_at = float("-inf") if living else time.monotonic()
        entries: list[Entry] = []
        if living:
            entries, head = self._journal.page(self._position, PAGE, upto=head)
        count = self._plan(entries, living)
        self._position = head
        if count or head - self._written >= REMEMBER_EVERY:
            self._write_position(head)
        return count

    def _plan(self, entries: Sequence[Entry], living: Sequence[Subscription]) -> int:
        now = self._journal.now()
        facts = self._journal.facts(entries) if living else {}
        deliveries: list[Delivery] = []
        late: dict[str, int] = {}
        for subscription in living:
            sight = self._circles.sight(subscription.agency)
            for entry in entries:
                if not subscription.wants(entry, self._journal.epoch, sight):
                    continue
                if goes_into_digest(entry):
                    late.setdefault(subscription.id, entry.position)
                else:
                    fact = facts.get(entry.new.hash)
                    deliveries.append(delivery_of(subscription, entry, now, None if fact is None else fact.trace))
        self._subscriptions.note_late(late, now)
        self._deliveries.plan(deliveries)
        return len(deliveries) + len(late)

    def _compile_digests(self) -> int:
        assert self._position is not None
        now = self._journal.now()
        compiled = 0
        for subscription in self._subscriptions.with_late():
            assert subscription.late_since is not None
            assert subscription.late_at is not None
            first = subscription.late_since
            entries = self._late(subscription, first - 1)
            is_due = now - subscription.late_at >= QUIET or (entries and now - entries[0].at >= LONGEST)
            if not is_due:
                continue
            if entries:
                epoch = self._journal.epoch
                places = (told_place(epoch, first - 1), told_place(epoch, entries[-1].position))
                digest = digest_of(subscription, self._mesh, entries, places, now)
                compiled += self._deliveries.plan([digest])
                upto = self._deliveries.get(digest.id).upto or entries[-1].position
                entries = self._late(subscription, upto)
            self._subscriptions.settle_late(subscription.id, first, entries[0].position if entries else None)
        return compiled

    def _late(self, subscription: Subscription, after: int) -> list[Entry]:
        """The late events after a position that go into the subscription's digest."""
        assert self._position is not None
        sight = self._circles.sight(subscription.agency)
        clauses = [{"late": True}, sight.as_query(), *subscription.filters.as_query()]
        found, _ = self._journal.page(after, LARGEST_DIGEST, clauses, self._position)
        epoch = self._journal.epoch
        return [entry for entry in found if goes_into_digest(entry) and subscription.wants(entry, epoch, sight)]

    def _read_position(self) -> int:
        found = self._meta.find_one({"_id": "planned"})
        return int(found["position"]) if found is not None and found["epoch"] == self._journal.epoch else 0

    def _write_position(self, position: int) -> None:
        self._meta.update_one(
            {"_id": "planned"}, {"$set": {"epoch": self._journal.epoch, "position": position}}, upsert=True
        )
        self._written = position
