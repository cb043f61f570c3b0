"""The streams of a node and who reads them: names only, so that configuration and provisioning agree."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

STREAMS: Mapping[str, str] = MappingProxyType(
    {
        "FACTS": "facts.>",
        "PRIVATE": "private.>",
        "CIRCLES": "circle.>",
        "VERIFIED": "verified.>",
    }
)
"""Stream name to the subjects that it captures. The first three hold what this node wrote, the last what other
nodes wrote and the intake accepted."""

CONSUMERS = ("registry", "matching", "metrics", "notifier", "mesh")
"""Each of these services has one durable pull consumer of its own name on every stream."""

NUDGES = "nudge.>"
"""Core subjects, stored nowhere: "something is new, look at the store"."""
