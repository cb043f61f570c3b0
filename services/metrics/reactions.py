"""What follows from facts: figures set anew for the pilots they touch, and progress published when a period is over."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from services.metrics import documents, figures, sharing
from services.metrics.current import Current
from services.metrics.folds import lead_of
from services.metrics.plans import IndicatorPlan
from services.metrics.publishing import Publisher
from services.metrics.recall import Batches
from services.metrics.rollup import Source
from shared.facts.fact import Fact
from shared.ledger.keyring import Keyring
from shared.ledger.ledger import Ledger
from shared.ledger.owners import Ref, ref_of
from shared.ledger.rows import Key, Row
from shared.ledger.work import Task, Work
from shared.telemetry import span

log = logging.getLogger(__name__)

Figures = dict[tuple[Ref, str], dict[str, Any]]
"""What is known of pilots, by (pilot, source), as it is kept."""


class Reactions:
    """The only key is a pilot, `<agency>|<id>`: all of its figures are set together."""

    def __init__(self, work: Work, keyring: Keyring, small_cell: int) -> None:
        self._work = work
        self._keyring = keyring
        self._small_cell = small_cell
        self._batches = Batches()
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
        self._work.touch({task_of(pilot) for pilot in pilots_in(rows.values())}, trace)

    def touch_all(self) -> None:
        """Every pilot that has a plan: after a rebuild."""
        planned = documents.PlanRow.objects.only("agency", "pilot")
        self._work.touch({task_of((row.agency, row.pilot)) for row in planned if row.pilot})

    def waiting_for(self, pilots: Iterable[Ref]) -> set[str]:
        """Which of these pilots' figures are not set yet."""
        return self._work.still_waiting([task_of(pilot) for pilot in pilots])

    def step(self) -> bool:
        """Does what is due; True if there may be more. Each new day (UTC) all figures are set again: what is
        expected by then, and which periods are over, changes with the day."""
        today = self._ledger.now().date()
        if today != self._day:
            self.touch_all()
            self._day = today
        tasks = self._work.due()
        if not tasks:
            return False
        pilots, plans, progress = documents.pilots_and_what_is_theirs({pilot_of_task(task) for task in tasks})
        told: Figures = {}
        done = []
        for task in tasks:
            ref = pilot_of_task(task)
            pilot = pilots.get(ref)
            try:
                if pilot is not None:
                    with span("set figures", task.trace, pilot=task.key):
                        told |= self._figures(pilot, plans.get(ref, []), progress.get(ref, []), task)
            except Exception as error:  # kept with its reason and tried again later
                log.exception("figures of %s could not be set", task.key)
                self._work.put_off(task, f"{type(error).__name__}: {error}")
                continue
            done.append(task)
        documents.set_figures(told)
        self._work.all_done(done)
        return True

    def _figures(self, pilot: Row, planned: Sequence[Row], progress: Sequence[Row], task: Task) -> Figures:
        """What is known of a pilot, from each source; publishes what is due."""
        told: Figures = {}
        if sharing.follow_audience(self._ledger, pilot, [*planned, *progress], task.trace):
            planned, progress = documents.plans_of(*ref_of(pilot)), documents.progress_of(*ref_of(pilot))
        if not pilot.is_live:
            return told
        lead = pilot.key[0]
        plans = [plan for row in planned if (plan := figures.plan_of(row))]
        if self._keyring.hosts(lead):
            own = {plan.id: self._counting(plan, pilot, progress) for plan in plans}
            told[ref_of(pilot), "private"] = self._document(pilot, "private", plans, own)
            if self._publish(pilot, plans, own, progress, task):
                progress = documents.progress_of(*ref_of(pilot))
        else:
            for plan in plans:
                sharing.contribute(self._ledger, pilot, plan, self.threshold_of, task.trace)
        others = {plan.id: figures.published(plan, lead, progress) for plan in plans}
        told[ref_of(pilot), "published"] = self._document(pilot, "published", plans, others)
        return told

    def _counting(self, plan: IndicatorPlan, pilot: Row, progress: Sequence[Row]) -> Current:
        own = [one for one in self._batches.of(pilot.key[0], plan.id) if self._keyring.hosts(one.agency)]
        others = sharing.told_by_others(plan, progress, self._keyring.hosts)
        return figures.counting(plan, pilot.state, [*own, *others])

    def _document(
        self, pilot: Row, source: Source, plans: list[IndicatorPlan], found: Mapping[str, Current]
    ) -> dict[str, Any]:
        now = self._ledger.now()
        row = figures.pilot_row(pilot.state, source, plans, found, now.date())
        sources = sharing.sources_of(found.values(), source, self._keyring.hosted())
        return {**figures.stored(row, plans, found), "sources": sources, "set_at": now}

    def _publish(
        self,
        pilot: Row,
        plans: list[IndicatorPlan],
        own: Mapping[str, Current],
        progress: Sequence[Row],
        task: Task,
    ) -> bool:
        """Publishes what is due of each indicator. True if anything was."""
        lead = pilot.key[0]
        publisher = Publisher(
            self._ledger, lead, pilot, self.threshold_of(lead), ("edition",), lambda _, told: dict(told), task.trace
        )
        there = {row.id for row in progress}
        published = [publisher.publish(plan, own[plan.id].figures, there) for plan in plans]
        return any(published)

    def threshold_of(self, agency: str) -> int:
        """Below how many people a figure is withheld: the agency's own number, else the node's default."""
        row = documents.owned("agency", agency, agency)
        own = row.state.get("small_cell") if row is not None else None
        return own if isinstance(own, int) and own >= 2 else self._small_cell


def pilots_in(rows: Iterable[Row]) -> set[Ref]:
    """The pilots that rows of any kind speak of, each its lead's."""
    pilots: set[Ref] = set()
    for row in rows:
        state, agency = row.state, row.key[0]
        if row.kind == "pilot":
            pilots.add(ref_of(row))
        elif row.kind in ("observations", "upload"):
            about = state.get("rows" if row.kind == "observations" else "about")
            told = [one for one in about if isinstance(one, dict)] if isinstance(about, list) else []
            pilots.update((lead_of(one, agency), str(one.get("pilot"))) for one in told)
        elif isinstance(state.get("pilot"), str):
            pilots.add(documents.pilot_of(row))
    return pilots


def task_of(pilot: Ref) -> str:
    return "|".join(pilot)


def pilot_of_task(task: Task) -> Ref:
    agency, _, pilot = task.key.partition("|")
    return agency, pilot
