"""Who may do what in the registry. Nobody writes for another agency, whatever the role."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Protocol

from shared.problems import Forbidden


class Actor(Protocol):
    """A person or system as a token names it: an opaque id, one agency, the roles held there."""

    @property
    def id(self) -> str: ...

    @property
    def agency(self) -> str: ...

    @property
    def roles(self) -> Collection[str]: ...

    @property
    def office(self) -> str | None: ...


_EVERYDAY = ("officer", "coordinator")

ACTS: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "register_agency": ("register an agency", ("admin",)),
        "revise_agency": ("revise the agency's record", ("admin",)),
        "withdraw_agency": ("withdraw the agency's record", ("admin",)),
        "register_office": ("register an office", ("admin", "coordinator")),
        "revise_office": ("revise an office", ("admin", "coordinator")),
        "withdraw_office": ("withdraw an office", ("admin", "coordinator")),
        "register_pilot": ("register a pilot", _EVERYDAY),
        "revise_pilot": ("revise a pilot", _EVERYDAY),
        "withdraw_pilot": ("withdraw a pilot", _EVERYDAY),
        "screen_pilot": ("screen a pilot", _EVERYDAY),
        "form_pilot": ("say that a pilot's testbed is forming", _EVERYDAY),
        "ready_pilot": ("declare a pilot ready", _EVERYDAY),
        "start_pilot": ("start a pilot", ("approver",)),
        "pause_pilot": ("pause a pilot", (*_EVERYDAY, "approver", "monitor")),
        "resume_pilot": ("resume a pilot", ("approver",)),
        "close_pilot": ("close a pilot", (*_EVERYDAY, "approver")),
        "register_capability": ("register a capability", _EVERYDAY),
        "revise_capability": ("revise a capability", _EVERYDAY),
        "confirm_capability": ("confirm a capability", (*_EVERYDAY, "approver")),
        "withdraw_capability": ("withdraw a capability", _EVERYDAY),
    }
)
"""Each act with its words and the roles that may do it; the first held of them is the one acted in."""


def may(actor: Actor, act: str, agency: str) -> str:
    """The role in which `actor` does `act` for `agency`. Raises `Forbidden` naming the role that is needed."""
    words, allowed = ACTS[act]
    if actor.agency != agency:
        raise Forbidden(
            f"To {words} of {agency}, act for {agency} as {' or '.join(allowed)}; you act for {actor.agency}. "
            "Nobody writes for another agency."
        )
    role = next((role for role in allowed if role in actor.roles), None)
    if role is None:
        held = ", ".join(sorted(actor.roles)) or "none"
        raise Forbidden(f"To {words} you need the role {' or '.join(allowed)} at {agency}; yours: {held}.")
    return role


def may_read(actor: Actor | None, agency: str, audience: str) -> bool:
    """What the mesh shares, every actor of the mesh reads; what is private, only the agency's own."""
    if actor is None:
        return False
    return audience == "mesh" or actor.agency == agency
