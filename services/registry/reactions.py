"""What follows from facts for the pilots of hosted agencies: done by the follower, once, however often it is tried."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from services.registry import documents
from services.registry.domain import Change, follow_screening, follow_testbed
from services.registry.screening import CURRENT, QUESTIONNAIRES
from shared.facts.fact import Fact
from shared.http.recording import audience_of
from shared.ledger.documents import rows_of
from shared.ledger.keyring import Keyring
from shared.ledger.ledger import Ledger
from shared.ledger.narrowing import wider_ledger, withdraw_from_mesh
from shared.ledger.owners import ref_of
from shared.ledger.rows import Key, Row
from shared.ledger.work import Task, Work

log = logging.getLogger(__name__)

GIVE_UP_AFTER = 12
"""Attempts after which what names a pilot that its agency never registered is left alone."""


class Reactions:
    """Keys are `narrowed|<agency>|<kind>/<id>` and `pilot|<agency>|<id>`, of agencies that this node hosts."""

    def __init__(self, work: Work, keyring: Keyring) -> None:
        self._work = work
        self._keyring = keyring
        self.ledger: Ledger | None = None
        """Set by the composition root before anything is done; touching needs none."""

    @property
    def _ledger(self) -> Ledger:
        assert self.ledger is not None
        return self.ledger

    def touched(self, rows: Mapping[Key, Row], facts: Sequence[Fact]) -> None:
        """Persists what these facts ask for, before the cursor moves."""
        trace = facts[0].trace if facts else None
        keys: set[str] = set()
        for (agency, _, aggregate), row in rows.items():
            if not self._keyring.hosts(agency):
                continue  # only its own screenings and testbeds move an agency's pilot
            if row.kind == "screening":
                keys.add(f"pilot|{agency}|{row.state.get('pilot')}")
            elif row.kind == "testbed":
                keys.update(f"pilot|{agency}|{pilot}" for pilot in row.state.get("pilots", ()))
            if row.kind != "testbed" and wider_ledger(row) is not None:
                keys.add(f"narrowed|{agency}|{aggregate}")
        self._work.touch(keys, trace)

    def step(self) -> bool:
        """Does what is due; True if there may be more."""
        due = self._work.due()
        for task in due:
            try:
                done = self._narrow(task) if task.key.startswith("narrowed|") else self._follow(task)
            except Exception as error:  # kept with its reason and tried again later
                log.exception("reaction to %s failed", task.key)
                self._work.put_off(task, f"{type(error).__name__}: {error}")
                continue
            if done or task.attempts >= GIVE_UP_AFTER:
                self._work.done(task)
            else:
                self._work.put_off(task, "the record has not been seen here yet")
        return bool(due)

    def _narrow(self, task: Task) -> bool:
        _, agency, aggregate = task.key.split("|", 2)
        row = documents.registry_rows().get((agency, "registry", aggregate))
        if row is not None:
            withdraw_from_mesh(self._ledger, row, task.trace)
            if row.kind == "pilot":
                self._narrow_screenings(row, task)
        return True

    def _narrow_screenings(self, pilot: Row, task: Task) -> None:
        """What was answered about a pilot goes no further than the pilot itself."""
        audience = audience_of(pilot)
        for row in documents.screenings_of(*ref_of(pilot)):
            if row.is_live and audience_of(row) != audience:
                self._ledger.react(
                    pilot.shown.hash,
                    row.key[0],
                    row.kind,
                    "narrowed",
                    row.id,
                    row.state,
                    version=row.version + 1,
                    audience=audience,
                    trace=task.trace,
                )

    def _follow(self, task: Task) -> bool:
        _, agency, pilot_id = task.key.split("|", 2)
        row = documents.owned("pilot", agency, pilot_id)
        if row is None:
            return False
        if not self._ledger.hosts(agency) or not row.is_live:
            return True
        for screening in documents.screenings_of(agency, pilot_id):
            asked = QUESTIONNAIRES.get(str(screening.state.get("questionnaire")), CURRENT)
            row = self._apply(row, screening, lambda r, s=screening, q=asked: _screened(r, s, q), task)
        for testbed in rows_of(documents.TestbedRow.objects(pilots=pilot_id, agency=agency).order_by("changed_at")):
            if testbed.is_live:
                row = self._apply(row, testbed, lambda r, t=testbed: _joined(r, t, self._ledger), task)
        return True

    def _apply(self, row: Row, cause: Row, follow: object, task: Task) -> Row:
        assert callable(follow)
        change: Change | None = follow(row)
        if change is None:
            return row
        self._ledger.react(
            cause.shown.hash,
            change.agency,
            change.kind,
            change.verb,
            change.id,
            change.state,
            version=change.version,
            audience=change.audience,
            trace=task.trace,
        )
        return documents.owned("pilot", *ref_of(row)) or row


def _screened(row: Row, screening: Row, asked: object) -> Change | None:
    return follow_screening(row.state, screening.state, version=row.version, asked=asked)  # type: ignore[arg-type]


def _joined(row: Row, testbed: Row, ledger: Ledger) -> Change | None:
    return follow_testbed(row.state, testbed.state, version=row.version, now=ledger.now())
