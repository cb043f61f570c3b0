"""A proposal as a record: from the solver's answer to the state that people read and answer, and its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from services.matching.domain.binding import hash_of, material_of, part_of
from services.matching.domain.change import MESH, PRIVATE, Change, State
from services.matching.domain.standing import OUT, Standing
from shared.facts.fact import rfc3339
from shared.facts.ids import circle_of, derived_id

STANDING = ("draft", "open", "no_partner")
"""Statuses of a proposal that may still lead to a testbed."""
TIMELESS = ("made_at", "revised_at", "invitations", "deadline", "released_at", "released", "status", "bound")


def proposal_id(lead: str, pilot: str, previous: str | None) -> str:
    """Each proposal has one successor, so that proposing twice is doing it once."""
    return derived_id("proposal", lead, pilot, previous or "first")


def proposed(
    answer: Mapping[str, Any],
    sentences: Mapping[str, Sequence[str]],
    pilot: Mapping[str, Any],
    pilot_version: int,
    needs: Sequence[Mapping[str, Any]],
    *,
    now: datetime,
    previous: Mapping[str, Any] | None = None,
    out: Sequence[Mapping[str, Any]] = (),
    carried: Sequence[Mapping[str, Any]] = (),
) -> State:
    """The state of a new, unreleased proposal. `answer` is the solver's (`outcome.Proposal.as_state`)."""
    lead = str(pilot["lead_agency"])
    own_id = proposal_id(lead, str(pilot["id"]), None if previous is None else str(previous["id"]))
    no_partner = answer["status"] != "proposed"
    told = {name: answer[name] for name in _TOLD}
    state: State = {
        "id": own_id,
        "lead": lead,
        "pilot": pilot["id"],
        "pilots": [pilot["id"]],
        "title": dict(pilot.get("title") or {}),
        "pilot_version": pilot_version,
        "material": material_of(pilot),
        "countries": list(pilot.get("countries") or ()),
        "starts_on": pilot.get("starts_on"),
        "ends_on": pilot.get("ends_on"),
        "needs": [dict(need) for need in needs],
        "circle": circle_of(lead, own_id),
        "status": "no_partner" if no_partner else "draft",
        "released": False,
        **told,
        "team": [dict(member) for member in answer["team"]],
        "agencies": [member["agency"] for member in answer["team"]],
        "sentences": {language: list(said) for language, said in sentences.items()},
        "no_partner": {language: said[0] for language, said in sentences.items()} if no_partner else None,
        "invitations": [],
        "deadline": None,
        "testbed": None,
        "round": 1 if previous is None else int(previous.get("round") or 1) + 1,
        "supersedes": None if previous is None else previous["id"],
        "superseded_by": None,
        "out": [dict(one) for one in out],
        "carried": [dict(one) for one in carried],
        "made_at": rfc3339(now),
    }
    state["hash"] = hash_of(state)
    if not no_partner:
        kept = {one["agency"] for one in carried}
        state["carried"] = [
            {name: one[name] for name in ("agency", "response", "proposal", "proposal_hash", "part")}
            for one in carried
            if one["agency"] in kept and part_of(state, one["agency"]) == one["part"]
        ]
    else:
        state["carried"] = []
    return state


_TOLD = (
    *("uncovered", "already_met", "coverage", "coverage_fifths", "essential_covered", "essential_total", "priority"),
    *("weakest_point", "alternatives", "bound", "notes", "engine", "rules"),
)


def says_the_same(held: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two states of a proposal tell people the same, times and small steps of the search aside."""
    names = (set(held) | set(new)) - set(TIMELESS) - {"pilot_version", "sentences"}
    return all(held.get(name) == new.get(name) for name in names) and (held["status"] == "no_partner") == (
        new["status"] == "no_partner"
    )


def released(
    state: Mapping[str, Any],
    *,
    now: datetime,
    days: int,
    free_slots: Mapping[str, int],
    offices: Mapping[str, str],
) -> State:
    """The proposal with its invitations: out to those who have a free slot, the others wait their turn."""
    until = rfc3339(now + timedelta(days=days))
    carried = {one["agency"] for one in state.get("carried") or ()}
    invitations = []
    for member in state["team"]:
        agency = member["agency"]
        if member["role"] == "lead":
            continue
        invitation: State = {"agency": agency, "status": "waiting", "deadline": None}
        if agency in carried or free_slots.get(agency, 1) > 0:
            invitation |= {"status": "invited", "deadline": until, "invited_at": rfc3339(now)}
        if agency in offices:
            invitation["office"] = offices[agency]
        invitations.append(invitation)
    return {
        **state,
        "status": "open",
        "released": True,
        "released_at": rfc3339(now),
        "invitations": invitations,
        "deadline": until,
    }


def invited_further(state: Mapping[str, Any], agencies: Sequence[str], *, now: datetime, days: int) -> State:
    """The proposal after invitations that waited have gone out; each has the whole time to be answered."""
    until = rfc3339(now + timedelta(days=days))
    invitations = [
        {**one, "status": "invited", "deadline": until, "invited_at": rfc3339(now)}
        if one["agency"] in agencies and one["status"] == "waiting"
        else dict(one)
        for one in state["invitations"]
    ]
    return {**state, "invitations": invitations, "deadline": until}


def audience_of(state: Mapping[str, Any], pilot_audience: str) -> str:
    """What was not released stays in the agency; that nobody can help is for all to know, where the pilot is."""
    if pilot_audience != MESH or state["status"] == "draft":
        return PRIVATE
    return MESH


def superseded(state: Mapping[str, Any], version: int, by: str) -> Change:
    new = {**state, "status": "superseded", "superseded_by": by}
    return Change("proposal", "superseded", str(state["id"]), version + 1, str(state["lead"]), new)


def closed(state: Mapping[str, Any], version: int, because: str) -> Change:
    new = {**state, "status": "closed", "closed_because": because}
    return Change("proposal", "closed", str(state["id"]), version + 1, str(state["lead"]), new)


def formed(state: Mapping[str, Any], version: int, testbed: str) -> Change:
    new = {**state, "status": "formed", "testbed": testbed}
    return Change("proposal", "formed", str(state["id"]), version + 1, str(state["lead"]), new)


def left_out(held: Mapping[str, Any] | None, standings: Sequence[Standing]) -> list[State]:
    """Who is not asked again in this chain of proposals, and why: those before and those who now said no."""
    known = {one["agency"]: dict(one) for one in (held or {}).get("out") or ()}
    for standing in standings:
        if standing.status in OUT:
            known[standing.agency] = {"agency": standing.agency, "why": standing.status}
    return [known[agency] for agency in sorted(known)]


def to_carry(state: Mapping[str, Any], standings: Sequence[Standing]) -> list[State]:
    """The acceptances that a successor may keep where it leaves their part as it is. Conditions are asked anew."""
    return [
        {
            "agency": one.agency,
            "response": one.answer.id,
            "proposal": one.answer.proposal,
            "proposal_hash": one.answer.proposal_hash,
            "part": part_of(state, one.agency),
        }
        for one in standings
        if one.status == "accepted" and one.answer is not None
    ]
