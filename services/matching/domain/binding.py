"""What people answer to: digests of a pilot's material parts, of a proposal, and of one member's part in it.

A response names the hash of the proposal it answers. Words, reasons and priority may be told better later without
touching an answer; who does what, for which needs, where and when may not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from shared.facts.fact import to_bytes

_NEED = (
    *("id", "code", "words", "site", "country", "delivery", "quantity", "unit", "months", "essential", "qualifiers"),
    "already_met_by",
)
_SITE = ("country", "admin_area", "sector", "regulatory_basis", "starts_on", "ends_on")
_WHOLE = ("starts_on", "ends_on", "uncertainty", "stop_rules", "co_leads", "partners_declared", "exclusions")
_AI = ("task", "decides", "affects_individuals")


def digest(document: object) -> str:
    return hashlib.sha256(to_bytes(document)).hexdigest()


def material_of(pilot: Mapping[str, Any]) -> str:
    """Digest of what a proposal about this pilot rests on, with dates and partners."""
    return digest(
        {
            "needs": sorted((_picked(need, _NEED) for need in pilot.get("needs") or ()), key=to_bytes),
            "sites": sorted((_picked(site, _SITE) for site in pilot.get("sites") or ()), key=to_bytes),
            "countries": sorted(pilot.get("countries") or ()),
            "groups": sorted(pilot.get("target_groups") or (), key=to_bytes),
            "ai": _picked(pilot.get("ai") or {}, _AI),
            **_picked(pilot, _WHOLE),
        }
    )


def hash_of(proposal: Mapping[str, Any]) -> str:
    """The hash that responses are bound to: the pilot's material parts and who covers what with how much."""
    return digest(
        {
            "pilot": proposal["pilot"],
            "lead": proposal["lead"],
            "material": proposal["material"],
            "team": [[member["agency"], member["role"], _covers(member)] for member in _in_order(proposal["team"])],
        }
    )


def part_of(proposal: Mapping[str, Any], agency: str) -> str | None:
    """Digest of one member's own part, None if it has none: an answer stands for a later proposal that leaves it as
    it was."""
    member = next((one for one in proposal["team"] if one["agency"] == agency), None)
    if member is None:
        return None
    return digest([proposal["pilot"], proposal["lead"], proposal["material"], agency, _covers(member)])


def _picked(record: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: record[name] for name in names if record.get(name) is not None}


def _covers(member: Mapping[str, Any]) -> list[list[Any]]:
    return sorted([cover["need"], cover["capability"], cover["units"]] for cover in member["covers"])


def _in_order(team: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(team, key=lambda member: str(member["agency"]))
