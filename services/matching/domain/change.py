"""What a command or a reaction decides: one change of one aggregate, ready to be handed to the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.facts.fact import Rest

State = dict[str, Any]

MESH = "mesh"
PRIVATE = "private"


@dataclass(frozen=True, slots=True)
class Change:
    """`version` is the one the change makes (1 for a new aggregate); `state` the whole state after it.

    `audience` is the ledger it belongs to: "mesh", "private" or a circle's UUID. `rests_on` names the facts that a
    closing fact counted.
    """

    kind: str
    verb: str
    id: str
    version: int
    agency: str
    state: State
    audience: str = MESH
    rests_on: tuple[Rest, ...] = ()
