"""When a delivery is tried again, and when it is given up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

DELAYS = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 30, 120, 600, 1800, 3600, 2 * 3600, 4 * 3600, 8 * 3600, 12 * 3600, 24 * 3600, 24 * 3600)
)
"""Between attempts: a little over three days in all."""
ATTEMPTS = len(DELAYS) + 1
JITTER = 0.2
"""Each delay is lengthened by up to this share, so that a receiver that comes back is not met by all at once."""
LONGEST_WAIT = timedelta(days=1)
"""A receiver's Retry-After counts up to this."""
OLDEST = timedelta(days=7)
"""What could not be delivered for this long is given up, however few attempts there was room for."""

DELIVERED, RETRY, DEAD, GONE = "delivered", "retry", "dead", "gone"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows from an attempt: delivered; retry at `at`; dead; or gone (the receiver wants no more)."""

    what: str
    at: datetime | None = None


def outcome(
    status: int | None,
    headers: Mapping[str, str],
    *,
    attempt: int,
    planned_at: datetime,
    now: datetime,
    chance: float,
) -> Outcome:
    """After attempt number `attempt` (from 1) was answered with `status`, None without an answer.

    2xx is delivered, 410 ends the subscription, everything else is tried again. `chance` is a random number in
    [0, 1). `headers` have lower-case names.
    """
    if status is not None and 200 <= status < 300:
        return Outcome(DELIVERED)
    if status == 410:
        return Outcome(GONE)
    if attempt >= ATTEMPTS or now - planned_at > OLDEST:
        return Outcome(DEAD)
    delay = DELAYS[attempt - 1] * (1 + JITTER * chance)
    if status in (429, 503):
        delay = max(delay, asked_delay(headers.get("retry-after"), now))
    return Outcome(RETRY, now + delay)


def asked_delay(retry_after: str | None, now: datetime) -> timedelta:
    """What a Retry-After asks for (RFC 9110, section 10.2.3: seconds or a date), at most a day; none if unreadable."""
    if not retry_after:
        return timedelta(0)
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=min(int(text), 10**6)), LONGEST_WAIT)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return timedelta(0)
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return min(max(when - now, timedelta(0)), LONGEST_WAIT)
