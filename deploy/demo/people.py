"""The sample's agencies, hosted on this node, and the actors of each with their tokens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from deploy.cli import tokens
from deploy.cli.connection import Connection
from deploy.cli.speaking import Misused, Refused

ROLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "viewer": ("viewer",),
        "officer": ("officer",),
        "officer_2": ("officer",),
        "monitor": ("monitor",),
        "coordinator": ("coordinator", "approver"),
        "approver": ("approver",),
    }
)
"""Name in tokens.json to roles. `officer_2` is somebody else than `officer`, so that four eyes can be shown."""

GUEST_AGENCY, GUEST, GUEST_OFFICE, GUEST_COUNTRY = "wfp", "officer_zmb", "zmb", "ZMB"
"""Whom the demo's link signs in: an officer of WFP Zambia who may also commit its resources."""


def host(operator: Connection, home: Path, agency: str) -> None:
    """Hosts the agency, if it is not yet, and adds every actor of `ROLES` that it lacks. Keeps the tokens."""
    held = tokens.read(home).get(agency, {})
    if "admin" not in held:
        held = {"admin": _hosted(operator, home, agency)}
        tokens.keep(home, agency, held)
    admin = operator.acting(held["admin"])
    added = {}
    for name, roles in ROLES.items():
        if name not in held:
            added[name] = admin.post("/mesh/v1/actors", {"roles": list(roles)})["token"]
    if agency == GUEST_AGENCY and GUEST not in held:
        guest = {
            "roles": ["officer", "approver"],
            "office": GUEST_OFFICE,
            "countries": [GUEST_COUNTRY],
            "languages": ["en"],
            "name": "Officer, WFP Zambia (sample)",
        }
        added[GUEST] = admin.post("/mesh/v1/actors", guest)["token"]
    if added:
        tokens.keep(home, agency, added)


def _hosted(operator: Connection, home: Path, agency: str) -> str:
    try:
        told = operator.post("/mesh/v1/agencies", {"agency": agency})
    except Refused as refused:
        if refused.problem.status != 409:
            raise
        raise Misused(
            f"This node hosts {agency} already, but {tokens.path_in(home)} has no token of its admin.",
            remedy="Put tokens.json back, or try the demo with another PILOTMESH_HOME.",
        ) from refused
    return str(told["admin"]["token"])


def link_for_guest(node: Connection, home: Path) -> str:
    """A link, good once, that signs the reader in as the WFP Zambia officer."""
    held = tokens.read(home)[GUEST_AGENCY]
    guest = node.acting(held[GUEST]).get("/mesh/v1/me")
    told = node.acting(held["admin"]).post("/mesh/v1/sign-in-links", {"actor": guest["id"]})
    return str(told["url"])
