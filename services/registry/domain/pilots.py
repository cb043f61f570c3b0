"""Registering, revising and withdrawing a pilot: posts in, changes out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.registry.domain.actors import Actor, may
from services.registry.domain.change import Change, State, narrows, withdrawn
from services.registry.domain.material import PARTS, WORDS, changed_parts
from services.registry.domain.merging import merged
from services.registry.domain.pilot_state import RESTING, audience_of, posted, refuse_withdrawn, stamp
from services.registry.domain.settling import settled
from services.registry.records.findings import Findings
from services.registry.records.hygiene import check_carriable
from services.registry.records.posts import PilotPost
from shared.problems import Conflict


def register_pilot(
    post: Any,
    *,
    id: str,  # noqa: A002 - the record's word
    now: datetime,
    actor: Actor,
    screening_before: str = "ready",
) -> Change:
    """A new pilot. A complete one with needs is open at once; `draft: true` keeps it in the agency at any field.

    `screening_before` is the agency's gate ("open" keeps a pilot a draft until it is screened).
    Raises `Invalid` with all faults, `Forbidden` for another agency's pilot.
    """
    findings = Findings()
    check_carriable(post, findings)
    lead = post.get("lead_agency")
    role = may(actor, "register_pilot", lead if isinstance(lead, str) and lead else actor.agency)
    held: State = {"id": id, "lead_agency": actor.agency, "life": "draft", "screening": {"status": "none"}}
    new = settled(post, set(post), held, findings=findings, now=now, screening_before=screening_before)
    findings.refuse_if_faulty()
    notices = tuple(findings.notices)
    return Change("pilot", "registered", id, 1, actor.agency, new, audience_of(new), role, notices)


def revise_pilot(
    state: State,
    post: Any,
    *,
    version: int,
    now: datetime,
    actor: Actor,
    whole: bool = False,
    understood: bool = False,
    screening_before: str = "ready",
) -> Change:
    """The pilot after a revision. `post` holds what changes (JSON Merge Patch, RFC 7396: null takes a field away);
    with `whole` it replaces all known fields, and unknown ones stay unless it names them. Needs and sites keep ids.

    A material change voids the screening that rested on it and takes a ready pilot back to forming. Narrowing a
    shared record to private is refused until `understood`, because what was shared cannot be called back.
    """
    role = may(actor, "revise_pilot", str(state["lead_agency"]))
    refuse_withdrawn(state)
    findings = Findings()
    check_carriable(post, findings)
    whole_post = merged(posted(state), post, whole=whole, known=frozenset(PilotPost.model_fields))
    new = settled(whole_post, set(post), state, findings=findings, now=now, screening_before=screening_before)
    findings.refuse_if_faulty()
    _void(state, new, findings, now)
    narrowed = narrows(audience_of(state), audience_of(new), understood=understood)
    verb = "opened" if (state["life"], new["life"]) == ("draft", "open") else "revised"
    notices = tuple(findings.notices)
    agency = str(state["lead_agency"])
    return Change("pilot", verb, state["id"], version + 1, agency, new, audience_of(new), role, notices, narrowed)


def withdraw_pilot(state: State, *, version: int, actor: Actor) -> Change:
    """Takes a pilot out. One that people are at work on is closed instead, so that it leaves a lesson."""
    role = may(actor, "withdraw_pilot", str(state["lead_agency"]))
    refuse_withdrawn(state)
    if state["life"] in ("running", "paused", "closing"):
        raise Conflict(f"The pilot is {state['life']}: close it with its outcome and a lesson instead.")
    agency = str(state["lead_agency"])
    return withdrawn("pilot", state["id"], version, agency=agency, audience=audience_of(state), role=role)


def _void(state: State, new: State, findings: Findings, now: datetime) -> None:
    """Voids what rested on a part that changed, and only that; says which answers to give again."""
    for name in RESTING:
        resting = state.get(name) or {}
        changed = changed_parts(resting.get("rests_on") or {}, new)
        if resting.get("status") in (None, "none", "void") or not changed:
            continue
        new[name] = {**resting, "status": "void", "void_because": changed}
        words = ", ".join(WORDS[part] for part in PARTS if part in changed)
        findings.notice(name, "voided", f"The {name} rested on {words}, which changed: answer those questions anew.")
        if new["life"] == "ready":
            new["life"], new["life_since"] = "forming", stamp(now)
            findings.notice("life", "back-to-forming", f"Without a valid {name} the pilot is forming again.")
