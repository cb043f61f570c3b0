"""Whether an agency still has what it is about to promise."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.matching.memory import Memory
from services.matching.model import THOUSAND, Offered
from shared.problems import Conflict, Fault

_TURNS: dict[str, threading.Lock] = {}


def turn_of(agency: str) -> threading.Lock:
    """Held from the check of what is left until the promise is recorded and folded, so that two approvers of one agency
    who say yes in the same moment to two proposals are answered one after the other. Of this process alone: where
    several replicas serve matching, two may still promise what one could."""
    return _TURNS.setdefault(agency, threading.Lock())


def check_capacity(response: Mapping[str, Any], memory: Memory, now: datetime) -> None:
    """Raises `Conflict` naming each need for which less is left than the response reserves.

    Shared capacity (kind S) is never scarce; kind C counts by month, kind X in all.
    """
    world = memory.world(now.date())
    committed = memory.usage((str(response["lead"]), str(response["pilot"]))).committed
    asked: dict[tuple[Offered, str], int] = {}
    faults = []
    for one in response.get("reserves") or ():
        capability = memory.index.get((str(one["capability"]), str(response["agency"])))
        if capability is None or capability.units is None:
            continue
        kind = world.code(capability.code).kind
        if kind not in ("C", "X"):
            continue
        promised = committed.get(capability.key, {})
        months = one.get("months") or [""]
        for month in months if kind == "C" else ["all"]:
            taken = sum(promised.values()) if kind == "X" else promised.get(month, 0)
            wanted = asked.get((capability.key, month), 0) + round(one["units"] * THOUSAND)
            asked[capability.key, month] = wanted
            left = capability.units - taken
            if wanted > left:
                when = f" in {month}" if kind == "C" and month else ""
                detail = (
                    f"{wanted / THOUSAND:g} asked{when}, {max(0, left) / THOUSAND:g} left: promised to other pilots."
                )
                faults.append(Fault(f"units.{one['need']}", "already-promised", detail))
                break
    if faults:
        raise Conflict(
            "What this proposal asks for is promised to other pilots by now: accept with fewer units, or decline. "
            + " ".join(fault.detail for fault in faults),
            faults=faults,
        )
