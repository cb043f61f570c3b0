"""What the registry writes into a pilot's state beside what was posted, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from services.registry.domain.change import MESH, PRIVATE, State
from shared.problems import Conflict

MANAGED = frozenset(
    (
        *("id", "version", "life_since", "retired", "kept_as_draft", "assessment_due_on", "withdrawn"),
        *("screening", "assessment", "testbed", "paused", "closed"),
    )
)
"""Fields of the registry's own; a post that carries them back changes nothing."""

RESTING = ("screening", "assessment")
"""What is bound to the digests of material parts, and void once one of them changes."""


def audience_of(state: Mapping[str, Any]) -> str:
    """A draft never leaves the agency; an open record goes where its visibility says."""
    if state.get("life") == "draft" or state.get("visibility") == PRIVATE:
        return PRIVATE
    return MESH


def refuse_withdrawn(state: Mapping[str, Any]) -> None:
    if state.get("withdrawn"):
        raise Conflict("The record was withdrawn: register it anew if it is needed again.")


def stamp(now: datetime) -> str:
    """RFC 3339, UTC, to the second."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def posted(state: State) -> State:
    """What of a state was posted: everything but what the registry writes itself."""
    held = {name: value for name, value in state.items() if name not in MANAGED and name != "life"}
    if state.get("kept_as_draft"):
        held["draft"] = True
    return held
