"""What follows from facts: figures set anew for the pilots they touch, and progress published when a period is over."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from services.metrics import documents, figures, sharing
from services.metrics.current import Current
from services.metrics.editions import Edition
from services.metrics.plans import IndicatorPlan
from services.metrics.progress import due
from shared.facts.fact import Fact
from shared.facts.ids import derived_id
from shared.http.recording import audience_of
from shared.ledger.keyring import Keyring
from shared.ledger.ledger import Ledger
from shared.ledger.rows import Key, Row
from shared.ledger.work import Task, Work
from shared.telemetry import span

log = logging.getLogger(__name__)


class Reactions:
    """The only key is a pilot's id: all of its figures are set together."""

    def __init__(self, work: Work, keyring: Keyring, small_cell: int) -> None:
        self._work = work
        self._keyring = keyring
        self._small_cell = small_cell
        self._day: date | None = None
        self.ledger: Ledger | None = None
        """Set by the composition root before anything is done; touching needs none."""

    @property
    def _ledger(self) -> Ledger:
        assert self.ledger is not None
        return self.ledger

    def touched(self, rows: Mapping[Key, Row], facts: Sequence[Fact]) -> None:
        """Persists which pilots these facts concern, before the cursor moves."""
        trace = facts[0].trace if facts else None
        self._work.touch(pilots_in(rows.values()), trace)

    def touch_all(self) -> None:
        """Every pilot that has a plan: after a rebuild."""
        self._work.touch({str(row.pilot) for row in documents.PlanRow.objects.only("pilot") if row.pilot})

    def waiting_for(self, pilots: Iterable[str]) -> set[str]:
        """Which of these pilots' figures are not set yet."""
        return self._work.still_waiting(pilots)

    def step(self) -> bool:
        """Does what is due; True if there may be more. Each new day (UTC) all figures are set again: what is
        expected by then, and which periods are over, changes with the day."""
        today = self._ledger.now().date()
        if today != self._day:
            self.touch_all()
            self._day = today
        tasks = self._work.due()
        for task in tasks:
            try:
                with span("set figures", task.trace, pilot=task.key):
                    self._set_figures(task)
            except Exception as error:  # kept with its reason and tried again later
                log.exception("figures of %s could not be set", task.key)
                self._work.put_off(task, f"{type(error).__name__}: {error}")
                continue
            self._work.done(task)
        return bool(tasks)

    def _set_figures(self, task: Task) -> None:
        pilot = documents.find("pilot", task.key)
        if pilot is None:
            return
        planned, progress = documents.plans_of(task.key), documents.progress_of(task.key)
        if sharing.follow_audience(self._ledger, pilot, [*planned, *progress], task.trace):
            planned, progress = documents.plans_of(task.key), documents.progress_of(task.key)
        if not pilot.is_live:
            return
        lead = pilot.key[0]
        plans = [plan for row in planned if (plan := figures.plan_of(row)) and row.key[0] == lead]
        today = self._ledger.now().date()
        if self._keyring.hosts(lead):
            own = {plan.id: self._counting(plan, pilot, progress) for plan in plans}
            self._store(pilot, "private", plans, own, today)
            if self._publish(pilot, plans, own, task):
                progress = documents.progress_of(task.key)
        else:
            for plan in plans:
                sharing.contribute(self._ledger, pilot, plan, self.threshold_of, task.trace)
        told = {plan.id: figures.published(plan, lead, progress) for plan in plans}
        self._store(pilot, "published", plans, told, today)

    def _counting(self, plan: IndicatorPlan, pilot: Row, progress: Sequence[Row]) -> Current:
        batches = [row for row in documents.batches_of(plan.id) if self._keyring.hosts(row.key[0])]
        others = sharing.told_by_others(plan, progress, self._keyring.hosts)
        return figures.counting(plan, pilot.state, batches, others)

    def _store(
        self, pilot: Row, source: Any, plans: list[IndicatorPlan], found: Mapping[str, Current], today: Any
    ) -> None:
        row = figures.pilot_row(pilot.state, source, plans, found, today)
        sources = sharing.sources_of(found.values(), source, self._keyring.hosted())
        document = {**figures.stored(row, plans, found), "sources": sources, "set_at": self._ledger.now()}
        documents.set_figures(pilot.id, source, document)

    # -- publishing ------------------------------------------------------------------------------------------

    def _publish(self, pilot: Row, plans: list[IndicatorPlan], own: Mapping[str, Current], task: Task) -> bool:
        """Publishes what is due of each indicator. Done twice it is done once: ids derive from what is published."""
        published = False
        for plan in plans:
            kept = [row for row in documents.snapshots_of(plan.id) if row.key[0] == pilot.key[0]]
            history = [edition for row in kept if (edition := sharing.edition_of(row))]
            self._publish_pending(pilot, plan, task)
            made = due(
                plan,
                own[plan.id].figures,
                self._ledger.now().date(),
                sites=figures.sites_of(pilot.state),
                history=history,
                threshold=self.threshold_of(pilot.key[0]),
            )
            for edition in made.editions:
                self._record_snapshot(pilot.key[0], edition, task)
                published = True
            if made.editions:
                self._publish_pending(pilot, plan, task)
        return published

    def _record_snapshot(self, agency: str, edition: Edition, task: Task) -> None:
        """First what stays at home to check later editions against; the published part follows from it."""
        edition_id = id_of(edition)
        state = {
            "agency": agency,
            "snapshot": edition.snapshot.model_dump(mode="json"),
            "progress": edition.progress.model_dump(mode="json"),
        }
        self._ledger.react(
            "edition", agency, "snapshot", "taken", edition_id, state, version=1, audience="private", trace=task.trace
        )

    def _publish_pending(self, pilot: Row, plan: IndicatorPlan, task: Task) -> None:
        """Progress goes as far as the pilot's own record does: that of a private pilot stays in the agency."""
        agency = pilot.key[0]
        there = {row.id for row in documents.progress_of(plan.pilot)}
        for row in documents.snapshots_of(plan.id):
            if row.id in there or row.key[0] != agency:
                continue
            state = {**row.state["progress"], "agency": agency}
            self._ledger.react(
                row.shown.hash,
                agency,
                "progress",
                "published",
                row.id,
                state,
                version=1,
                audience=audience_of(pilot),
                trace=task.trace,
            )

    def threshold_of(self, agency: str) -> int:
        """Below how many people a figure is withheld: the agency's own number, else the node's default."""
        row = documents.find("agency", agency)
        own = row.state.get("small_cell") if row is not None else None
        return own if isinstance(own, int) and own >= 2 else self._small_cell


def pilots_in(rows: Iterable[Row]) -> set[str]:
    """The pilots that rows of any kind speak of."""
    pilots: set[str] = set()
    for row in rows:
        state = row.state
        if row.kind == "pilot":
            pilots.add(row.id)
        elif row.kind == "observations":
            pilots.update(str(one.get("pilot")) for one in state.get("rows") or () if isinstance(one, dict))
        elif row.kind == "upload":
            pilots.update(str(pilot) for pilot in state.get("pilots") or ())
        elif isinstance(state.get("pilot"), str):
            pilots.add(state["pilot"])
    return pilots


def id_of(edition: Edition) -> str:
    progress = edition.progress
    return derived_id("edition", progress.indicator, str(progress.period.start), str(progress.edition))
