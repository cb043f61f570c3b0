"""Matching's rows, memory and reactions in one thread, on a real ledger and database, with a clock that is set.

Nothing runs by itself: `settle` does what is due, as the worker would. So a test can look between two steps, let one
of them fail, or let three weeks pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import mongoengine

from services.matching import documents
from services.matching.domain import Change, responding
from services.matching.domain.standing import standings_of
from services.matching.following import Following
from services.matching.memory import Memory
from services.matching.reactions import Reactions
from shared.facts.ids import derived_id
from shared.ledger.drafts import Author, Draft
from shared.ledger.folding import RowsFold
from shared.ledger.ledger import Ledger
from shared.ledger.rows import Row
from shared.ledger.work import Work
from shared.service import use_database
from shared.settings import Settings
from tests.node.ledgers import LedgerNode

State = dict[str, Any]
APPROVER = Author("0198c0de-0000-7000-8000-0000000000aa", "approver")
BEGIN = datetime(2026, 12, 1, 9, tzinfo=UTC)


class QuietMatching:
    def __init__(self, node: LedgerNode, settings: Settings) -> None:
        self.node = node
        self.time = BEGIN
        rows = documents.matching_rows()
        rows.ensure_indexes()
        self.work = Work(node.client[settings.database("matching")]["work"], self.now)
        self.memory = Memory(settings, leads=lambda: True, now=self.now)
        self.reactions = Reactions(self.work, node.keyring, self.memory)
        self.fold = RowsFold("matching", 1, rows, ("registry", "matching"), self.reactions.touched)
        appender = node.appender(on_committed=self.fold.fold)
        self.ledger = Ledger("matching", node.store, appender, node.keyring, self.now)
        self._registry = Ledger("registry", node.store, appender, node.keyring, self.now)
        self.reactions.ledger = self.ledger
        self.reactions.following = Following(self.ledger, self.memory, self.work)

    def now(self) -> datetime:
        return self.time

    def wait(self, **time: float) -> None:
        self.time += timedelta(**time)
        self.settle()

    def settle(self) -> None:
        """Does what is due until nothing is."""
        for _ in range(200):
            if not self.reactions.step():
                assert self.work.troubled() == [], self.work.troubled()
                return
        raise AssertionError("the reactions do not come to an end")

    # -- facts of the registry -------------------------------------------------------------------------------

    def offer(self, agency: str, code: str = "data.earth_observation", **more: Any) -> str:
        own_id = derived_id(agency, code, str(more))
        state = {"id": own_id, "agency": agency, "code": code, "title": {"en": code}, "countries": ["ZMB"], **more}
        self.registry("capability", own_id, agency, state)
        return own_id

    def pilot(self, lead: str = "wfp", *needs: State, audience: str = "mesh", **more: Any) -> str:
        asked = needs or ({"code": "data.earth_observation"},)
        own_id = derived_id("pilot", lead, str(asked), str(more))
        state = {
            "id": own_id,
            "lead_agency": lead,
            "title": {"en": "A pilot"},
            "life": "open",
            "countries": ["ZMB"],
            "sites": [{"id": "s1", "country": "ZMB"}],
            "needs": [
                {"id": f"n{number}", "country": "ZMB", "quantity": 1, "essential": True, **need}
                for number, need in enumerate(asked, start=1)
            ],
            "starts_on": "2027-01-01",
            "ends_on": "2027-03-31",
            **more,
        }
        self.registry("pilot", own_id, lead, state, audience=audience)
        return own_id

    def registry(
        self, kind: str, own_id: str, agency: str, state: Mapping[str, Any], version: int = 1, audience: str = "mesh"
    ) -> None:
        draft = Draft(agency, "registry", kind, "revised", own_id, version, state, APPROVER, audience)
        self._registry.record(draft)

    def rules(self, agency: str, **rules: Any) -> None:
        newest = self.ledger.newest(agency, "rules", agency)
        version = 1 if newest is None else newest.header.version + 1
        self.write(Change("rules", "set", agency, version, agency, {"id": agency, "agency": agency, **rules}))

    # -- what follows ----------------------------------------------------------------------------------------

    def write(self, change: Change) -> None:
        self.ledger.record(
            Draft(
                change.agency,
                "matching",
                change.kind,
                change.verb,
                change.id,
                change.version,
                change.state,
                APPROVER,
                change.audience,
            )
        )

    def chain(self, pilot: str, lead: str = "wfp") -> list[State]:
        """The pilot's proposals, the newest first."""
        return [row.state for row in documents.proposals_of(pilot, lead)]

    def statuses(self, pilot: str, lead: str = "wfp") -> list[str]:
        return [state["status"] for state in self.chain(pilot, lead)]

    def says(self, agency: str, decision: str, pilot: str, lead: str = "wfp", **more: Any) -> None:
        """The agency's word on the newest proposal, as its approver would post it."""
        row = documents.proposals_of(pilot, lead)[0]
        answers = documents.answers_to([row])
        own_id = responding.response_id(lead, row.id, agency)
        newest = self.ledger.newest(agency, "response", own_id)
        self.write(
            responding.responded(
                row.state,
                agency,
                {"decision": decision, "proposal_hash": row.state["hash"], **more},
                standing=next((s for s in standings_of(row.state, answers, self.time) if s.agency == agency), None),
                previous=next((one for one in answers if one.id == own_id), None),
                version=0 if newest is None else newest.header.version,
                actor=APPROVER.actor,
                role=APPROVER.role,
                now=self.time,
            )
        )

    def testbeds(self) -> list[Row]:
        return [row for row in documents.matching_rows().all() if row.kind == "testbed"]

    def facts(self) -> int:
        return sum(head.sequence for head in self.node.store.heads().values())


@contextmanager
def quiet_matching(settings: Settings, *agencies: str) -> Iterator[QuietMatching]:
    node = LedgerNode(settings, str(settings.mongodb_uri)).host(*agencies)
    use_database(settings, documents.NAME)
    try:
        yield QuietMatching(node, settings)
    finally:
        node.close()
        mongoengine.disconnect(documents.NAME)


def team(proposal: Mapping[str, Any]) -> list[str]:
    return [member["agency"] for member in proposal["team"]]
