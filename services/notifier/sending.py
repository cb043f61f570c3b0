"""The courier: makes the attempts that are due, many receivers side by side, and records what came of each.

A slow receiver holds up its own notices only: each subscription has a few attempts under way at most, one if its
last attempt failed. Notices of one subscription begin in order, and may arrive out of it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from opentelemetry.trace import SpanKind
from pymongo.errors import PyMongoError
from starlette.concurrency import run_in_threadpool

from shared.problems import NotFound
from shared.telemetry import counter, span, traceparent

from .channels.webhook import Answer, WebhookClient, signed_headers
from .domain import schedule
from .domain.deliveries import CANCELLED, DEAD, DELIVERED, Attempt, Delivery
from .domain.subscriptions import ENDED, Subscription
from .journal import Journal
from .memory import CircleBook
from .records import Deliveries, Subscriptions

log = logging.getLogger(__name__)

AT_ONCE = 64
AT_ONCE_PER_SUBSCRIPTION = 4
LOOK_EVERY_SECONDS = 1.0
PAGE = 64


@dataclass(frozen=True, slots=True)
class Parcel:
    """All that one attempt needs."""

    delivery: Delivery
    subscription: Subscription
    body: str


class Courier:
    """One task in the app's loop. Works where `leads` says so."""

    def __init__(
        self,
        journal: Journal,
        subscriptions: Subscriptions,
        deliveries: Deliveries,
        circles: CircleBook,
        client: WebhookClient,
        leads: Callable[[], bool],
    ) -> None:
        self._journal = journal
        self._subscriptions = subscriptions
        self._deliveries = deliveries
        self._circles = circles
        self._client = client
        self._leads = leads
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._under_way: Counter[str] = Counter()
        self._failing: set[str] = set()
        self._sending: dict[str, asyncio.Task[None]] = {}
        self.trouble: str | None = None

    def wake(self) -> None:
        """There is something to deliver. May be called from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._news.set)

    async def run(self) -> None:
        """Until cancelled. An attempt that is cut off then is made again when its claim has passed."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    if self._leads():
                        await self._start_due()
                    self.trouble = None
                except PyMongoError as error:
                    self.trouble = f"store unreachable: {type(error).__name__}"
                except Exception as error:  # shown in readiness and tried again; the courier never ends by itself
                    self.trouble = f"{type(error).__name__}: {error}"
                    log.exception("courier failed")
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), LOOK_EVERY_SECONDS)
                self._news.clear()
        finally:
            for task in list(self._sending.values()):
                task.cancel()
            await asyncio.gather(*self._sending.values(), return_exceptions=True)

    async def _start_due(self) -> None:
        active = await run_in_threadpool(self._subscriptions.active)
        while len(self._sending) < AT_ONCE:
            free = [one for one in active if self._room(one)]
            due = await run_in_threadpool(self._deliveries.due, self._journal.now(), free, PAGE) if free else []
            started = 0
            for delivery in due:
                if len(self._sending) >= AT_ONCE:
                    return
                if delivery.id in self._sending or not self._room(delivery.subscription):
                    continue
                self._start(delivery, active[delivery.subscription])
                started += 1
            if len(due) < PAGE or not started:
                return

    def _room(self, subscription: str) -> bool:
        most = 1 if subscription in self._failing else AT_ONCE_PER_SUBSCRIPTION
        return self._under_way[subscription] < most

    def _start(self, delivery: Delivery, subscription: Subscription) -> None:
        self._under_way[subscription.id] += 1
        task = asyncio.create_task(self._deliver(delivery, subscription))
        self._sending[delivery.id] = task

        def finished(done: asyncio.Task[None]) -> None:
            self._under_way[subscription.id] -= 1
            del self._sending[delivery.id]
            self._news.set()
            if not done.cancelled() and done.exception() is not None:
                log.warning("delivery %s: %r; it is tried again", delivery.id, done.exception())

        task.add_done_callback(finished)

    async def _deliver(self, delivery: Delivery, subscription: Subscription) -> None:
        parcel = await run_in_threadpool(self._pack, delivery, subscription)
        if parcel is None:
            return
        at = self._journal.now()
        with span("deliver", delivery.trace, SpanKind.CLIENT, delivery=delivery.id, type=delivery.type) as opened:
            headers = signed_headers(delivery.id, at, parcel.body, subscription.signing_secrets(at))
            here = traceparent()
            if here is not None:
                headers["traceparent"] = here
            answer = await self._client.post(subscription.url, parcel.body, headers)
            opened.set_attribute("http.response.status_code", answer.status or 0)
        attempt = Attempt(at, answer.milliseconds, answer.status, answer.error)
        await run_in_threadpool(self._record, delivery, subscription, answer, attempt)

    def _pack(self, delivery: Delivery, subscription: Subscription) -> Parcel | None:
        """Claims the delivery and reads its content as it stands now; None if there is nothing to send."""
        now = self._journal.now()
        body = delivery.body
        if body is None:
            entry = self._journal.find(delivery.event)
            sight = self._circles.sight(subscription.agency)
            if entry is None or not sight.sees(entry.new.agency, entry.new.audience):
                reason = "the event is not in the journal" if entry is None else "the agency may no longer see this"
                self._deliveries.record(delivery.id, None, status=CANCELLED, reason=reason, ended_at=now)
                return None
            (_, content), *_ = self._journal.bodies([entry])
            if not content:  # its ledger is being put back: later
                self._deliveries.record(delivery.id, None, next_at=now + schedule.DELAYS[1])
                return None
            body = content.decode()
        if not self._deliveries.claim(delivery, now):
            return None
        return Parcel(delivery, subscription, body)

    def _record(self, delivery: Delivery, subscription: Subscription, answer: Answer, attempt: Attempt) -> None:
        now = self._journal.now()
        result = schedule.outcome(
            answer.status,
            answer.headers,
            attempt=delivery.attempts + 1,
            planned_at=delivery.planned_at,
            now=now,
            chance=random.random(),  # noqa: S311 - spreads attempts, keeps no secret
        )
        counter("pilotmesh.deliveries").add(1, {"outcome": result.what})
        if result.what == schedule.DELIVERED:
            self._failing.discard(subscription.id)
            self._deliveries.record(delivery.id, attempt, status=DELIVERED, ended_at=now, reason=None)
            return
        self._failing.add(subscription.id)
        if result.what == schedule.RETRY:
            self._deliveries.record(delivery.id, attempt, next_at=result.at)
        elif result.what == schedule.DEAD:
            reason = f"given up after {delivery.attempts + 1} attempts"
            self._deliveries.record(delivery.id, attempt, status=DEAD, reason=reason, ended_at=now)
        else:
            self._end(delivery, subscription, attempt)

    def _end(self, delivery: Delivery, subscription: Subscription, attempt: Attempt) -> None:
        """The receiver answered 410: it wants no more."""
        now = self._journal.now()
        reason = "the receiver answered 410 Gone"
        with suppress(NotFound):  # removed meanwhile
            self._subscriptions.change(subscription.id, subscription.agency, status=ENDED, reason=reason)
        self._deliveries.record(delivery.id, attempt, status=DEAD, reason=reason, ended_at=now)
        self._deliveries.cancel(subscription.id, reason, now)
