"""Nudges: whoever appended says so, and the relay looks at once instead of at its next round."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from faststream.nats import NatsBroker, NatsMessage

from shared.bus.news import leave_undecoded, ledgers_in
from shared.bus.nudging import Neighbours
from shared.bus.subjects import NUDGE

from .relay import Relay


def subscribe_to_nudges(
    broker: NatsBroker, relay: Callable[[], Relay | None], neighbours: Callable[[], Neighbours]
) -> None:
    """Nudges of other processes; this one's own reach the relay directly."""

    @broker.subscriber(
        f"{NUDGE}.>",
        decoder=leave_undecoded,
        title="nudges",
        description="A list of ledgers that have news. Carries no state; may be lost.",
    )
    async def nudged(message: NatsMessage) -> None:
        running = relay()
        raw: Any = message.raw_message
        if running is None or neighbours().sent(raw.subject):
            return
        running.nudge(ledgers_in(message.body))
