"""Deliveries: one event (or digest, or test) for one subscription over one channel, and what became of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.facts.cloudevents import SPECVERSION, event_type, source_of
from shared.facts.fact import rfc3339
from shared.facts.ids import derived_id

from .entries import Entry
from .subscriptions import Subscription

WEBHOOK = "webhook"
WAITING, DELIVERED, DEAD, CANCELLED = "waiting", "delivered", "dead", "cancelled"
STATUSES = (WAITING, DELIVERED, DEAD, CANCELLED)
LISTED_IN_DIGEST = 200
"""Events that a digest names one by one; it counts all."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try. `status` is the HTTP status, None without an answer, and `error` then says why."""

    at: datetime
    milliseconds: int
    status: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery. `event` is the CloudEvent's id; `body` is there only for what no fact stands behind."""

    id: str
    subscription: str
    agency: str
    channel: str
    event: str
    type: str
    subject: str
    planned_at: datetime
    next_at: datetime
    status: str = WAITING
    attempts: int = 0
    body: str | None = None
    upto: int | None = None
    """For a digest: the newest position it speaks of."""
    history: tuple[Attempt, ...] = field(default=())
    ended_at: datetime | None = None
    reason: str | None = None
    trace: str | None = None


def delivery_of(subscription: Subscription, entry: Entry, now: datetime, trace: str | None = None) -> Delivery:
    """The delivery of an event. Its id follows from event, subscription and channel: planned twice, it is one."""
    return Delivery(
        id=derived_id("delivery", WEBHOOK, subscription.id, entry.new.event),
        subscription=subscription.id,
        agency=subscription.agency,
        channel=WEBHOOK,
        event=entry.new.event,
        type=entry.new.type,
        subject=entry.new.subject,
        planned_at=now,
        next_at=now,
        trace=trace,
    )


def goes_into_digest(entry: Entry) -> bool:
    return entry.is_late and not entry.new.about.asks


def digest_of(
    subscription: Subscription, mesh: str, entries: Sequence[Entry], places: tuple[str, str], now: datetime
) -> Delivery:
    """One notice of all these late events: how many of which type, and where to read them.

    `places` are the journal's places before the first and of the last. No content of any record is in it.
    """
    identity = derived_id("delivery", WEBHOOK, subscription.id, "digest", places[0])
    types = Counter(entry.new.type for entry in entries)
    data = {
        "count": len(entries),
        "by_type": dict(sorted(types.items())),
        "from": rfc3339(min(entry.new.time for entry in entries)),
        "to": rfc3339(max(entry.new.time for entry in entries)),
        "after": places[0],
        "upto": places[1],
        "events": [
            {"id": one.new.event, "type": one.new.type, "subject": one.new.subject, "time": rfc3339(one.new.time)}
            for one in entries[:LISTED_IN_DIGEST]
        ],
    }
    return _own_event(subscription, mesh, identity, event_type("digest", "compiled"), data, now, entries[-1].position)


def test_of(subscription: Subscription, mesh: str, identity: str, now: datetime) -> Delivery:
    """A notice that only shows that notices arrive and that the signature can be checked."""
    data = {"message": "This is a test. Nothing happened in the mesh.", "filters": subscription.filters.as_json()}
    return _own_event(subscription, mesh, identity, event_type("test", "sent"), data, now, None)


test_of.__test__ = False  # type: ignore[attr-defined] # a name that pytest would otherwise collect


def _own_event(
    subscription: Subscription,
    mesh: str,
    identity: str,
    type_: str,
    data: dict[str, Any],
    now: datetime,
    upto: int | None,
) -> Delivery:
    subject = f"subscription/{subscription.id}"
    event = {
        "specversion": SPECVERSION,
        "id": identity,
        "source": source_of(mesh, subscription.agency, "notifier"),
        "type": type_,
        "subject": subject,
        "time": rfc3339(now),
        "datacontenttype": "application/json",
        "data": data,
    }
    return Delivery(
        id=identity,
        subscription=subscription.id,
        agency=subscription.agency,
        channel=WEBHOOK,
        event=identity,
        type=type_,
        subject=subject,
        planned_at=now,
        next_at=now,
        body=json.dumps(event, ensure_ascii=False, separators=(",", ":")),
        upto=upto,
    )
