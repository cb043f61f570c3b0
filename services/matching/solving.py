"""What the solver says as rules, offers and promises stand now: the best team, a better one, parts that fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from services.matching import documents
from services.matching.domain import State
from services.matching.domain.agency_rules import solver_rules
from services.matching.domain.standing import YES, Standing
from services.matching.memory import Memory
from services.matching.model import THOUSAND, Pilot
from services.matching.records import pilot_of
from services.matching.repair import Repair
from shared.ledger.rows import Row


class Solving:
    def __init__(self, memory: Memory, now: Callable[[], datetime]) -> None:
        self._memory = memory
        self._now = now

    def matching(self, pilot: Pilot, without: Iterable[str] = (), kept: Iterable[str] = ()) -> Repair:
        """The solver's answer for a pilot, as rules and promises stand now; nothing is computed before it is asked."""
        memory = self._memory
        today = self._now().date()
        rules = solver_rules(pilot.id, memory.rules_of(pilot.lead), memory.all_rules(), without)
        usage = memory.usage((pilot.lead, pilot.id))
        return Repair(pilot, memory.index, memory.world(today), rules, usage, kept)

    def better_now(self, proposal: Mapping[str, Any]) -> State | None:
        """The team that would be proposed today, if it is better than that of an open proposal, which stays as it is.

        Better is: more essential needs covered, or as many and a higher objective (docs/matching.md, section 3).
        """
        pilot = documents.owned("pilot", str(proposal["lead"]), str(proposal["pilot"]))
        if pilot is None or not pilot.is_live:
            return None
        found = self.matching(pilot_of(pilot.state), [one["agency"] for one in proposal.get("out") or ()])
        said = found.proposal
        held = proposal["bound"]
        now = (said.essential_covered, round(said.bound.objective, 6))
        if said.status != "proposed" or now <= (proposal["essential_covered"], held["objective"]):
            return None
        covers = [{"agency": member.agency, **cover.as_state()} for member in said.team for cover in member.covers]
        return {
            "team": [member.agency for member in said.team],
            "covers": covers,
            "coverage": round(said.coverage, 4),
            "essential_covered": said.essential_covered,
            "objective": now[1],
            "lacks": [],
            "newer": True,
        }

    def no_longer_fit(self, pilot: Row, proposal: Mapping[str, Any], standings: Sequence[Standing]) -> list[str]:
        """Members whose part in the proposal no longer holds: withdrawn, changed, promised to others, recused.

        What a member has accepted is its own promise: that others were promised the same does not undo it.
        """
        found = self.matching(pilot_of(pilot.state), [one["agency"] for one in proposal.get("out") or ()])
        free = {
            (need.id, suit.capability.key): suit.free
            for need, each in zip(found.problem.needs, found.problem.suits, strict=True)
            for suit in each
        }
        accepted = {one.agency for one in standings if one.status in YES}
        recused = {agency for agency, _ in found.rules.recusals} - {proposal["lead"]}

        def holds(cover: Mapping[str, Any], agency: str) -> bool:
            left = free.get((cover["need"], (cover["capability"], agency)))
            if agency in accepted:
                return left is not None or _is_only_taken(cover, agency, found)
            return left is not None and left >= round(cover["units"] * THOUSAND)

        return [
            member["agency"]
            for member in proposal["team"]
            if member["agency"] in recused or not all(holds(cover, member["agency"]) for cover in member["covers"])
        ]

    def is_un(self, agency: str) -> bool:
        return self._memory.world(self._now().date()).agency(agency).is_un_entity


def _is_only_taken(cover: Mapping[str, Any], agency: str, found: Repair) -> bool:
    """Whether a capability is refused for nothing but having been promised to others."""
    need = next((one for one in found.problem.needs if one.id == cover["need"]), None)
    if need is None:
        return False
    return any(
        refusal.capability.key == (cover["capability"], agency) and refusal.code in ("no_capacity", "requests_reached")
        for refusal in found.problem.refusals(need)
    )
