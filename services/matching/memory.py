"""What matching keeps in memory, so that a pilot is solved in milliseconds: offers, agencies, rules, promises.

It is built from the rows and kept up to date by what the fold touches. Only where this process follows does it see
every fact at once; elsewhere it is read anew when it is older than a few seconds.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from services.matching import documents
from services.matching.candidates import Index
from services.matching.domain.agency_rules import AgencyRules, agency_rules_of
from services.matching.domain.standing import UNANSWERED, YES, Answer, Standing, answer_to, standings_of
from services.matching.folds import audience_of
from services.matching.model import THOUSAND, Agency, Offered, Usage, World
from services.matching.records import agency_of, capability_of
from services.matching.reference import world_on
from shared.ledger.documents import rows_of
from shared.ledger.owners import Ref, ref_of
from shared.ledger.rows import Key, Row
from shared.settings import Settings

log = logging.getLogger(__name__)

STALE_AFTER = 5.0
"""Seconds for which a process that does not follow goes on with what it read."""
Committed = dict[Offered, dict[str, int]]
HELD = frozenset({"capability", "agency", "office", "proposal", "response", "testbed", "rules"})
NEAREST = ("country", "lab", "multi_country", "rco", "regional", "hq")


@dataclass
class Held:
    """Everything that was read; replaced as a whole by a new reading, changed row by row by the fold."""

    versions: dict[Key, int] = field(default_factory=dict)
    index: Index = field(default_factory=Index)
    agencies: dict[str, Agency] = field(default_factory=dict)
    offices: dict[Key, Mapping[str, Any]] = field(default_factory=dict)
    proposals: dict[Ref, Mapping[str, Any]] = field(default_factory=dict)
    answers: dict[tuple[Ref, str], Answer] = field(default_factory=dict)
    """By the proposal, with its lead, and who answered it."""
    testbeds: dict[Ref, Mapping[str, Any]] = field(default_factory=dict)
    rules: dict[str, AgencyRules] = field(default_factory=dict)


class Memory:
    """Safe to use from several threads."""

    def __init__(
        self,
        settings: Settings,
        leads: Callable[[], bool],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.defaults = AgencyRules("", 0, settings.release, settings.invitation_days, settings.open_invitations)
        self._leads = leads
        self._now = now
        self._lock = threading.RLock()
        self._held = Held()
        self._read_at = -math.inf
        self._whole = False
        """Read since this process follows: from then on the fold tells everything."""
        self._world: World | None = None
        self._agencies_changed = True

    # -- what the fold tells ---------------------------------------------------------------------------------

    def touched(self, rows: Iterable[Row]) -> None:
        with self._lock:
            for row in rows:
                self._take(row)

    def fresh(self, stale_after: float = STALE_AFTER) -> Memory:
        """This memory, read anew where it may have missed facts that another process folded.

        Who follows misses nothing from then on; who follows no more, or not yet, reads again after `stale_after`.
        """
        with self._lock:
            if not self._leads():
                self._whole = False
                if time.monotonic() - self._read_at > stale_after:
                    self._read()
            elif not self._whole:
                self._read()
                self._whole = True
            return self

    def _read(self) -> None:
        for kind in sorted(HELD):
            for row in rows_of(documents.DOCUMENTS[kind].objects):
                self._take(row)
        self._read_at = time.monotonic()

    def _take(self, row: Row) -> None:
        if row.kind not in HELD or row.version < self._held.versions.get(row.key, 0):
            return
        self._held.versions[row.key] = row.version
        take = getattr(self, f"_take_{row.kind}")
        try:
            take(row)
        except Exception as error:  # whatever a foreign record is made of is that record's trouble alone
            log.warning("%s is left out of matching: %r", row.shown.place, error)

    def _take_capability(self, row: Row) -> None:
        self._held.index.drop((row.id, row.key[0]))
        if row.is_live and audience_of(row) == "mesh" and row.state.get("agency") == row.key[0]:
            self._held.index.put(capability_of({**row.state, "id": row.id}))

    def _take_agency(self, row: Row) -> None:
        self._agencies_changed = True
        if row.is_live:
            self._held.agencies[row.id] = agency_of(row.state)
        else:
            self._held.agencies.pop(row.id, None)

    def _take_office(self, row: Row) -> None:
        if row.is_live and audience_of(row) == "mesh":
            self._held.offices[row.key] = row.state
        else:
            self._held.offices.pop(row.key, None)

    def _take_proposal(self, row: Row) -> None:
        state = row.state
        self._held.proposals.pop(ref_of(row), None)
        if row.is_live and state.get("status") == "open" and state.get("lead") == row.key[0]:
            self._standings(state, self._now())  # what cannot be read is found here, not when others are matched
            self._count_requests({}, state)
            float(state["priority"]["score"])
            self._held.proposals[ref_of(row)] = state

    def _take_response(self, row: Row) -> None:
        answer = documents.answer_of(row)
        key = ((str(row.state.get("lead")), str(row.state.get("proposal"))), row.key[0])
        self._held.answers.pop(key, None)
        if answer is not None:
            self._promise({}, answer.state.get("reserves") or (), row.key[0])
            self._held.answers[key] = answer

    def _take_testbed(self, row: Row) -> None:
        state = row.state
        self._held.testbeds.pop(ref_of(row), None)
        if row.is_live and state.get("lead") == row.key[0] and state.get("status") != "dissolved":
            for member in state["members"]:
                self._promise({}, member["brings"], member["agency"])
            self._held.testbeds[ref_of(row)] = {**state, "pilots": list(state["pilots"])}

    def _take_rules(self, row: Row) -> None:
        if row.is_live and row.id == row.key[0]:
            self._held.rules[row.id] = agency_rules_of(row.state, row.version, self.defaults)
        else:
            self._held.rules.pop(row.id, None)

    # -- what it answers -------------------------------------------------------------------------------------

    @property
    def index(self) -> Index:
        return self._held.index

    def world(self, today: date) -> World:
        with self._lock:
            if self._world is None or self._world.today != today:
                self._world = world_on(today, self._held.agencies.values())
            elif self._agencies_changed:
                self._world = replace(self._world, agencies={**self._world.agencies, **self._held.agencies})
            self._agencies_changed = False
            return self._world

    def rules_of(self, agency: str) -> AgencyRules:
        known = self._held.rules.get(agency)
        return known if known is not None else replace(self.defaults, agency=agency)

    def all_rules(self) -> list[AgencyRules]:
        with self._lock:
            return list(self._held.rules.values())

    def offices_for(self, agencies: Iterable[str], countries: Iterable[str]) -> dict[str, str]:
        """The office of each agency that covers one of the countries; the nearest kind of office first."""
        wanted, places = set(agencies), set(countries)
        found: dict[str, tuple[int, str]] = {}
        with self._lock:
            for (agency, _, _), office in self._held.offices.items():
                if agency not in wanted or not places.intersection(office.get("countries") or ()):
                    continue
                kind = office.get("kind")
                rank = (NEAREST.index(kind) if kind in NEAREST else len(NEAREST), str(office["id"]))
                found[agency] = min(found.get(agency, rank), rank)
        return {agency: office for agency, (_, office) in found.items()}

    def usage(self, without: Ref) -> Usage:
        """What is promised and carried by everybody, the pilot `without` aside (it is being matched anew)."""
        now = self._now()
        month = now.strftime("%Y-%m")
        committed: Committed = {}
        load: dict[str, int] = {}
        requests: dict[Offered, int] = {}
        with self._lock:
            for state in self._held.proposals.values():
                if (state["lead"], state["pilot"]) == without:
                    continue
                for standing in self._standings(state, now):
                    if standing.status in (*UNANSWERED, *YES):
                        load[standing.agency] = load.get(standing.agency, 0) + 1
                    if standing.answer is not None and standing.status in YES:
                        self._promise(committed, standing.answer.state.get("reserves") or (), standing.agency)
                own = answer_to(state, state["lead"], self._answers_to(state))[0]
                if own is not None and own.decision == "accept":
                    self._promise(committed, own.state.get("reserves") or (), state["lead"])
                if str(state.get("released_at") or "")[:7] == month:
                    self._count_requests(requests, state)
            for state in self._held.testbeds.values():
                if state["lead"] == without[0] and without[1] in state["pilots"]:
                    continue
                for member in state["members"]:
                    if member.get("status") != "withdrawn":
                        load[member["agency"]] = load.get(member["agency"], 0) + 1
                        self._promise(committed, member["brings"], member["agency"])
        return Usage(committed, load, requests)

    def open_invitations(self, without: Ref | None = None) -> dict[str, int]:
        """Invitations per agency that are out and not answered; those of the pilot `without` aside."""
        now = self._now()
        counts: dict[str, int] = {}
        with self._lock:
            for state in self._held.proposals.values():
                if (state["lead"], state["pilot"]) != without:
                    for standing in self._standings(state, now):
                        if standing.status in UNANSWERED:
                            counts[standing.agency] = counts.get(standing.agency, 0) + 1
        return counts

    def free_slots(self, agencies: Iterable[str], without: Ref | None = None) -> dict[str, int]:
        counts = self.open_invitations(without)
        return {one: self.rules_of(one).open_invitations - counts.get(one, 0) for one in agencies}

    def waiting_for(self, agency: str) -> list[Mapping[str, Any]]:
        """Open proposals in which the agency's invitation waits its turn, the most urgent first."""
        with self._lock:
            waiting = [
                state
                for state in self._held.proposals.values()
                if any(one["agency"] == agency and one["status"] == "waiting" for one in state["invitations"])
            ]
        return sorted(
            waiting, key=lambda state: (-float(state["priority"]["score"]), str(state["id"]), str(state["lead"]))
        )

    def proposals_using(self, agency: str, capability: str, hosts: Callable[[str], bool]) -> set[Ref]:
        """Pilots of open proposals of hosted agencies that count on this capability of an agency."""
        with self._lock:
            return {
                (str(state["lead"]), str(state["pilot"]))
                for state in self._held.proposals.values()
                if hosts(str(state["lead"]))
                and any(
                    cover["capability"] == capability
                    for member in state["team"]
                    if member["agency"] == agency
                    for cover in member["covers"]
                )
            }

    def pilots_with_open_proposal(self) -> set[Ref]:
        with self._lock:
            return {(str(state["lead"]), str(state["pilot"])) for state in self._held.proposals.values()}

    def capability_code(self, capability: Offered) -> str | None:
        known = self._held.index.get(capability)
        return None if known is None else known.code

    def _answers_to(self, state: Mapping[str, Any]) -> list[Answer]:
        lead = str(state["lead"])
        keys = [((lead, str(state["id"])), str(one["agency"])) for one in state["team"]]
        keys += [((lead, str(one["proposal"])), str(one["agency"])) for one in state.get("carried") or ()]
        return [answer for key in keys if (answer := self._held.answers.get(key)) is not None]

    def _standings(self, state: Mapping[str, Any], now: datetime) -> list[Standing]:
        return standings_of(state, self._answers_to(state), now)

    def _promise(self, committed: Committed, reserves: Iterable[Mapping[str, Any]], by: str) -> None:
        for one in reserves:
            capability = self._held.index.get((str(one["capability"]), by))
            if capability is None:
                continue
            months = committed.setdefault(capability.key, {})
            units = round(one["units"] * THOUSAND)
            for month in (one.get("months") or ())[:1] if self._is_stock(capability.code) else one.get("months") or ():
                months[month] = months.get(month, 0) + units
            if not one.get("months"):
                months[""] = months.get("", 0) + units

    def _is_stock(self, code: str) -> bool:
        return self.world(self._now().date()).code(code).kind == "X"

    @staticmethod
    def _count_requests(requests: dict[Offered, int], state: Mapping[str, Any]) -> None:
        partners = [member for member in state["team"] if member["role"] != "lead"]
        asked = {(cover["capability"], member["agency"]) for member in partners for cover in member["covers"]}
        for capability in asked:
            requests[capability] = requests.get(capability, 0) + 1
