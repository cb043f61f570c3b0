"""What a command decides: one change of one aggregate, ready to be handed to the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.registry.records.findings import Notice
from shared.problems import Conflict, Fault

MESH = "mesh"
PRIVATE = "private"
SYSTEM_ROLE = "system"

State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """`version` is the one the change makes (1 for a new aggregate); `state` the whole state after it.

    `audience` is the ledger it belongs to: "mesh" or "private". `role` is the one the actor acted in, "system" for
    what follows from another fact. `narrowed` says that a wider ledger still shows the aggregate, which
    `withdrawal_after` takes back.
    """

    kind: str
    verb: str
    id: str
    version: int
    agency: str
    state: State
    audience: str
    role: str
    notices: tuple[Notice, ...] = ()
    narrowed: bool = False

    @property
    def type(self) -> str:
        return f"org.pilotmesh.{self.kind}.{self.verb}.v1"

    @property
    def subject(self) -> str:
        return f"{self.kind}/{self.id}"


def withdrawal_after(change: Change) -> Change | None:
    """The reaction to a narrowing: what the wider ledger showed is withdrawn there, by id only."""
    if not change.narrowed:
        return None
    return withdrawn(change.kind, change.id, change.version, agency=change.agency, audience=MESH, role=SYSTEM_ROLE)


def withdrawn(kind: str, own_id: str, version: int, *, agency: str, audience: str, role: str) -> Change:
    """Takes an aggregate of `version` out of the ledger of `audience`; only its id is left."""
    return Change(kind, "withdrawn", own_id, version + 1, agency, {"id": own_id, "withdrawn": True}, audience, role)


def narrows(before: str, after: str, *, understood: bool) -> bool:
    """Whether a revision takes a shared record back into the agency. Refused until the actor says it is `understood`
    that what was shared cannot be called back."""
    if (before, after) != (MESH, PRIVATE):
        return False
    if not understood:
        detail = "The record was shared with the mesh; a copy once read cannot be called back. Confirm to go on."
        raise Conflict(detail, faults=[Fault("visibility", "cannot-be-recalled", detail)])
    return True
