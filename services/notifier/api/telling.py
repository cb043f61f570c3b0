"""Deliveries as the API tells them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from shared.facts.fact import rfc3339

from ..domain.deliveries import WAITING, Delivery


def told_delivery(delivery: Delivery) -> dict[str, Any]:
    """`latency_ms` runs from planning to the answer that ended it."""
    ended = delivery.ended_at
    return {
        "id": delivery.id,
        "subscription": delivery.subscription,
        "channel": delivery.channel,
        "event": delivery.event,
        "type": delivery.type,
        "subject": delivery.subject,
        "status": delivery.status,
        "reason": delivery.reason,
        "attempts": delivery.attempts,
        "planned_at": rfc3339(delivery.planned_at),
        "next_try_at": _time(delivery.next_at if delivery.status == WAITING else None),
        "ended_at": _time(ended),
        "latency_ms": None if ended is None else round((ended - delivery.planned_at).total_seconds() * 1000),
        "history": [
            {
                "at": rfc3339(attempt.at),
                "milliseconds": attempt.milliseconds,
                "status": attempt.status,
                "error": attempt.error,
            }
            for attempt in delivery.history
        ],
    }


def _time(time: datetime | None) -> str | None:
    return None if time is None else rfc3339(time)
