"""What a fact is about, as far as its state says: countries, goals, agencies, and whether it asks for an action.

Reads any state, also one of a newer node: what is not understood is left out, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from shared.facts.fact import Fact, Unreadable, rfc3339
from shared.facts.names import AGENCY
from shared.facts.verify import REDACTED
from shared.ledger.rows import redactions_in
from shared.vocabulary import places, sdg

from .entries import About

State = Mapping[str, Any]

OWNERS = ("agency", "lead_agency", "lead", "slug", "to", "sponsor")
LISTS_OF_AGENCIES = ("co_leads", "agencies", "members", "partners")
LISTS_OF_MEMBERS = ("team", "members", "partners_declared", "invitations", "agencies")
REFERENCES = {
    "pilot": "pilot",
    "pilots": "pilot",
    "proposal": "proposal",
    "testbed": "testbed",
    "plan": "plan",
    "indicator": "indicator",
}
"""Fields that name another aggregate by id, and that aggregate's kind. Whose it is: the lead's that the state names,
else the author's own."""

Reference = tuple[str, str]
"""(agency, `pilot/<id>`): an id names an aggregate only together with its owner."""

LEARNED = frozenset(REFERENCES.values())
"""Kinds that other events refer to: what they are about is remembered."""


def state_of(fact: Fact) -> State:
    """The fact's state; empty if it is redacted or cannot be read."""
    try:
        return fact.state or {}
    except (Unreadable, ValueError):
        return {}


def about(fact: Fact, now: datetime) -> About:
    """What the fact itself says. A redaction concerns whoever follows the kinds it takes content from."""
    header = fact.header
    if header.type == REDACTED:
        named = {redaction.key[2].split("/", 1)[0] for redaction in redactions_in(fact)}
        return About((header.kind, *sorted(named - {header.kind})), None, None, None)
    state = state_of(fact)
    return About(
        kinds=(header.kind,),
        countries=tuple(sorted(set(_countries(state)))),
        goals=tuple(sorted(set(_goals(state)), key=int)),
        agencies=tuple(sorted({header.agency, *_agencies(state)})),
        asks=asks_for_action(header.kind, state, now),
    )


def references(fact: Fact) -> frozenset[Reference]:
    """The aggregates from which this event takes what its own state does not say."""
    found = set()
    state = state_of(fact)
    lead = state.get("lead")
    owner = lead if isinstance(lead, str) and AGENCY.fullmatch(lead) else fact.header.agency
    own = (fact.header.agency, fact.header.subject)
    for field, kind in REFERENCES.items():
        named = state.get(field)
        for one in named if isinstance(named, list) else [named]:
            identity = one.get("id") if isinstance(one, Mapping) else one
            if isinstance(identity, str) and len(identity) <= 64:
                found.add((owner, f"{kind}/{identity}"))
    if fact.header.kind in LEARNED:
        if fact.header.version > 1:  # who follows what it was about until now learns of the change as well
            found.add(own)
        else:
            found.discard(own)
    return frozenset(found)


def joined(own: About, others: list[About], *, unknown: bool) -> About:
    """`own` with what the aggregates it refers to are about. `unknown`: one of them has not been seen yet."""
    return About(
        kinds=own.kinds,
        countries=_union("countries", own, others, unknown),
        goals=_union("goals", own, others, unknown),
        agencies=_union("agencies", own, others, False),
        asks=own.asks,
    )


def _union(field: str, own: About, others: list[About], unknown: bool) -> tuple[str, ...] | None:
    said = [getattr(one, field) for one in (own, *others)]
    if any(one is None for one in said):
        return None
    every = {code for one in said for code in one}
    if unknown and not every:
        return None
    return tuple(sorted(every, key=int) if field == "goals" else sorted(every))


def asks_for_action(kind: str, state: State, now: datetime) -> bool:
    """Whether somebody is invited who can still answer: the proposal is open, the deadline is not past."""
    if kind != "proposal" or state.get("status") != "open":
        return False
    told = rfc3339(now)
    return any(
        one.get("status") == "invited" and not (isinstance(until := one.get("deadline"), str) and until < told)
        for one in _objects(state, "invitations")
    )


def _countries(state: State) -> Iterator[str]:
    for field in ("country", "countries", "covers", "delivers_to"):
        yield from _codes(state.get(field))
    for field in ("sites", "needs"):
        for one in _objects(state, field):
            yield from _codes(one.get("country"))


def _codes(value: Any) -> Iterator[str]:
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str) and one in places.PLACES:
            yield one


def _goals(state: State) -> Iterator[str]:
    for field in ("sdg_targets", "goals", "goal", "sdg_indicator", "contributes_to"):
        value = state.get(field)
        for one in value if isinstance(value, list) else [value]:
            code = sdg.canonical(one) if isinstance(one, str) else None
            if code is not None:
                yield sdg.goal_of(code)


def _agencies(state: State) -> Iterator[str]:
    named: list[Any] = [state.get(field) for field in OWNERS]
    for field in LISTS_OF_AGENCIES:
        value = state.get(field)
        named.extend(value if isinstance(value, list) else ())
    for field in LISTS_OF_MEMBERS:
        named.extend(one.get("agency") for one in _objects(state, field))
    for one in named:
        if isinstance(one, str) and AGENCY.fullmatch(one):
            yield one


def _objects(state: State, field: str) -> list[Mapping[str, Any]]:
    value = state.get(field)
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
