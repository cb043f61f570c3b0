"""What must hold between the fields of a pilot. Runs on what each field's own check found well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from services.registry.records.findings import Findings, child, shown
from services.registry.records.marks import as_day
from shared.vocabulary import capability, groups

Json = Mapping[str, Any]

CERTAINTY = {"high_certainty": "low", "evolving_knowledge": "some", "high_uncertainty": "high"}
"""How a posted cluster reads as the pilot's own uncertainty."""

REQUIRED = {
    "title": "a title",
    "problem": "the problem, in two sentences",
    "starts_on": "the day it starts",
    "ends_on": "the day it ends",
}
DECIDED = ("not_required", "given")


def read_cluster(post: dict[str, Any], findings: Findings) -> None:
    """A posted `cluster` is read as uncertainty: the strategy's clusters classify actions, not pilots (para. 13)."""
    found = post.pop("cluster", None)
    if found is None:
        return
    meant = CERTAINTY.get(found) if isinstance(found, str) else None
    if meant is None:
        known = ", ".join(CERTAINTY)
        findings.fault("cluster", "unknown-code", f"Found {shown(found)}: leave it out, or use one of {known}.")
        return
    if post.get("uncertainty") is None:
        post["uncertainty"] = meant
        detail = f'A cluster classifies actions; it was read as "uncertainty": "{meant}".'
    else:
        detail = 'A cluster classifies actions and is derived from roadmap_measures; "uncertainty" was kept.'
    findings.notice("cluster", "read-as-uncertainty", detail)


def check_complete(pilot: Json, findings: Findings) -> None:
    """What a pilot needs to be more than a draft: title, problem, site, lead, dates."""
    for name, words in REQUIRED.items():
        if not pilot.get(name):
            findings.missing(name, f"Nothing was found: give {words}, or save it with draft: true.")
    if not pilot.get("sites") and not findings.faulty("sites"):
        findings.missing("countries", "No place was found: name at least one country, or save it with draft: true.")


def check_sense(pilot: Json, findings: Findings, *, today: date, own: str) -> None:
    """All rules that a draft must keep too, as far as it is filled."""
    _check_dates(pilot, findings, today)
    _check_sites(pilot, findings)
    _check_needs(pilot, findings)
    _check_people(pilot, findings)
    _check_partners(pilot, findings, own)
    _notice_repetitions(pilot, findings)


def _order(holder: Json, first: str, last: str, at: str, findings: Findings) -> None:
    start, end = as_day(holder.get(first)), as_day(holder.get(last))
    if start and end and end < start:
        place = child(at, last) if at else last
        findings.fault(place, "bad-dates", f"It ends on {end}, before it starts on {start}: exchange or correct them.")


def _inside(holder: Json, pilot: Json, at: str, findings: Findings) -> None:
    start, end = as_day(pilot.get("starts_on")), as_day(pilot.get("ends_on"))
    for name in ("starts_on", "ends_on"):
        day = as_day(holder.get(name))
        if day and ((start and day < start) or (end and day > end)):
            detail = f"{day} lies outside the pilot's dates, {start or '…'} to {end or '…'}: correct one of them."
            findings.fault(child(at, name), "bad-dates", detail)


def _check_dates(pilot: Json, findings: Findings, today: date) -> None:
    _order(pilot, "starts_on", "ends_on", "", findings)
    start, end = as_day(pilot.get("starts_on")), as_day(pilot.get("ends_on"))
    retrospective = pilot.get("entry") == "retrospective"
    if retrospective and start and start > today:
        findings.fault("starts_on", "bad-dates", f"{start} is yet to come: leave out entry: retrospective.")
    elif not retrospective and end and end < today:
        findings.notice("ends_on", "already-over", f"{end} is past: was entry: retrospective meant?")
    for index, phase in _entries(pilot, "phases"):
        at = child("phases", index)
        _order(phase, "starts_on", "ends_on", at, findings)
        _inside(phase, pilot, at, findings)


def _check_sites(pilot: Json, findings: Findings) -> None:
    sensitive = [code for code in _flat(pilot.get("target_groups", ())) if groups.GROUPS[code].sensitive]
    for index, site in _entries(pilot, "sites"):
        at = child("sites", index)
        if not site.get("country"):
            findings.missing(child(at, "country"), "Every site lies in a country: name it.")
        _order(site, "starts_on", "ends_on", at, findings)
        _inside(site, pilot, at, findings)
        if sensitive and site.get("admin_area") and pilot.get("visibility", "mesh") == "mesh":
            detail = (
                f"The target group {sensitive[0]} is never shown below country level: leave the admin area out, "
                "or keep the record private."
            )
            findings.fault(child(at, "admin_area"), "too-precise", detail)
        status = (site.get("consent") or {}).get("status")
        if site.get("state") == "running" and status not in DECIDED:
            detail = "A site starts only with consent given or not required: record the consent's status first."
            place = child(child(at, "consent"), "status")
            if pilot.get("entry") == "retrospective":
                findings.notice(place, "consent-missing", detail)
            else:
                findings.fault(place, "consent-missing", detail)


def _check_needs(pilot: Json, findings: Findings) -> None:
    sites = {site["id"]: site for _, site in _entries(pilot, "sites") if site.get("id")}
    countries = {site["country"] for site in sites.values() if site.get("country")}
    for index, need in _entries(pilot, "needs"):
        at = child("needs", index)
        site, country = need.get("site"), need.get("country")
        if site and site not in sites:
            known = ", ".join(sites) or "none yet"
            findings.fault(
                child(at, "site"), "unknown-site", f"{shown(site)} is no site of this pilot: it has {known}."
            )
        elif site and country and sites[site].get("country") not in (None, country):
            there = sites[site]["country"]
            detail = f"Site {site} lies in {there}, not in {country}: name one of them."
            findings.fault(child(at, "country"), "bad-place", detail)
        elif country and countries and country not in countries:
            detail = f"The pilot has no site in {country}: it has {', '.join(sorted(countries))}."
            findings.fault(child(at, "country"), "bad-place", detail)
        _check_need_code(need, at, findings)
        _check_months(need, pilot, at, findings)


def _check_need_code(need: Json, at: str, findings: Findings) -> None:
    place = child(at, "code")
    code = need.get("code")
    if code is None:
        findings.missing(place, "Name a capability code, or say the need in plain words (words).")
        return
    known = capability.CODES[code]
    if code == "funding":
        findings.notice(place, "not-matched", "Funding is met by funders: matching proposes no team for it.")
    elif code == "other":
        if not need.get("words"):
            findings.missing(child(at, "words"), "Say in words what is needed, since no code says it.")
        detail = "Matching cannot meet a need without a code; the vocabulary's keepers will see it."
        findings.notice(place, "not-matched", detail)
    check_unit(need.get("unit"), known, child(at, "unit"), findings)
    if known.kind == "S" and need.get("quantity") not in (None, 1):
        detail = f"{code} is shared without limit: its quantity is not counted."
        findings.notice(child(at, "quantity"), "not-counted", detail)
    if known.goal_required and not (need.get("qualifiers") or {}).get("goal"):
        goal = child(child(at, "qualifiers"), "goal")
        findings.missing(goal, f"{code} needs the SDG goal of the sector, such as 2.")


def check_unit(unit: str | None, code: capability.CapabilityCode, at: str, findings: Findings) -> None:
    """A unit may be posted to be sure; it must then be the code's, or `posts` for the work of people."""
    allowed = [word for word in (code.unit, "posts" if code.posts else None) if word]
    if unit is not None and allowed and unit not in allowed:
        findings.fault(at, "unknown-unit", f"{shown(unit)} found: {code.code} is counted in {' or '.join(allowed)}.")


def _check_months(need: Json, pilot: Json, at: str, findings: Findings) -> None:
    start, end = as_day(pilot.get("starts_on")), as_day(pilot.get("ends_on"))
    for index, month in enumerate(need.get("months") or ()):
        first = as_day(f"{month}-01")
        if first is None:
            continue
        too_early = start is not None and (first.year, first.month) < (start.year, start.month)
        if too_early or (end is not None and first > end):
            detail = f"{month} lies outside the pilot's dates, {start or '…'} to {end or '…'}: correct one of them."
            findings.fault(child(child(at, "months"), index), "bad-dates", detail)


def _check_people(pilot: Json, findings: Findings) -> None:
    for index, site in _entries(pilot, "sites"):
        for name in ("planned", "reached"):
            counts = (site.get("people") or {}).get(name) or {}
            poor, direct, indirect = (counts.get(each) for each in ("extreme_poverty", "direct", "indirect"))
            if poor is not None and direct is not None and indirect is not None and poor > direct + indirect:
                place = child(child(child(child("sites", index), "people"), name), "extreme_poverty")
                detail = f"{poor} is more than all people of the site, {direct} + {indirect}: correct one of them."
                findings.fault(place, "out-of-range", detail)


def _check_partners(pilot: Json, findings: Findings, own: str) -> None:
    for index, agency in enumerate(pilot.get("co_leads") or ()):
        if agency == own:
            detail = f"{own} already leads the pilot: name other agencies."
            findings.fault(child("co_leads", index), "duplicate", detail)
    for index, agency in enumerate(pilot.get("exclusions") or ()):
        if agency == own:
            findings.fault(child("exclusions", index), "bad-exclusion", f"{own} leads the pilot: name other agencies.")
        elif agency in (pilot.get("co_leads") or ()):
            findings.fault(
                child("exclusions", index), "bad-exclusion", f"{agency} is a co-lead: it is one or the other."
            )
    for index, partner in _entries(pilot, "partners_declared"):
        at = child("partners_declared", index)
        if not partner.get("agency") and not partner.get("organisation"):
            findings.missing(at, "Name the partner: an agency by its short name, or an organisation.")


def _notice_repetitions(pilot: Json, findings: Findings) -> None:
    for name in ("sdg_targets", "roadmap_measures", "layers", "target_groups", "co_leads"):
        entries = pilot.get(name) or ()
        for index, entry in enumerate(entries):
            if entry is not None and entry in entries[:index]:
                detail = f"{shown(entry)} stands here twice; it counts once."
                findings.notice(child(name, index), "repeated", detail)


def _entries(pilot: Json, name: str) -> Iterator[tuple[int, Json]]:
    for index, entry in enumerate(pilot.get(name) or ()):
        if isinstance(entry, dict):
            yield index, entry


def _flat(entries: Sequence[Any]) -> Iterator[str]:
    for entry in entries:
        if isinstance(entry, list):
            yield from (code for code in entry if isinstance(code, str))
        elif entry is not None:
            yield entry
