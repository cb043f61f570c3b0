"""How ledgers, types and subjects are named, and which service may write what.

A ledger is one agency x one service x one audience. Agency and service of a fact are always taken from its
ledger's name, never from a payload.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

AGENCY = re.compile(r"[a-z][a-z0-9-]{1,31}")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TYPE = re.compile(r"org\.pilotmesh\.([a-z][a-z_]*)\.([a-z][a-z_]*)\.v([1-9][0-9]*)")
SUBJECT = re.compile(r"([a-z][a-z_]*)/([A-Za-z0-9._-]{1,64})")

MESH_AUDIENCE = "mesh"
PRIVATE_AUDIENCE = "private"

ANCHOR = "hub"
"""Reserved slug: the anchor that signs the roster. No agency may take it."""

COMMON_KINDS = frozenset({"fact", "ledger"})
"""Kinds that every service may write about its own ledger: redaction, rekeying, reopening."""

KINDS: dict[str, frozenset[str]] = {
    "registry": frozenset(
        (
            *("agency", "office", "partner", "pilot", "site", "capability", "dataset"),
            *("screening", "assessment", "lesson", "link"),
        )
    ),
    "matching": frozenset(
        (
            *("proposal", "response", "suspension", "testbed", "recommendation", "rules"),
            *("question", "answer"),
        )
    ),
    "metrics": frozenset(["indicator", "plan", "observations", "review", "upload", "snapshot", "progress"]),
    "mesh": frozenset(["roster", "heads"]),
}
"""Kinds that each service writes; a fact of another kind in its ledger has no right to be there."""

SERVICE_OF: dict[str, str] = {kind: service for service, kinds in KINDS.items() for kind in kinds}
"""Which service writes a kind."""

PRIVATE_KINDS = frozenset({"observations", "review", "upload", "snapshot"})
"""Kinds that never stand in a ledger of the whole mesh."""

OWNER_FIELDS: dict[str, str] = {
    "agency": "slug",
    "pilot": "lead_agency",
    "capability": "agency",
    "proposal": "lead",
    "response": "agency",
    "suspension": "agency",
    "testbed": "lead",
    "question": "agency",
    "answer": "agency",
    "rules": "agency",
    "plan": "agency",
    "progress": "agency",
    "observations": "agency",
    "upload": "agency",
    "snapshot": "agency",
}
"""Where a payload names its owner; it must be the ledger's agency, or the fact has no right to be there."""


@dataclass(frozen=True, slots=True)
class LedgerName:
    """`<agency>.<service>`, `<agency>.<service>.private` or `<agency>.<service>.<circle uuid>`."""

    agency: str
    service: str
    audience: str = MESH_AUDIENCE

    def __str__(self) -> str:
        base = f"{self.agency}.{self.service}"
        return base if self.audience == MESH_AUDIENCE else f"{base}.{self.audience}"

    @property
    def is_private(self) -> bool:
        return self.audience == PRIVATE_AUDIENCE

    @property
    def circle(self) -> str | None:
        return None if self.audience in (MESH_AUDIENCE, PRIVATE_AUDIENCE) else self.audience

    @property
    def root(self) -> str:
        """The NATS subject prefix under which this node publishes facts of this ledger."""
        if self.is_private:
            return f"private.{self.agency}.{self.service}"
        if self.circle:
            return f"circle.{self.circle}.{self.agency}.{self.service}"
        return f"facts.{self.agency}.{self.service}"


def ledger_name(name: str) -> LedgerName:
    """Parses a ledger's name. Raises ValueError naming the part that is wrong."""
    parts = name.split(".")
    if len(parts) not in (2, 3):
        raise ValueError(f"ledger {name!r}: expected <agency>.<service>[.<audience>]")
    agency, service = parts[0], parts[1]
    audience = parts[2] if len(parts) == 3 else MESH_AUDIENCE
    if not AGENCY.fullmatch(agency):
        raise ValueError(f"ledger {name!r}: {agency!r} is no agency slug")
    if service not in KINDS:
        raise ValueError(f"ledger {name!r}: {service!r} is no service that writes facts")
    if len(parts) == 3 and audience != PRIVATE_AUDIENCE and not UUID.fullmatch(audience):
        raise ValueError(f"ledger {name!r}: audience {audience!r} is neither 'private' nor a circle's UUID")
    return LedgerName(agency, service, audience)


def fact_type(kind: str, verb: str, version: int = 1) -> str:
    return f"org.pilotmesh.{kind}.{verb}.v{version}"


def fact_subject(ledger: LedgerName, kind: str, verb: str) -> str:
    """The NATS subject of a fact, as the node that wrote it publishes it."""
    return f"{ledger.root}.{kind}.{verb}"
