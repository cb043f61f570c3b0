"""What follows for one pilot: propose, release, repair, form, close. Reactions: doing one twice is doing it once.

Everything is decided from rows and written with keys that derive from what it was decided on, so that it does not
matter in which order facts came, how often this runs, or where it was interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from services.matching import aftermath, documents
from services.matching.domain import Change, State, formation, late, proposing
from services.matching.domain.agency_rules import AgencyRules
from services.matching.domain.binding import digest, material_of
from services.matching.domain.standing import OUT, Answer, Standing, leads_word, standings_of
from services.matching.folds import audience_of
from services.matching.memory import Memory
from services.matching.model import THOUSAND, Pilot
from services.matching.records import pilot_of
from services.matching.solving import Solving
from shared.ledger.ledger import Ledger
from shared.ledger.owners import Ref
from shared.ledger.rows import Row
from shared.ledger.work import Work

AT_MOST = 6
"""Facts written for one pilot in one go; whatever is left is done when these have been folded."""
OVER = ("closing", "closed")


class Following:
    def __init__(self, ledger: Ledger, memory: Memory, work: Work) -> None:
        self._ledger = ledger
        self._memory = memory
        self._work = work
        self.solving = Solving(memory, ledger.now)

    def follow(self, agency: str, pilot_id: str, trace: str | None = None) -> bool:
        """Does what follows for an agency's pilot, where this node matches it. False if it has not been seen here."""
        row = documents.owned("pilot", agency, pilot_id)
        if row is None:
            return False
        if self._ledger.hosts(row.key[0]):
            self._memory.fresh()
            for _ in range(AT_MOST):
                if not self._once(row, trace):
                    return True
        return True

    def _once(self, pilot: Row, trace: str | None) -> bool:
        """One step; True if something was written and there may be more."""
        lead = pilot.key[0]
        chain = documents.proposals_of(pilot.id, lead)
        current = chain[0] if chain else None
        step = aftermath.taken_back(pilot, chain) or aftermath.late_answer(chain, self._ledger.now())
        if step is not None:
            return self._write(*step, trace)
        matchable = pilot.is_live and pilot.state.get("life") == "open" and bool(pilot.state.get("needs"))
        if current is None:
            return matchable and self._propose(pilot, None, trace)
        for older, newer in zip(chain[1:], chain, strict=False):
            if older.state["status"] in proposing.STANDING and older.is_live:
                change = proposing.superseded(older.state, older.version, newer.id)
                return self._write(aftermath.ended(change, older), older, trace)
        status = current.state["status"] if current.is_live else "closed"
        if status in proposing.STANDING:
            if not pilot.is_live or pilot.state.get("life") in (*OVER, "draft"):
                because = "pilot_withdrawn" if not pilot.is_live else f"pilot_{pilot.state.get('life')}"
                change = proposing.closed(current.state, current.version, because)
                return self._write(aftermath.ended(change, current), current, trace)
            if status == "open":
                return self._look_after(pilot, current, matchable, trace)
            return matchable and self._think_again(pilot, current, trace)
        if status == "formed":
            return self._accompany(pilot, current, matchable, trace)
        return matchable and status == "closed" and self._propose(pilot, current, trace)

    # -- proposing -------------------------------------------------------------------------------------------

    def _propose(
        self,
        pilot: Row,
        previous: Row | None,
        trace: str | None,
        standings: Sequence[Standing] = (),
    ) -> bool:
        state = self._new_state(pilot, previous, standings)
        held = None if previous is None or previous.state["status"] == "closed" else previous.state
        if held is not None and (state["hash"], state["out"]) == (held["hash"], held["out"]):
            return False  # nothing better is to be had: who was asked stays asked
        # Only a redacted one may be there: it is then told anew.
        there = documents.owned("proposal", pilot.key[0], state["id"])
        version = 1 if there is None or there.is_live else there.version + 1
        change = Change("proposal", _verb(state), state["id"], version, pilot.key[0], state)
        return self._write(self._settle(change, pilot), previous or pilot, trace)

    def _think_again(self, pilot: Row, current: Row, trace: str | None) -> bool:
        """A draft, or the finding that nobody can help, is revised in place: nobody has answered it."""
        held = current.state
        previous = None if held.get("supersedes") is None else documents.owned("proposal", *_before(current))
        state = self._new_state(pilot, previous, (), held)
        state |= {name: held[name] for name in ("id", "circle", "made_at", "round", "supersedes")}
        auto = state["status"] == "draft" and self._releases_itself(pilot)
        if proposing.says_the_same(held, state) and not auto:
            return False
        change = Change("proposal", _verb(state), current.id, current.version + 1, pilot.key[0], state)
        return self._write(self._settle(change, pilot), current, trace)

    def _new_state(
        self, pilot: Row, previous: Row | None, standings: Sequence[Standing], held: Mapping[str, Any] | None = None
    ) -> State:
        asked = pilot_of(pilot.state)
        before = held or (None if previous is None else previous.state)
        answered = late.silenced_by_the_link([row.state for row in documents.proposals_of(pilot.id, pilot.key[0])])
        out = late.asked_again(proposing.left_out(before, standings), answered)
        without = [one["agency"] for one in out]
        kept = [one.agency for one in standings if one.status not in OUT]
        found = self.solving.matching(asked, without, kept)
        carried: Sequence[Mapping[str, Any]] = ()
        if previous is not None and standings:
            carried = proposing.to_carry(previous.state, standings)
        answer = found.proposal.as_state()
        return proposing.proposed(
            answer,
            found.sentences,
            pilot.state,
            pilot.version,
            _needs_of(asked),
            now=self._ledger.now(),
            previous=None if previous is None else previous.state,
            out=out,
            carried=carried if held is None else held.get("carried") or (),
        )

    def _releases_itself(self, pilot: Row) -> bool:
        return self._memory.rules_of(pilot.key[0]).release == "auto" and audience_of(pilot) == "mesh"

    def _settle(self, change: Change, pilot: Row) -> Change:
        """The proposal released, where the lead's rules say that it releases itself, and the ledger it belongs to."""
        state = change.state
        if state["status"] == "draft" and self._releases_itself(pilot):
            state = self.released(state, self._ledger.now())
            change = replace(change, verb="released" if change.version > 1 else change.verb, state=state)
        return replace(change, audience=proposing.audience_of(state, audience_of(pilot)))

    def released(self, state: Mapping[str, Any], now: datetime) -> State:
        """The proposal with its invitations out, as far as the invited agencies have room for them."""
        partners = [member["agency"] for member in state["team"] if member["role"] != "lead"]
        return proposing.released(
            state,
            now=now,
            days=self.rules_of(state).invitation_days,
            free_slots=self._memory.free_slots(partners, (str(state["lead"]), str(state["pilot"]))),
            offices=self._memory.offices_for(partners, state.get("countries") or ()),
        )

    def rules_of(self, proposal: Mapping[str, Any]) -> AgencyRules:
        return self._memory.rules_of(str(proposal["lead"]))

    # -- an open proposal ------------------------------------------------------------------------------------

    def _look_after(self, pilot: Row, current: Row, matchable: bool, trace: str | None) -> bool:
        """Only material facts touch an open proposal: a better team alone does not."""
        proposal, now = current.state, self._ledger.now()
        answers = documents.answers_to([current])
        standings = standings_of(proposal, answers, now)
        self._watch_deadline(current)
        if material_of(pilot.state) != proposal["material"]:
            return matchable and self._propose(pilot, current, trace, _undecided(standings))
        lead = leads_word(proposal, answers)
        if not formation.lacking(proposal, standings, answers, self.solving.is_un) and (
            formation.is_settled(standings) or (lead is not None and lead.state.get("close"))
        ):
            return self._form(pilot, current, standings, answers, trace)
        if not matchable:
            return False
        return self._is_broken(pilot, proposal, standings) and self._propose(pilot, current, trace, standings)

    def _is_broken(self, pilot: Row, proposal: Mapping[str, Any], standings: Sequence[Standing]) -> bool:
        if any(one.status in ("declined", "withdrawn") for one in standings):
            return True
        if any(one.status == "silent" for one in standings) and not formation.can_still_form(
            proposal, standings, self.solving.is_un
        ):
            return True
        return bool(self.solving.no_longer_fit(pilot, proposal, standings))

    def _watch_deadline(self, current: Row) -> None:
        deadlines = {one["deadline"] for one in current.state.get("invitations") or () if one.get("deadline")}
        for deadline in deadlines:
            when = datetime.fromisoformat(deadline)
            if when > self._ledger.now():
                self._work.touch([f"deadline|{current.key[0]}|{current.state['pilot']}|{deadline}"], due=when)

    # -- a testbed -------------------------------------------------------------------------------------------

    def _form(
        self, pilot: Row, current: Row, standings: Sequence[Standing], answers: Sequence[Answer], trace: str | None
    ) -> bool:
        proposal = current.state
        own_id = formation.testbed_id(current.key[0], current.id)
        if documents.owned("testbed", current.key[0], own_id) is None:
            change = formation.form(proposal, pilot.state, standings, answers, self._ledger.now())
            self._write(change, current, trace)
        change = proposing.formed(proposal, current.version, own_id)
        return self._write(aftermath.ended(change, current), current, trace)

    def _accompany(self, pilot: Row, current: Row, matchable: bool, trace: str | None) -> bool:
        """After the testbed formed: members may leave; where it dissolves, the pilot is matched again."""
        testbed = documents.owned("testbed", current.key[0], str(current.state.get("testbed")))
        if testbed is None or not testbed.is_live:
            return False
        now = self._ledger.now()
        if testbed.state.get("status") == "dissolved":
            standings = standings_of(current.state, documents.answers_to([current]), now)
            return matchable and self._propose(pilot, current, trace, standings)
        change = aftermath.testbed_after(testbed, current, self.solving.is_un, now)
        return change is not None and self._write(change, testbed, trace)

    # -- invitations that waited -----------------------------------------------------------------------------

    def invite_further(self, agency: str, trace: str | None = None) -> None:
        """Sends out the most urgent waiting invitations of an agency that has room again."""
        memory = self._memory.fresh()
        free = memory.free_slots([agency])[agency]
        for state in memory.waiting_for(agency)[: max(0, free)]:
            if not self._ledger.hosts(str(state["lead"])):
                continue
            row = documents.owned("proposal", str(state["lead"]), str(state["id"]))
            if row is None or row.state.get("status") != "open":
                continue
            new = proposing.invited_further(
                row.state, [agency], now=self._ledger.now(), days=self.rules_of(state).invitation_days
            )
            change = Change("proposal", "invited", row.id, row.version + 1, row.key[0], new)
            self._write(change, row, trace)

    # -- writing ---------------------------------------------------------------------------------------------

    def _write(self, change: Change, cause: Row, trace: str | None) -> bool:
        """True if it was written now or before; False if something else came first, which is then looked at anew."""
        recorded = self._ledger.react(
            f"{cause.shown.hash}|{digest([change.id, change.version])[:16]}",
            change.agency,
            change.kind,
            change.verb,
            change.id,
            change.state,
            version=change.version,
            audience=change.audience,
            trace=trace,
            rests_on=change.rests_on,
        )
        return recorded is not None


def _before(proposal: Row) -> Ref:
    """The proposal that this one superseded: its own lead's."""
    return proposal.key[0], str(proposal.state["supersedes"])


def _verb(state: Mapping[str, Any]) -> str:
    return "unmatched" if state["status"] == "no_partner" else "made"


def _undecided(standings: Sequence[Standing]) -> list[Standing]:
    """After a material change everybody is asked anew: what was said rested on what is no more."""
    return [replace(one, status="invited", answer=None, carried=False) for one in standings]


def _needs_of(pilot: Pilot) -> list[State]:
    return [
        {
            "id": need.id,
            "code": need.code,
            "country": need.country,
            "quantity": need.quantity / THOUSAND,
            "essential": need.essential,
            "months": list(need.months),
            "met": need.already_met,
        }
        for need in pilot.needs
    ]
