"""What the journal keeps of an event: its place, and what filters and permission need. Never its content."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

LATE = timedelta(days=1)
"""What reaches the journal longer than this after it was said goes into a digest, unless it asks for an action."""


@dataclass(frozen=True, slots=True)
class About:
    """What an event is about. None means that it is not known: such an event passes every filter of that sort,
    because a missed event costs more than one too many."""

    kinds: tuple[str, ...]
    countries: tuple[str, ...] | None = ()
    goals: tuple[str, ...] | None = ()
    agencies: tuple[str, ...] | None = ()
    """Whom it concerns: the owner, and everybody it names as lead, partner or member."""
    asks: bool = False
    """Whether it asks somebody for an action (an open invitation)."""


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An event on its way into the journal. `event` is the fact's place, which is the CloudEvent's id."""

    event: str
    hash: str
    ledger: str
    agency: str
    audience: str
    type: str
    subject: str
    time: datetime
    about: About
    redacted: bool = False
    planned: bool = True
    """False for what a rebuild found: deliveries are never planned from it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event in its place in the journal. Positions run 1, 2, 3 … without a gap."""

    position: int
    at: datetime
    new: NewEntry

    @property
    def is_late(self) -> bool:
        return self.at - self.new.time > LATE
