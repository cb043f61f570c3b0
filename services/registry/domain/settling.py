"""From a post and the state before to the state after: ids given out, places settled, rules held, life found."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from services.registry.domain.change import MESH, State
from services.registry.domain.numbering import Part, gone, numbered
from services.registry.domain.pilot_state import MANAGED, audience_of, stamp
from services.registry.domain.places import countries_of, sites_of
from services.registry.records.findings import Findings, shown
from services.registry.records.personal import check_personal
from services.registry.records.pilot_rules import check_complete, check_sense, read_cluster
from services.registry.records.posts import OUTCOMES, PilotPost
from services.registry.records.reading import read

ASSESSMENT_DUE = timedelta(days=90)
ENTERED_AT = ("running", "closed")


def settled(
    whole: State,
    given: set[str],
    held: State,
    *,
    findings: Findings,
    now: datetime,
    screening_before: str,
) -> State:
    """The new state; faults are in `findings`. `held` is the state before (nearly empty for a new pilot)."""
    post = {name: value for name, value in whole.items() if name not in MANAGED}
    _notice_managed(whole, held, findings)
    read_cluster(post, findings)
    pilot = read(PilotPost, post, findings)
    today = now.astimezone(UTC).date()
    _keep(pilot, held, findings)
    pilot.setdefault("visibility", MESH)
    _say_needs(pilot, findings)
    _give_ids(pilot, given, held, findings)
    draft = pilot.pop("draft", False) is True and held["life"] == "draft"
    life = _life(pilot, held, draft, findings, screening_before)
    if not draft:
        check_complete(pilot, findings)
    check_sense(pilot, findings, today=today, own=str(held["lead_agency"]))
    own = {name: held[name] for name in MANAGED if name in held and name not in ("kept_as_draft", "retired")}
    retired = sorted({*held.get("retired", ()), *_gone(held, pilot)})
    new: State = {**own, **pilot, "life": life}
    if retired:
        new["retired"] = retired
    if draft:
        new["kept_as_draft"] = True
    if life != held["life"] or "life_since" not in held:
        new["life_since"] = stamp(now)
    if pilot.get("entry") == "retrospective" and "assessment_due_on" not in new:
        new["assessment_due_on"] = (today + ASSESSMENT_DUE).isoformat()
    check_personal(pilot, findings, refuse=audience_of(new) == MESH)
    return new


def _notice_managed(post: Mapping[str, Any], held: State, findings: Findings) -> None:
    for name in sorted(MANAGED & set(post)):
        if name != "version" and post[name] != held.get(name):
            findings.notice(name, "set-by-registry", "The registry writes this itself; what was posted is ignored.")


def _keep(pilot: State, held: State, findings: Findings) -> None:
    """A pilot belongs for ever to the agency that registered it, and is entered once."""
    lead = pilot.setdefault("lead_agency", held["lead_agency"])
    if lead != held["lead_agency"]:
        detail = f"The pilot belongs to {held['lead_agency']} for good; {shown(lead)} can be a co-lead."
        findings.fault("lead_agency", "fixed", detail)
    was, entry = held.get("entry", "prospective"), pilot.get("entry", "prospective")
    if held["life"] != "draft" and entry != was:
        findings.fault("entry", "fixed", f"The pilot was entered as {was}; that is settled once it is no draft.")


def _say_needs(pilot: State, findings: Findings) -> None:
    """A need in plain words only is `other` until somebody finds its code."""
    for index, need in enumerate(pilot.get("needs") or ()):
        place = f"needs[{index}].code"
        if isinstance(need, dict) and need.get("code") is None and need.get("words") and not findings.faulty(place):
            need["code"] = "other"


def _give_ids(pilot: State, given: set[str], held: State, findings: Findings) -> None:
    retired = held.get("retired", ())
    sites = sites_of(pilot, given, held.get("sites", ()), findings)
    if sites or "sites" in pilot or "countries" in pilot:
        alike = (_but_id, lambda site: (site.get("country"), str(site.get("admin_area"))), lambda s: s.get("country"))
        pilot["sites"] = numbered(
            sites, held.get("sites", ()), retired, prefix="s", at="sites", likenesses=alike, findings=findings
        )
        pilot["countries"] = countries_of(pilot["sites"])
    if "needs" in pilot:
        alike_needs = (_but_id, _need_place, lambda need: need.get("code"))
        pilot["needs"] = numbered(
            pilot["needs"],
            held.get("needs", ()),
            retired,
            prefix="n",
            at="needs",
            likenesses=alike_needs,
            findings=findings,
        )


def _but_id(part: Part) -> Hashable:
    return repr(sorted((name, value) for name, value in part.items() if name != "id"))


def _need_place(need: Part) -> Hashable:
    return (need.get("code"), need.get("site"), need.get("country"))


def _gone(held: State, pilot: State) -> list[str]:
    return [own for name in ("sites", "needs") for own in gone(held.get(name) or (), pilot.get(name) or ())]


def _life(pilot: State, held: State, draft: bool, findings: Findings, screening_before: str) -> str:
    """Where the pilot stands after the post. Only entry in retrospect sets it by a post."""
    asked = pilot.pop("life", None)
    new = "life_since" not in held
    if pilot.get("entry") == "retrospective" and (new or held["life"] == "draft"):
        if draft:
            return "draft"
        if asked not in ENTERED_AT:
            findings.missing("life", "A pilot entered in retrospect is running or closed: say which.")
        if asked == "closed" and not pilot.get("outcome"):
            findings.missing("outcome", f"A closed pilot has an outcome: one of {', '.join(OUTCOMES)}.")
        return str(asked) if asked in ENTERED_AT else "draft"
    if asked is not None and asked != held["life"]:
        findings.notice("life", "not-by-post", "A pilot's life is moved by its own command, not by a post.")
    if held["life"] != "draft" or draft:
        return str(held["life"])
    if not pilot.get("needs"):
        findings.notice("needs", "not-open-yet", "The pilot stays a draft: add a need, and it opens.")
        return "draft"
    if screening_before == "open" and held["screening"].get("status") != "passed":
        detail = "The agency screens pilots before they open: answer the eight questions, then open it."
        findings.notice("life", "not-open-yet", detail)
        return "draft"
    return "open"
