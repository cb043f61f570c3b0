"""Registering, revising, confirming and withdrawing a capability."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from services.registry.domain.actors import Actor, may
from services.registry.domain.change import MESH, PRIVATE, Change, State, narrows, withdrawn
from services.registry.domain.merging import merged
from services.registry.domain.pilot_state import refuse_withdrawn
from services.registry.records.capability_rules import check_sense, settle_places, settle_units
from services.registry.records.findings import Findings, shown
from services.registry.records.hygiene import check_carriable
from services.registry.records.personal import check_personal
from services.registry.records.posts import CapabilityPost
from services.registry.records.reading import read

MANAGED = frozenset(("id", "version", "withdrawn"))


def register_capability(post: Any, *, id: str, now: datetime, actor: Actor) -> Change:  # noqa: A002 - the record's word
    """A new capability. Posting it confirms it. Raises `Invalid` with all faults, `Forbidden` for another agency's."""
    findings = Findings()
    check_carriable(post, findings)
    agency = post.get("agency")
    role = may(actor, "register_capability", agency if isinstance(agency, str) and agency else actor.agency)
    held: State = {"id": id, "agency": actor.agency}
    confirmed = {"confirmed_on": _today(now).isoformat(), **{k: v for k, v in post.items() if v is not None}}
    state = _settled(confirmed, set(post), held, findings, _today(now))
    findings.refuse_if_faulty()
    notices = tuple(findings.notices)
    return Change("capability", "registered", id, 1, actor.agency, state, audience_of(state), role, notices)


def revise_capability(
    state: State,
    post: Any,
    *,
    version: int,
    now: datetime,
    actor: Actor,
    whole: bool = False,
    understood: bool = False,
) -> Change:
    """The capability after a revision (`post` as for pilots). Revising it confirms it."""
    agency = str(state["agency"])
    role = may(actor, "revise_capability", agency)
    refuse_withdrawn(state)
    findings = Findings()
    check_carriable(post, findings)
    held = {name: value for name, value in state.items() if name not in MANAGED}
    result = merged(held, post, whole=whole, known=frozenset(CapabilityPost.model_fields))
    if "confirmed_on" not in post:
        result["confirmed_on"] = _today(now).isoformat()
    new = _settled(result, set(post), state, findings, _today(now))
    findings.refuse_if_faulty()
    narrowed = narrows(audience_of(state), audience_of(new), understood=understood)
    notices, audience = tuple(findings.notices), audience_of(new)
    return Change("capability", "revised", state["id"], version + 1, agency, new, audience, role, notices, narrowed)


def confirm_capability(state: State, *, version: int, now: datetime, actor: Actor) -> Change:
    """One click: the capability still stands today."""
    agency = str(state["agency"])
    role = may(actor, "confirm_capability", agency)
    refuse_withdrawn(state)
    new = {**state, "confirmed_on": _today(now).isoformat()}
    return Change("capability", "confirmed", state["id"], version + 1, agency, new, audience_of(new), role)


def withdraw_capability(state: State, *, version: int, actor: Actor) -> Change:
    agency = str(state["agency"])
    role = may(actor, "withdraw_capability", agency)
    refuse_withdrawn(state)
    return withdrawn("capability", state["id"], version, agency=agency, audience=audience_of(state), role=role)


def audience_of(state: Mapping[str, Any]) -> str:
    return PRIVATE if state.get("visibility") == PRIVATE else MESH


def _settled(post: State, given: set[str], held: State, findings: Findings, today: date) -> State:
    asked = {name: value for name, value in post.items() if name not in MANAGED}
    capability = read(CapabilityPost, asked, findings)
    owner = capability.setdefault("agency", held["agency"])
    if owner != held["agency"]:
        detail = f"The capability belongs to {held['agency']} for good; found {shown(owner)}."
        findings.fault("agency", "fixed", detail)
    capability.setdefault("visibility", MESH)
    settle_places(capability, given, findings)
    settle_units(capability, findings)
    check_sense(capability, findings, today=today)
    check_personal(capability, findings, refuse=audience_of(capability) == MESH)
    return {"id": held["id"], **capability}


def _today(now: datetime) -> date:
    return now.astimezone(UTC).date()
