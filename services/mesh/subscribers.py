"""Nudges: whoever appended says so, and the relay looks at once instead of at its next round."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from faststream.nats import NatsBroker, NatsMessage

from shared.bus.news import leave_undecoded, ledgers_in
from shared.bus.nudging import Neighbours
from shared.bus.subjects import NUDGE


def subscribe_to_nudges(
    broker: NatsBroker, heard: Callable[[Collection[str]], None], neighbours: Callable[[], Neighbours]
) -> None:
    """Nudges of other processes; this one's own reach relay and intake directly."""

    @broker.subscriber(
        f"{NUDGE}.>",
        decoder=leave_undecoded,
        title="nudges",
        description="A list of ledgers that have news. Carries no state; may be lost.",
    )
    async def nudged(message: NatsMessage) -> None:
        raw: Any = message.raw_message
        if not neighbours().sent(raw.subject):
            heard(ledgers_in(message.body))
