"""What must hold between the fields of a capability. Runs on what each field's own check found well."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from services.registry.records.findings import Findings, child
from services.registry.records.marks import as_day
from services.registry.records.pilot_rules import check_unit
from shared.vocabulary import capability as vocabulary

QUALITIES = ("comprehensiveness", "representativeness", "trustworthiness")


def settle_places(capability: dict[str, Any], given: set[str], findings: Findings) -> None:
    """`countries` posts both lists of places; each may be posted by itself. None of them means anywhere."""
    for name in ("countries", "covers", "delivers_to"):
        if capability.get(name) == []:
            detail = "An empty list would mean nowhere: leave it out for anywhere, or name countries."
            findings.fault(name, "empty", detail)
    countries = capability.get("countries")
    if countries is None:
        return
    for name in ("covers", "delivers_to"):
        if name not in capability or ("countries" in given and name not in given):
            capability[name] = list(countries)


def settle_units(capability: dict[str, Any], findings: Findings) -> None:
    """What is shared without limit has no units to count: matching must never run out of it."""
    known = vocabulary.CODES.get(capability.get("code") or "")
    if known is None:
        return
    if known.kind == "S" and capability.get("units") is not None:
        detail = f"{known.code} is shared without limit: its units were left out."
        findings.notice("units", "not-counted", detail)
        del capability["units"]
    if known.kind in ("C", "X") and capability.get("units") is None:
        findings.missing("units", f"Say how many {(known.unit or 'units').replace('_', ' ')} there are.")
    if not known.matchable:
        findings.notice("code", "not-matched", f"{known.code} is listed, and never matched by itself.")


def check_sense(capability: Mapping[str, Any], findings: Findings, *, today: date) -> None:
    for name, words in (("code", "a capability code"), ("title", "a title")):
        if not capability.get(name):
            findings.missing(name, f"Nothing was found: give {words}.")
    _check_dates(capability, findings, today)
    _check_code(capability, findings)
    _check_label(capability, findings)


def _check_dates(capability: Mapping[str, Any], findings: Findings, today: date) -> None:
    start, end = as_day(capability.get("available_from")), as_day(capability.get("available_to"))
    if start and end and end < start:
        detail = f"It ends on {end}, before it begins on {start}: exchange or correct them."
        findings.fault("available_to", "bad-dates", detail)
    if end and end < today:
        findings.notice("available_to", "already-over", f"{end} is past: it is not offered to anybody any more.")
    confirmed = as_day(capability.get("confirmed_on"))
    if confirmed and confirmed > today + timedelta(days=1):  # east of UTC it is tomorrow already
        findings.fault("confirmed_on", "bad-dates", f"{confirmed} is yet to come: nobody can have confirmed it then.")


def _check_code(capability: Mapping[str, Any], findings: Findings) -> None:
    known = vocabulary.CODES.get(capability.get("code") or "")
    if known is None:
        return
    check_unit(capability.get("unit"), known, "unit", findings)
    if known.goal_required and not capability.get("goals"):
        findings.missing("goals", f"{known.code} needs the SDG goals of its sectors, such as 2.")


def _check_label(capability: Mapping[str, Any], findings: Findings) -> None:
    """A score without its reason tells nobody anything (measure 6.2)."""
    label = capability.get("label") or {}
    scored = [(child("label", name), label.get(name)) for name in QUALITIES]
    scored += [(child("label.suitability", index), one) for index, one in enumerate(label.get("suitability") or ())]
    for at, one in scored:
        if isinstance(one, dict) and one.get("score") is not None and not one.get("reason"):
            findings.missing(child(at, "reason"), "Give the reason for the score, in a sentence.")
