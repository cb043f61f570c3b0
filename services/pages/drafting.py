"""What the six questions of a pilot's draft ask, hold and save; no HTTP of the pages in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.pages.answering import Fault
from services.pages.visitor import Visitor
from shared.vocabulary import capability, places, sdg
from shared.vocabulary.tables import LANGUAGES

STEPS = ("title", "problem", "place", "need", "kind", "dates")

Record = Mapping[str, Any]


def first_need(pilot: Record) -> Mapping[str, Any]:
    return next((need for need in pilot.get("needs") or () if isinstance(need, dict)), {})


def is_said(pilot: Record, step: str) -> bool:
    """Whether the pilot has what a step asks. `kind` is only asked once a need is said in words."""
    need = first_need(pilot)
    done = {
        "title": bool(pilot.get("title")),
        "problem": bool(pilot.get("problem")),
        "place": bool(pilot.get("countries")),
        "need": bool(need),
        "kind": need.get("code") not in (None, "other"),
        "dates": bool(pilot.get("starts_on") and pilot.get("ends_on")),
    }
    return done[step]


def step_after(pilot: Record, step: str) -> str:
    """The next step that still lacks something after this one; empty when only the overview is left."""
    later = STEPS[STEPS.index(step) + 1 :]
    return next((one for one in later if not is_said(pilot, one)), "")


def lacking(pilot: Record) -> list[str]:
    """What keeps a draft from being opened. A need without a code opens it too, although nobody can be matched."""
    return [step for step in STEPS if step != "kind" and not is_said(pilot, step)]


def read_step(
    visitor: Visitor, pilot: Record, step: str, words: Mapping[str, str]
) -> tuple[dict[str, Any], list[Fault]]:
    """What is to be saved, as a merge patch. Whatever is empty is left as it is; nothing but the step's own."""
    tongue = words.get("tongue") if words.get("tongue") in LANGUAGES else written_in(visitor, pilot)
    if step in ("title", "problem"):
        if not words.get(step):
            return {}, [(step, visitor.words(f"draft.{step}.missing"), "")]
        saved: dict[str, Any] = {step: {tongue: words[step]}}
        return ({**saved, "language": tongue} if step == "title" else saved), []
    if step == "place":
        return _read_place(visitor, pilot, words)
    if step == "need":
        if not words.get("words"):
            return {}, [("words", visitor.words("draft.need.missing"), "")]
        need = {**_without_code(first_need(pilot), words["words"], str(tongue)), "words": {tongue: words["words"]}}
        return {"needs": [{**need, "essential": "essential" in words}, *_other_needs(pilot)]}, []
    if step == "kind":
        return _read_kind(visitor, pilot, words)
    dates = {name: words[name] for name in ("starts_on", "ends_on") if words.get(name)}
    missing = [name for name in ("starts_on", "ends_on") if name not in dates]
    if len(missing) == 2:
        return {}, [("starts_on", visitor.words("draft.dates.missing"), "")]
    return dates, []


def _read_place(visitor: Visitor, pilot: Record, words: Mapping[str, str]) -> tuple[dict[str, Any], list[Fault]]:
    if words.get("country") not in places.PLACES:
        return {}, [("country", visitor.words("draft.place.missing"), "")]
    sites = [site for site in pilot.get("sites") or () if isinstance(site, dict)]
    first = {**(sites[0] if sites else {}), "country": words["country"]}
    if words.get("area"):
        first["admin_area"] = {**(first.get("admin_area") or {}), "name": words["area"]}
    else:
        first.pop("admin_area", None)
    return {"sites": [first, *sites[1:]]}, []


def _read_kind(visitor: Visitor, pilot: Record, words: Mapping[str, str]) -> tuple[dict[str, Any], list[Fault]]:
    need = dict(first_need(pilot))
    code = words.get("code") or words.get("other_code") or ""
    if code == "none":
        need["code"] = "other"
        return {"needs": [need, *_other_needs(pilot)]}, []
    if code not in capability.CODES:
        return {}, [("code", visitor.words("draft.kind.missing"), "")]
    need["code"] = code
    if capability.CODES[code].goal_required:
        if words.get("goal") not in sdg.GOALS:
            return {}, [("goal", visitor.words("draft.kind.goal_missing"), "")]
        need["qualifiers"] = {**(need.get("qualifiers") or {}), "goal": words["goal"]}
    if words.get("quantity"):
        try:
            need["quantity"] = float(words["quantity"].replace(",", "."))
        except ValueError:
            return {}, [("quantity", visitor.words("draft.kind.quantity_wrong"), "")]
    return {"needs": [need, *_other_needs(pilot)]}, []


def _without_code(need: Record, words: str, tongue: str) -> dict[str, Any]:
    """Other words may mean another kind of help, so that is asked anew."""
    kept = dict(need)
    if (need.get("words") or {}).get(tongue) != words:
        kept.pop("code", None)
    return kept


def _other_needs(pilot: Record) -> list[Any]:
    return list(pilot.get("needs") or ())[1:]


def written_in(visitor: Visitor, pilot: Record) -> str:
    """The language a pilot is written in: the one it was begun in."""
    return str(pilot.get("language") or visitor.words.language)


def written(visitor: Visitor, pilot: Record, step: str) -> dict[str, str]:
    """What the step's fields hold already."""
    tongue, need = written_in(visitor, pilot), first_need(pilot)
    site = next((site for site in pilot.get("sites") or () if isinstance(site, dict)), {})
    held: dict[str, dict[str, Any]] = {
        "title": {"title": (pilot.get("title") or {}).get(tongue)},
        "problem": {"problem": (pilot.get("problem") or {}).get(tongue)},
        "place": {"country": site.get("country"), "area": (site.get("admin_area") or {}).get("name")},
        "need": {"words": (need.get("words") or {}).get(tongue)},
        "kind": {
            "code": "" if need.get("code") == "other" else need.get("code"),
            "goal": (need.get("qualifiers") or {}).get("goal"),
            "quantity": visitor.show.number(need["quantity"]) if need.get("quantity") else None,
        },
        "dates": {"starts_on": pilot.get("starts_on"), "ends_on": pilot.get("ends_on")},
    }
    if step == "need" and need.get("essential", True):
        held["need"]["essential"] = "1"
    return {name: str(value) for name, value in held[step].items() if value is not None}
