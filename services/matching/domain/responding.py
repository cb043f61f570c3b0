"""What an agency may say about a proposal, in whose role, and what makes its word count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from services.matching.domain.binding import part_of
from services.matching.domain.change import MESH, Change, State
from services.matching.domain.formation import brought
from services.matching.domain.free_text import free_text
from services.matching.domain.standing import ACCEPTING, DECISIONS, Answer, Standing
from shared.facts.fact import rfc3339
from shared.facts.ids import derived_id
from shared.problems import Conflict, Fault, Forbidden, Invalid

ROLES: Mapping[str, tuple[str, ...]] = {
    "accept": ("approver",),
    "accept_with_conditions": ("approver",),
    "withdraw": ("approver",),
    "decline": ("approver", "coordinator"),
    "interest": ("approver", "coordinator", "officer"),
    "ask": ("approver", "coordinator", "officer"),
    "answer": ("approver", "coordinator", "officer"),
    "release": ("approver", "coordinator"),
    "form": ("approver",),
    "suspend": ("approver", "coordinator", "officer"),
    "resume": ("approver",),
    "rules": ("coordinator", "admin"),
}
"""Who may do what in an agency's name: only approvers commit it; the first role held is acted in."""

REASONS = ("no_capacity", "not_our_mandate", "timing", "risk", "other")
VERBS: Mapping[str, str] = {
    "accept": "accepted",
    "accept_with_conditions": "conditioned",
    "decline": "declined",
    "interest": "interested",
    "withdraw": "retracted",
}
HOLD = timedelta(days=90)
"""How long an acceptance reserves its units beyond the deadline, where the accepter states no date."""
WORDS = ("words", "conditions")


def response_id(lead: str, proposal: str, agency: str) -> str:
    """One aggregate an agency and proposal of a lead: its versions are changes of mind."""
    return derived_id("response", lead, proposal, agency)


def responded(
    proposal: Mapping[str, Any],
    agency: str,
    post: Mapping[str, Any],
    *,
    standing: Standing | None,
    previous: Answer | None,
    version: int,
    actor: str,
    role: str,
    now: datetime,
) -> Change:
    """The agency's word on the proposal. Raises `Invalid` with all faults, `Conflict` or `Forbidden`.

    `standing` is the agency's invitation (None for the lead, and for who is not in the team), `previous` its newest
    response to this proposal, `version` that response's version.
    """
    decision = post.get("decision")
    faults: list[Fault] = []
    if decision not in DECISIONS:
        faults.append(Fault("decision", "unknown", f"expected one of {', '.join(DECISIONS)}"))
    check_hash(post, faults)
    if post.get("reason") is not None and post["reason"] not in REASONS:
        faults.append(Fault("reason", "unknown", f"expected one of {', '.join(REASONS)}; words go into `words`"))
    said = {name: text for name in WORDS if (text := free_text(post.get(name), name, faults)) is not None}
    member = next((one for one in proposal["team"] if one["agency"] == agency), None)
    units = _units(post.get("units"), member, faults)
    until = _until(post.get("reserved_until"), proposal, now, faults)
    if decision == "accept_with_conditions" and not said.get("conditions") and not units:
        faults.append(Fault("conditions", "missing", "Say the conditions in words, or fewer units in `units`."))
    if decision == "accept" and units:
        faults.append(
            Fault("units", "fewer", "Fewer units than proposed are a condition: send accept_with_conditions.")
        )
    if faults:
        raise Invalid(faults)
    check_answerable(proposal, post["proposal_hash"], retract=decision == "withdraw")
    if member is None:
        raise Forbidden(f"{agency} is not in this team: only invited agencies may answer.")
    _check_turn(proposal, agency, str(decision), standing, previous)
    state: State = {
        "id": response_id(str(proposal["lead"]), str(proposal["id"]), agency),
        "agency": agency,
        "proposal": proposal["id"],
        "proposal_hash": proposal["hash"],
        "part": part_of(proposal, agency),
        "pilot": proposal["pilot"],
        "lead": proposal["lead"],
        "decision": decision,
        "responded_at": rfc3339(now),
        "by": actor,
        "role": role,
        **said,
    }
    if post.get("reason"):
        state["reason"] = post["reason"]
    if decision in ACCEPTING:
        if units:
            state["units"] = units
        answer = Answer(state["id"], agency, str(proposal["id"]), str(proposal["hash"]), str(decision), "", state)
        state["reserves"] = brought(proposal, member, answer)
        state["reserved_until"] = until.isoformat()
        if post.get("close") is True and agency == proposal["lead"]:
            state["close"] = True
    audience = MESH
    if said:
        audience = str(proposal["circle"])
        state["circle"] = audience
        state["agencies"] = sorted({one["agency"] for one in proposal["team"]})
    return Change("response", VERBS[str(decision)], state["id"], version + 1, agency, state, audience)


def check_answerable(proposal: Mapping[str, Any], proposal_hash: str, *, retract: bool = False) -> None:
    """Raises `Conflict` where the proposal can no longer be answered, or is not the one that was read."""
    status = proposal["status"]
    address = f"/matching/v1/proposals/{proposal.get('superseded_by')}"
    if status == "superseded":
        raise Conflict(
            f"This proposal was superseded; read the new one at {address} and answer that.",
            superseded_by=proposal["superseded_by"],
            address=address,
        )
    if status == "draft":
        raise Conflict("This proposal is not released yet: nobody is invited before the lead releases it.")
    if status != "open" and not (status == "formed" and retract):
        raise Conflict(f"This proposal is {status}: it takes no answers any more.")
    if proposal_hash != proposal["hash"]:
        raise Conflict(
            "The proposal has changed since you read it: read it again and answer what it says now.",
            faults=[Fault("proposal_hash", "not-current", f"expected {proposal['hash']}")],
            current_hash=proposal["hash"],
        )


def _check_turn(
    proposal: Mapping[str, Any], agency: str, decision: str, standing: Standing | None, previous: Answer | None
) -> None:
    said_yes = (standing is not None and standing.status in ("accepted", "conditional")) or (
        previous is not None and previous.decision in ACCEPTING
    )
    if decision == "withdraw" and not said_yes:
        raise Conflict(f"{agency} has not accepted, so there is nothing to withdraw; decline instead.")
    if agency == proposal["lead"]:
        if decision in ("decline", "interest"):
            raise Conflict("The lead does not decline its own proposal: withdraw the pilot or change its needs.")
        return
    if standing is None:
        raise Forbidden(f"{agency} is not invited: only invited agencies may answer.")
    if standing.status == "waiting":
        raise Conflict(f"The invitation of {agency} waits its turn: too many are open at once. It will be invited.")
    if standing.status == "silent":
        raise Conflict(f"The deadline has passed ({standing.deadline}): silence was a no.", deadline=standing.deadline)


def mesh_copy(state: Mapping[str, Any], names: Sequence[str] = WORDS) -> State:
    """What everybody may know of a record whose words stay in the circle."""
    return {name: value for name, value in state.items() if name not in names}


def check_hash(post: Mapping[str, Any], faults: list[Fault]) -> None:
    if not isinstance(post.get("proposal_hash"), str) or not post["proposal_hash"]:
        faults.append(Fault("proposal_hash", "missing", "send the `hash` of the proposal you read"))


def _units(value: Any, member: Mapping[str, Any] | None, faults: list[Fault]) -> dict[str, float]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        faults.append(Fault("units", "type", "expected an object of needs and numbers"))
        return {}
    most: dict[str, float] = {}
    for cover in (member or {}).get("covers") or ():
        most[cover["need"]] = most.get(cover["need"], 0) + cover["units"]
    for need, units in value.items():
        if need not in most:
            faults.append(Fault(f"units.{need}", "unknown", f"expected one of {', '.join(sorted(most)) or 'no need'}"))
        elif not isinstance(units, int | float) or isinstance(units, bool) or not 0 <= units <= most[need]:
            faults.append(Fault(f"units.{need}", "out-of-range", f"expected a number from 0 to {most[need]}"))
    return {need: units for need, units in value.items() if units != most.get(need)}


def _until(value: Any, proposal: Mapping[str, Any], now: datetime, faults: list[Fault]) -> date:
    deadline = proposal.get("deadline")
    default = (datetime.fromisoformat(deadline) if deadline else now) + HOLD
    if value is None:
        return default.date()
    try:
        until = date.fromisoformat(value)
    except (TypeError, ValueError):
        faults.append(Fault("reserved_until", "date", "expected a date such as 2027-06-30"))
        return default.date()
    if until < now.date():
        faults.append(Fault("reserved_until", "past", "expected today or a later day"))
    return until
