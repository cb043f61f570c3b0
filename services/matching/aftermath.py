"""What follows when a proposal is over, or its pilot shared no more: late answers, members that leave, taking back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from services.matching import documents
from services.matching.domain import Change, formation, late
from services.matching.domain.change import MESH, PRIVATE
from services.matching.domain.standing import ACCEPTING, Answer, standings_of
from services.matching.folds import audience_of
from shared.facts.fact import Rest
from shared.ledger.owners import ref_of
from shared.ledger.rows import Row

Step = tuple[Change, Row]
"""A change, and the row it follows from."""


def ended(change: Change, row: Row) -> Change:
    """The change that ends a proposal, where the proposal stands, with what had been heard of it by then."""
    state = late.settled(change.state, documents.answers_to([row]))
    return replace(change, state=state, audience=audience_of(row))


def taken_back(pilot: Row, chain: Sequence[Row]) -> Step | None:
    """A pilot that is no longer shared takes its proposals with it: to its lead, or to the members where a testbed
    has formed. What the mesh was shown is withdrawn by the reaction to that."""
    if not pilot.is_live or audience_of(pilot) == MESH:
        return None
    for row in chain:
        if not row.is_live or audience_of(row) != MESH:
            continue
        state, version = row.state, row.version + 1
        testbed = (
            documents.owned("testbed", row.key[0], str(state.get("testbed"))) if state["status"] == "formed" else None
        )
        audience = PRIVATE if testbed is None else str(state["circle"])
        if testbed is not None and testbed.is_live and audience_of(testbed) == MESH:
            told = Change(
                "testbed", "narrowed", testbed.id, testbed.version + 1, testbed.key[0], testbed.state, audience
            )
            return told, testbed
        if state["status"] in ("draft", "open", "no_partner"):
            state = late.settled(state, documents.answers_to([row]))
            state |= {"status": "closed", "closed_because": "pilot_narrowed"}
        return Change("proposal", "narrowed", row.id, version, row.key[0], state, audience), row
    return None


def late_answer(chain: Sequence[Row], now: datetime) -> Step | None:
    """An acceptance that came too late to count is set aside, with the reason, where its agency reads it."""
    answers = documents.answers_to(chain)
    for row in chain:
        if not row.is_live or audience_of(row) == PRIVATE:
            continue
        state = late.with_late_answers(row.state, answers, now)
        if state is not None:
            return Change("proposal", "set_aside", row.id, row.version + 1, row.key[0], state, audience_of(row)), row
    return None


def testbed_after(testbed: Row, proposal: Row, is_un: formation.IsUn, now: datetime) -> Change | None:
    """The testbed after members left or suspended their part, each on its own node; None if nothing changed."""
    answers = documents.answers_to([proposal])
    standings = standings_of(proposal.state, answers, now)
    left = {one.agency for one in standings if one.status == "withdrawn"} | _took_it_back(testbed, answers)
    audience = audience_of(testbed)
    after = formation.after_leaving(testbed.state, sorted(left), is_un, now)
    if after is not None:
        verb = "dissolved" if after["status"] == "dissolved" else "revised"
        return Change("testbed", verb, testbed.id, testbed.version + 1, testbed.key[0], after, audience)
    return _adopted_suspensions(testbed, audience)


def _took_it_back(testbed: Row, answers: Sequence[Answer]) -> set[str]:
    """Members whose answer was counted and says something else by now: it may have been on its way meanwhile."""
    newest = {(one.agency, one.id): one for one in answers}
    found = set()
    for member in testbed.state["members"]:
        answer = newest.get((member["agency"], str(member.get("response"))))
        if answer is not None and answer.decision not in ACCEPTING:
            found.add(member["agency"])
    return found


def _adopted_suspensions(testbed: Row, audience: str) -> Change | None:
    """The lead's ledger adopts what members declared in their own, and names it."""
    members = set(testbed.state.get("agencies") or ())
    held = testbed.state.get("suspended") or []
    now, rests = [], []
    for row in documents.suspensions_of([testbed]).get(ref_of(testbed), ()):
        state = row.state
        if row.key[0] not in members:
            continue
        signed = documents.signed_track(row)
        if state.get("status") == "suspended":
            now.append({"agency": row.key[0], "suspension": row.id, "since": state.get("since")})
            rests.append(Rest(signed.ledger, signed.epoch, signed.sequence, signed.hash))
    if now == held:
        return None
    verb = "suspended" if len(now) > len(held) else "resumed"
    state = {**testbed.state, "suspended": now}
    return Change(
        "testbed", verb, testbed.id, testbed.version + 1, testbed.key[0], state, audience, rests_on=tuple(rests)
    )
