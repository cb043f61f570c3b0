"""Subscriptions: where an agency wants to be told, of what, and with which secret its notices are signed."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from shared.problems import Fault, Invalid

from .entries import Entry
from .filters import SORTS, Filters, read_filters
from .visibility import Sight

PREFIX = "whsec_"
SECRET_BYTES = (24, 64)
"""Least and most bytes of a signing secret (Standard Webhooks 1.0, "Symmetric signatures")."""
NEW_SECRET_BYTES = 32
ROTATION = timedelta(days=1)
"""How long notices are signed with the old secret besides the new one."""
LONGEST_URL = 2000
MOST_PER_AGENCY = 200

ROLES = ("officer", "monitor", "coordinator", "approver", "admin")
"""Who may have an agency told: whoever may do more than look."""

ACTIVE, PAUSED, ENDED = "active", "paused", "ended"


@dataclass(frozen=True, slots=True)
class Secret:
    """A signing secret, `until` when it is used; None for the present one."""

    value: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription. It begins after a position of one journal: what happened before is never told."""

    id: str
    agency: str
    actor: str
    url: str
    filters: Filters
    secrets: tuple[Secret, ...]
    created_at: datetime
    begins_epoch: str
    begins_after: int | None
    """None until it has begun: nothing is told before."""
    status: str = ACTIVE
    reason: str | None = None
    late_since: int | None = None
    """Position of the first late event that waits for a digest."""
    late_at: datetime | None = None
    request_digest: str = ""

    def has_begun(self, epoch: str, position: int) -> bool:
        """Whether it is told of a position in the journal of this epoch. A journal that is newer than the
        subscription is told from its start."""
        return self.begins_after is not None and (self.begins_epoch != epoch or position > self.begins_after)

    def wants(self, entry: Entry, epoch: str, sight: Sight) -> bool:
        new = entry.new
        return (
            self.status != ENDED
            and new.planned
            and self.has_begun(epoch, entry.position)
            and sight.sees(new.agency, new.audience)
            and self.filters.admit(new.about)
        )

    def signing_secrets(self, now: datetime) -> list[str]:
        """The present secret first, then those that are still honoured."""
        good = [secret for secret in self.secrets if secret.until is None or secret.until > now]
        return [secret.value for secret in sorted(good, key=lambda secret: secret.until is not None)]


@dataclass(frozen=True, slots=True)
class SubscriptionPost:
    """What a client asked for, checked."""

    url: str
    filters: Filters
    secret: str | None


def read_subscription(post: Mapping[str, Any]) -> SubscriptionPost:
    """Raises Invalid with every fault. Addresses are checked when something is sent, not here."""
    faults: list[Fault] = []
    known = {"url", "secret", *SORTS}
    faults += [Fault(str(name), "unknown", "no field of a subscription") for name in post if name not in known]
    url = _url(post.get("url"), faults)
    asked: dict[str, list[str]] = {}
    for sort in SORTS:
        value = post.get(sort, [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            faults.append(Fault(sort, "type", "a list of texts; leave it out to hear of everything"))
        else:
            asked[sort] = value
    filters = read_filters(asked, faults)
    secret = _secret(post.get("secret"), faults)
    if faults:
        raise Invalid(faults)
    return SubscriptionPost(url, filters, secret)


def _url(value: Any, faults: list[Fault]) -> str:
    if not isinstance(value, str) or not value or len(value) > LONGEST_URL:
        faults.append(
            Fault("url", "url", f"where notices are posted: an http or https address of at most {LONGEST_URL}")
        )
        return ""
    try:
        parts = urlsplit(value)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        fine = False
    if not fine or not value.isascii() or any(each <= " " or each in "\x7f\\" for each in value):
        faults.append(Fault("url", "url", f"an http or https address with a host, in ASCII; found {value[:80]!r}"))
    elif parts.username is not None or parts.password is not None:
        faults.append(Fault("url", "credentials", "no user or password in the address; notices are signed instead"))
    elif parts.fragment:
        faults.append(Fault("url", "fragment", "no fragment: it would never be sent"))
    return value


def _secret(value: Any, faults: list[Fault]) -> str | None:
    if value is None:
        return None
    least, most = SECRET_BYTES
    expected = f"`{PREFIX}` and {least} to {most} random bytes in base64; leave it out to have one made"
    try:
        assert isinstance(value, str)
        raw = base64.b64decode(value.removeprefix(PREFIX), validate=True)
        if value.startswith(PREFIX) and least <= len(raw) <= most:
            return value
    except (AssertionError, ValueError, binascii.Error):
        pass
    faults.append(Fault("secret", "secret", expected))
    return None


def secret_of(random_bytes: bytes) -> str:
    return PREFIX + base64.b64encode(random_bytes).decode()


def rotated(secrets: tuple[Secret, ...], fresh: str, now: datetime) -> tuple[Secret, ...]:
    """The secrets once `fresh` is the present one; the one before it goes on being used for a day."""
    kept = [
        Secret(one.value, now + ROTATION if one.until is None else one.until)
        for one in secrets
        if one.until is None or one.until > now
    ]
    return (Secret(fresh), *kept)
