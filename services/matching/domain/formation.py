"""When a testbed forms, and what it says: only through recorded responses of actors who hold the role."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from services.matching.domain.change import Change, State
from services.matching.domain.standing import UNANSWERED, YES, Answer, Standing, leads_word
from shared.facts.fact import rfc3339
from shared.facts.ids import derived_id
from shared.problems import Fault

IsUn = Callable[[str], bool]


def counted(standings: Sequence[Standing], lead: Answer | None) -> list[Standing]:
    """The partners whose yes counts. A yes with conditions counts once the lead said yes after it."""
    return [
        one
        for one in standings
        if one.status == "accepted"
        or (one.status == "conditional" and lead is not None and one.answer is not None and lead.at > one.answer.at)
    ]


def lacking(
    proposal: Mapping[str, Any], standings: Sequence[Standing], answers: Sequence[Answer], is_un: IsUn
) -> list[Fault]:
    """What still lacks before the testbed can form: the lead's yes, another UN entity's, owners of essential needs.

    Where the proposal itself leaves an essential need open, nothing forms by itself: the lead closes, or does not.
    """
    lead = leads_word(proposal, answers)
    yes = {one.agency for one in counted(standings, lead)}
    faults = []
    if lead is None:
        detail = f"{proposal['lead']} itself has not accepted: its approver says yes, or closes the proposal."
        faults.append(Fault("team", "lead-has-not-accepted", detail))
    if not any(is_un(agency) for agency in yes):
        faults.append(
            Fault("team", "one-more-un-entity", "No other UN entity has accepted: a testbed has at least two.")
        )
    faults += [
        Fault("team", "essential-not-accepted", f"{agency} covers an essential need and has not accepted.")
        for agency in essential_owners(proposal)
        if agency not in yes
    ]
    if lead is None or not lead.state.get("close"):
        faults += [
            Fault(
                "uncovered", "essential-open", f"Nobody covers the essential need {need}: the lead may close without."
            )
            for need in essential_open(proposal)
        ]
    return faults


def essential_open(proposal: Mapping[str, Any]) -> list[str]:
    """Essential needs that the proposal leaves open, in part or altogether."""
    return [str(one["need"]) for one in proposal.get("uncovered") or () if one.get("essential")]


def essential_owners(proposal: Mapping[str, Any]) -> list[str]:
    """Partners that cover an essential need; the lead answers for itself."""
    essential = {need["id"] for need in proposal.get("needs") or () if need.get("essential")}
    return [
        member["agency"]
        for member in proposal["team"]
        if member["role"] != "lead" and any(cover["need"] in essential for cover in member["covers"])
    ]


def can_still_form(proposal: Mapping[str, Any], standings: Sequence[Standing], is_un: IsUn) -> bool:
    """Whether those who accepted or may still do so are enough, whatever the lead says."""
    hopeful = {one.agency for one in standings if one.status in (*YES, *UNANSWERED, "waiting")}
    owners = essential_owners(proposal)
    return any(is_un(agency) for agency in hopeful) and all(owner in hopeful for owner in owners)


def is_settled(standings: Sequence[Standing]) -> bool:
    """Nobody's answer is awaited any more."""
    return not any(one.status in (*UNANSWERED, "waiting") for one in standings)


def form(
    proposal: Mapping[str, Any],
    pilot: Mapping[str, Any],
    standings: Sequence[Standing],
    answers: Sequence[Answer],
    now: datetime,
) -> Change:
    """The lead's closing fact. It names the responses it counted: that list, not a clock, settles who is in."""
    lead = leads_word(proposal, answers)
    assert lead is not None  # `lacking` was asked before
    yes = {one.agency: one for one in counted(standings, lead)}
    members = []
    rests = [] if lead.rest is None else [lead.rest]
    for member in proposal["team"]:
        standing = yes.get(member["agency"])
        answer = lead if member["role"] == "lead" else None if standing is None else standing.answer
        if answer is None:
            continue
        if standing is not None and answer.rest is not None:
            rests.append(answer.rest)
        members.append(
            {
                "agency": member["agency"],
                "role": member["role"],
                "brings": brought(proposal, member, answer),
                "response": answer.id,
                "decision": answer.decision,
            }
        )
    brought_needs = {one["need"] for member in members for one in member["brings"]}
    state: State = {
        "id": testbed_id(proposal["lead"], proposal["id"]),
        "name": dict(pilot.get("title") or proposal.get("title") or {}),
        "lead": proposal["lead"],
        "host": proposal["lead"],
        "pilot": proposal["pilot"],
        "pilots": [proposal["pilot"]],
        "proposal": proposal["id"],
        "proposal_hash": proposal["hash"],
        "circle": proposal["circle"],
        "members": members,
        "agencies": [member["agency"] for member in members],
        "countries": list(proposal.get("countries") or ()),
        "starts_on": proposal.get("starts_on"),
        "ends_on": proposal.get("ends_on"),
        "open_needs": [
            need["id"]
            for need in proposal.get("needs") or ()
            if need["id"] not in brought_needs and not need.get("met")
        ],
        "essential": [need["id"] for need in proposal.get("needs") or () if need.get("essential")],
        "status": "formed",
        "formed_at": rfc3339(now),
        "rests_on": [rest.as_json() for rest in rests],
    }
    for known in ("learning", "stop_rules", "language"):
        if pilot.get(known):
            state[known] = pilot[known]
    return Change("testbed", "formed", state["id"], 1, proposal["lead"], state, rests_on=tuple(rests))


def testbed_id(lead: str, proposal_id: str) -> str:
    return derived_id("testbed", lead, proposal_id)


def brought(proposal: Mapping[str, Any], member: Mapping[str, Any], answer: Answer) -> list[dict[str, Any]]:
    """What a member brings: its covers, with fewer units where it accepted for fewer."""
    needs = {need["id"]: need for need in proposal.get("needs") or ()}
    fewer = answer.state.get("units") or {}
    found = []
    for cover in member["covers"]:
        need = needs.get(cover["need"], {})
        units = min(cover["units"], fewer.get(cover["need"], cover["units"]))
        if units > 0:
            found.append(
                {
                    "need": cover["need"],
                    "code": need.get("code"),
                    "capability": cover["capability"],
                    "units": units,
                    "months": need.get("months") or [],
                }
            )
    return found


def after_leaving(testbed: Mapping[str, Any], left: Sequence[str], is_un: IsUn, now: datetime) -> State | None:
    """The testbed after members withdrew: it dissolves where lead and another UN entity are no longer together, or an
    essential need lost its owner. None if nothing changes."""
    gone = {member["agency"] for member in testbed["members"] if member.get("status") == "withdrawn"}
    if set(left) <= gone:
        return None
    members = [
        {**member, "status": "withdrawn"} if member["agency"] in left else dict(member) for member in testbed["members"]
    ]
    staying = [member for member in members if member.get("status") != "withdrawn"]
    lead_stays = any(member["agency"] == testbed["lead"] for member in staying)
    others = any(is_un(member["agency"]) for member in staying if member["agency"] != testbed["lead"])
    held = {one["need"] for member in staying for one in member["brings"]}
    lost = {
        one["need"]
        for member in members
        if member.get("status") == "withdrawn"
        for one in member["brings"]
        if one["need"] not in held and one["need"] in (testbed.get("essential") or ())
    }
    state = {**testbed, "members": members, "agencies": [member["agency"] for member in staying]}
    if not lead_stays or not others or lost:
        state |= {"status": "dissolved", "dissolved_at": rfc3339(now)}
    return state
