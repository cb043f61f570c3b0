"""Which changes are material, and what they void: exactly what rested on the part that changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

State = Mapping[str, Any]


def _needs(state: State) -> Any:
    told = ("code", "words", "site", "country", "delivery", "quantity", "unit", "months", "essential", "qualifiers")
    needs = [{name: need.get(name) for name in told} for need in state.get("needs", ())]
    return sorted(needs, key=_canonical)


def _sites(state: State) -> Any:
    told = ("country", "admin_area", "sector", "regulatory_basis")
    return sorted(([site.get(name) for name in told] for site in state.get("sites", ())), key=_canonical)


def _target_groups(state: State) -> Any:
    groups = state.get("target_groups", ())
    return sorted((sorted(group) if isinstance(group, list) else group for group in groups), key=_canonical)


def _ai_decides(state: State) -> Any:
    ai = state.get("ai", {})
    return [ai.get(name) for name in ("task", "decides", "affects_individuals")]


def _risk(state: State) -> Any:
    return [state.get(name) for name in ("uncertainty", "stop_rules")]


PARTS: Mapping[str, Callable[[State], Any]] = MappingProxyType(
    {"needs": _needs, "sites": _sites, "target_groups": _target_groups, "ai_decides": _ai_decides, "risk": _risk}
)
"""The material parts of a pilot. Order and ids within a part do not matter, its sense does."""

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "needs": "the needs",
        "sites": "the sites",
        "target_groups": "the target groups",
        "ai_decides": "what the AI decides",
        "risk": "the answers about risk",
    }
)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def material_digests(state: State) -> dict[str, str]:
    """SHA-256 of each material part, in hexadecimal: what a screening or an approval is bound to."""
    return {part: hashlib.sha256(_canonical(of(state)).encode()).hexdigest() for part, of in PARTS.items()}


def changed_parts(rests_on: Mapping[str, str], state: State) -> list[str]:
    """The parts that are no longer what they were when something was bound to their digests."""
    now = material_digests(state)
    return [part for part, digest in rests_on.items() if now.get(part) != digest]
