"""What nobody can provide, gathered from standing proposals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shared.ledger.rows import Row

CHOICES = frozenset({"team_full", "not_worth_a_member", "used_elsewhere", "too_small", "met_by_funders"})
"""Reasons for a need to be left open that say nothing about whether somebody could meet it."""


def gaps_in(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """One entry per code and country: the pilots that ask for it, why it is open, and what could be done."""
    found: dict[tuple[str, str | None], dict[str, Any]] = {}
    for row in rows:
        state = row.state
        needs = {need["id"]: need for need in state.get("needs") or ()}
        for uncovered in state.get("uncovered") or ():
            need = needs.get(uncovered.get("need"))
            if need is None or uncovered["why"]["code"] in CHOICES:
                continue
            place = need.get("country") or _only(state.get("countries") or ())
            gap = found.setdefault(
                (need["code"], place),
                {
                    "code": need["code"],
                    "country": place,
                    "pilots": [],
                    "needs": [],
                    "essential": False,
                    "why": uncovered["why"],
                    "suggestions": [],
                },
            )
            gap["needs"].append(_asked(state, need, uncovered))
            if state["pilot"] not in gap["pilots"]:
                gap["pilots"].append(state["pilot"])
            gap["essential"] = gap["essential"] or bool(uncovered.get("essential"))
            gap["suggestions"] += [one for one in uncovered.get("suggestions") or () if one not in gap["suggestions"]]
    return sorted(found.values(), key=lambda gap: (-len(gap["pilots"]), gap["code"], gap["country"] or ""))


def _asked(state: Mapping[str, Any], need: Mapping[str, Any], uncovered: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "pilot": state["pilot"],
        "proposal": state["id"],
        "lead": state["lead"],
        "need": need["id"],
        "essential": bool(uncovered.get("essential")),
        "share": uncovered.get("share", 0),
        "quantity": need.get("quantity"),
        "why": uncovered["why"],
    }


def _only(countries: Any) -> str | None:
    return str(countries[0]) if len(countries) == 1 else None
