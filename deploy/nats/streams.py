"""The streams of a node and who reads them: names only, so that configuration and provisioning agree."""

from __future__ import annotations

from shared.bus.subjects import NUDGE, STREAMS
from shared.settings import SERVICES

__all__ = ["CONSUMERS", "NUDGES", "STREAMS"]

CONSUMERS = SERVICES
"""Each of these services has one durable pull consumer of its own name on every stream."""

NUDGES = f"{NUDGE}.>"
"""Core subjects, stored nowhere: "something is new, look at the store"."""
