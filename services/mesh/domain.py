"""The mesh service's rules: who is a member, and what a head says. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.access.actors import NODE, ROLES
from shared.facts.names import AGENCY, ANCHOR
from shared.ledger.identity import Member, members_of, roster_state
from shared.problems import Conflict, Fault, Invalid

RESERVED = {ANCHOR: "the roster's anchor", NODE: "this node's operator"}
COUNTRY = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class NewActor:
    """What an agency's admin says of a new actor."""

    roles: tuple[str, ...]
    office: str | None
    countries: tuple[str, ...]
    languages: tuple[str, ...]
    name: str | None


def agency_to_host(post: Mapping[str, Any]) -> str:
    """The slug of the agency that this node shall host. Raises Invalid."""
    slug = post.get("agency")
    if not isinstance(slug, str) or not AGENCY.fullmatch(slug):
        raise Invalid(
            [Fault("agency", "slug", "2 to 32 lower-case letters, digits or hyphens, a letter first, such as wfp")]
        )
    if slug in RESERVED:
        raise Invalid([Fault("agency", "reserved", f"{slug} is reserved for {RESERVED[slug]}; choose another")])
    return slug


def with_member(state: Mapping[str, Any], member: Member) -> dict[str, Any]:
    """The roster with one more agency. A recovery key, once bound, is never re-assigned. Raises Conflict."""
    members = members_of(state)
    for held in members:
        if held.agency == member.agency:
            raise Conflict(f"{member.agency} is in the roster already.")
    return roster_state([*members, member], state)


def new_actor(post: Mapping[str, Any]) -> NewActor:
    """Raises Invalid with every fault."""
    faults: list[Fault] = []
    roles = post.get("roles")
    if not isinstance(roles, list) or not roles or not all(role in ROLES for role in roles):
        faults.append(Fault("roles", "roles", f"a list of one or more of {', '.join(ROLES)}"))
    office, name = post.get("office"), post.get("name")
    for field, value in (("office", office), ("name", name)):
        if value is not None and (not isinstance(value, str) or not 0 < len(value) <= 200):
            faults.append(Fault(field, "text", "a text of at most 200 characters, or left out"))
    countries = post.get("countries", [])
    if not isinstance(countries, list) or not all(isinstance(c, str) and COUNTRY.fullmatch(c) for c in countries):
        faults.append(Fault("countries", "country", "a list of ISO 3166-1 alpha-3 codes such as ZMB"))
    languages = post.get("languages", ["en"])
    if not isinstance(languages, list) or not set(map(str, languages)) <= {"ar", "en", "es", "fr", "ru", "zh"}:
        faults.append(Fault("languages", "language", "a list of ar, en, es, fr, ru, zh"))
    if faults:
        raise Invalid(faults)
    assert isinstance(roles, list)
    return NewActor(tuple(roles), office, tuple(countries), tuple(languages), name)
