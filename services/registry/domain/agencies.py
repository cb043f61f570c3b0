"""Registering, revising and withdrawing an agency and its offices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.registry.domain.actors import Actor, may
from services.registry.domain.change import MESH, PRIVATE, Change, State, narrows, withdrawn
from services.registry.domain.merging import merged
from services.registry.domain.pilot_state import refuse_withdrawn
from services.registry.records.findings import Findings, shown
from services.registry.records.hygiene import check_carriable
from services.registry.records.personal import check_personal
from services.registry.records.posts import AgencyPost, OfficePost
from services.registry.records.reading import read
from shared.facts.names import ANCHOR
from shared.vocabulary.entities import ENTITIES

RESERVED = (ANCHOR, "node")
"""The roster's signer, and the node's own operator."""

MANAGED = frozenset(("id", "version", "withdrawn"))


def register_agency(post: Any, *, actor: Actor) -> Change:
    """The agency's own record; its id is its short name. What the vocabulary knows of it need not be posted."""
    findings = Findings()
    check_carriable(post, findings)
    slug = post.get("slug", post.get("agency"))
    role = may(actor, "register_agency", slug if isinstance(slug, str) and slug else actor.agency)
    state = _settled_agency(post, {"id": actor.agency}, findings)
    findings.refuse_if_faulty()
    notices = tuple(findings.notices)
    return Change("agency", "registered", actor.agency, 1, actor.agency, state, MESH, role, notices)


def revise_agency(state: State, post: Any, *, version: int, actor: Actor, whole: bool = False) -> Change:
    slug = str(state["slug"])
    role = may(actor, "revise_agency", slug)
    refuse_withdrawn(state)
    findings = Findings()
    check_carriable(post, findings)
    result = merged(_posted(state), post, whole=whole, known=frozenset(AgencyPost.model_fields))
    new = _settled_agency(result, state, findings)
    findings.refuse_if_faulty()
    return Change("agency", "revised", slug, version + 1, slug, new, MESH, role, tuple(findings.notices))


def withdraw_agency(state: State, *, version: int, actor: Actor) -> Change:
    slug = str(state["slug"])
    role = may(actor, "withdraw_agency", slug)
    refuse_withdrawn(state)
    return withdrawn("agency", slug, version, agency=slug, audience=MESH, role=role)


def register_office(post: Any, *, id: str, actor: Actor) -> Change:  # noqa: A002 - the record's word
    findings = Findings()
    check_carriable(post, findings)
    agency = post.get("agency")
    role = may(actor, "register_office", agency if isinstance(agency, str) and agency else actor.agency)
    state = _settled_office(post, {"id": id, "agency": actor.agency}, findings)
    findings.refuse_if_faulty()
    notices = tuple(findings.notices)
    return Change("office", "registered", id, 1, actor.agency, state, audience_of(state), role, notices)


def revise_office(
    state: State, post: Any, *, version: int, actor: Actor, whole: bool = False, understood: bool = False
) -> Change:
    agency = str(state["agency"])
    role = may(actor, "revise_office", agency)
    refuse_withdrawn(state)
    findings = Findings()
    check_carriable(post, findings)
    result = merged(_posted(state), post, whole=whole, known=frozenset(OfficePost.model_fields))
    new = _settled_office(result, state, findings)
    findings.refuse_if_faulty()
    narrowed = narrows(audience_of(state), audience_of(new), understood=understood)
    notices, audience = tuple(findings.notices), audience_of(new)
    return Change("office", "revised", state["id"], version + 1, agency, new, audience, role, notices, narrowed)


def withdraw_office(state: State, *, version: int, actor: Actor) -> Change:
    agency = str(state["agency"])
    role = may(actor, "withdraw_office", agency)
    refuse_withdrawn(state)
    return withdrawn("office", state["id"], version, agency=agency, audience=audience_of(state), role=role)


def audience_of(state: Mapping[str, Any]) -> str:
    return PRIVATE if state.get("visibility") == PRIVATE else MESH


def _posted(state: State) -> State:
    return {name: value for name, value in state.items() if name not in MANAGED}


def _settled_agency(post: State, held: State, findings: Findings) -> State:
    asked = {name: value for name, value in post.items() if name not in (*MANAGED, "agency")}
    asked["slug"] = post.get("slug", post.get("agency")) or held["id"]
    agency = read(AgencyPost, asked, findings)
    slug = str(agency.get("slug", held["id"]))
    if slug != held["id"]:
        findings.fault("slug", "fixed", f"The agency is {held['id']} for good; found {shown(slug)}.")
    if slug in RESERVED:
        findings.fault("slug", "reserved", f"{slug} is a reserved name: no agency may take it.")
    known = ENTITIES.get(slug)
    if known is not None:
        agency.setdefault("name", dict(known.name))
        agency.setdefault("acronym", known.acronym)
        agency.setdefault("kind", "un_entity")
        if known.iati:
            agency.setdefault("iati", known.iati)
    for name, words in (("name", "the organisation's name"), ("kind", "its kind, such as un_entity or government")):
        if not agency.get(name):
            findings.missing(name, f"Nothing was found: give {words}.")
    if agency.get("kind") == "un_entity" and known is None:
        detail = f"{shown(slug)} is not in the list of UN entities: its word alone makes it count as one."
        findings.notice("kind", "declared", detail)
    check_personal(agency, findings, refuse=True)
    return {"id": held["id"], **agency}


def _settled_office(post: State, held: State, findings: Findings) -> State:
    office = read(OfficePost, {name: value for name, value in post.items() if name not in MANAGED}, findings)
    agency = office.setdefault("agency", held["agency"])
    if agency != held["agency"]:
        findings.fault("agency", "fixed", f"The office belongs to {held['agency']} for good; found {shown(agency)}.")
    office.setdefault("visibility", MESH)
    for name, words in (("name", "the office's name"), ("kind", "its kind, such as country")):
        if not office.get(name):
            findings.missing(name, f"Nothing was found: give {words}.")
    if office.get("kind") in ("country", "rco", "multi_country") and not office.get("countries"):
        findings.missing("countries", "Name the countries that the office covers.")
    check_personal(office, findings, refuse=audience_of(office) == MESH)
    return {"id": held["id"], **office}
