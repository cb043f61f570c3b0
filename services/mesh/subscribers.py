"""Nudges: whoever appended says so, and the relay looks at once instead of at its next round."""

from __future__ import annotations

from collections.abc import Callable

from faststream.nats import NatsBroker, NatsMessage

from shared.bus.news import leave_undecoded, ledgers_in
from shared.bus.subjects import NUDGE

from .relay import Relay


def subscribe_to_nudges(broker: NatsBroker, relay: Callable[[], Relay | None]) -> None:
    @broker.subscriber(
        f"{NUDGE}.>",
        decoder=leave_undecoded,
        title="nudges",
        description="A list of ledgers that have news. Carries no state; may be lost.",
    )
    async def nudged(message: NatsMessage) -> None:
        running = relay()
        if running is None:
            return
        running.nudge(ledgers_in(message.body))
