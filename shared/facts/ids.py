"""Identifiers: UUIDv7 for what is new, UUIDv5 for what follows from something already there."""

from __future__ import annotations

import uuid

import uuid_utils

PILOTMESH = uuid.uuid5(uuid.NAMESPACE_URL, "https://pilotmesh.org/ns")
"""Namespace of every derived id (RFC 9562, section 5.5)."""


def new_id() -> str:
    """A UUIDv7: unique, and sorted by time of making."""
    return str(uuid_utils.uuid7())


def circle_of(lead: str, proposal: str) -> str:
    """The circle of a lead's proposal, and of the testbed that forms from it. It follows from both, so that anybody can
    tell whose it is: who names it in a record of its own has nothing to say about it."""
    return derived_id("circle", lead, proposal)


def derived_id(*cause: str) -> str:
    """The id of what follows from `cause`: doing it twice gives the same id, so it is done once."""
    return str(uuid.uuid5(PILOTMESH, "\0".join(cause)))
