"""What follows from facts: figures set anew for the pilots they touch, and progress published when a period is over."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import date
from typing import Any

from services.metrics import documents, figures, sharing
from services.metrics.current import Current
from services.metrics.editions import Edition
from services.metrics.plans import IndicatorPlan
from services.metrics.progress import due
from services.metrics.recall import Batches
from services.metrics.rollup import Source
from shared.facts.fact import Fact
from shared.facts.ids import derived_id
from shared.http.recording import audience_of
from shared.ledger.drafts import Recorded
from shared.ledger.keyring import Keyring
from shared.ledger.ledger import Ledger
from shared.ledger.rows import Key, Row
from shared.ledger.work import Task, Work
from shared.telemetry import span

log = logging.getLogger(__name__)

Figures = dict[tuple[str, str], dict[str, Any]]
"""What is known of pilots, by (pilot, source), as it is kept."""


class Reactions:
    """The only key is a pilot's id: all of its figures are set together."""

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
        if not tasks:
            return False
        pilots, plans, progress = documents.pilots_and_what_is_theirs([task.key for task in tasks])
        told: Figures = {}
        done = []
        for task in tasks:
            pilot = pilots.get(task.key)
            try:
                if pilot is not None:
                    with span("set figures", task.trace, pilot=task.key):
                        told |= self._figures(pilot, plans.get(task.key, []), progress.get(task.key, []), task)
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
            planned, progress = documents.plans_of(pilot.id), documents.progress_of(pilot.id)
        if not pilot.is_live:
            return told
        lead = pilot.key[0]
        plans = [plan for row in planned if (plan := figures.plan_of(row)) and row.key[0] == lead]
        if self._keyring.hosts(lead):
            own = {plan.id: self._counting(plan, pilot, progress) for plan in plans}
            told[pilot.id, "private"] = self._document(pilot, "private", plans, own)
            if self._publish(pilot, plans, own, progress, task):
                progress = documents.progress_of(pilot.id)
        else:
            for plan in plans:
                sharing.contribute(self._ledger, pilot, plan, self.threshold_of, task.trace)
        others = {plan.id: figures.published(plan, lead, progress) for plan in plans}
        told[pilot.id, "published"] = self._document(pilot, "published", plans, others)
        return told

    def _counting(self, plan: IndicatorPlan, pilot: Row, progress: Sequence[Row]) -> Current:
        own = [one for one in self._batches.of(plan.id) if self._keyring.hosts(one.agency)]
        others = sharing.told_by_others(plan, progress, self._keyring.hosts)
        return figures.counting(plan, pilot.state, [*own, *others])

    def _document(
        self, pilot: Row, source: Source, plans: list[IndicatorPlan], found: Mapping[str, Current]
    ) -> dict[str, Any]:
        now = self._ledger.now()
        row = figures.pilot_row(pilot.state, source, plans, found, now.date())
        sources = sharing.sources_of(found.values(), source, self._keyring.hosted())
        return {**figures.stored(row, plans, found), "sources": sources, "set_at": now}

    # -- publishing ------------------------------------------------------------------------------------------

    def _publish(
        self,
        pilot: Row,
        plans: list[IndicatorPlan],
        own: Mapping[str, Current],
        progress: Sequence[Row],
        task: Task,
    ) -> bool:
        """Publishes what is due of each indicator. Done twice it is done once: ids derive from what is published."""
        published = False
        there = {row.id for row in progress}
        for plan in plans:
            kept = [row for row in documents.snapshots_of(plan.id) if row.key[0] == pilot.key[0]]
            history = [edition for row in kept if (edition := sharing.edition_of(row))]
            published |= self._publish_pending(pilot, kept, there, task)
            made = due(
                plan,
                own[plan.id].figures,
                self._ledger.now().date(),
                sites=figures.sites_of(pilot.state),
                history=history,
                threshold=self.threshold_of(pilot.key[0]),
            )
            taken = [self._take_snapshot(pilot.key[0], edition, task) for edition in made.editions]
            for one in taken:
                self._ledger.outcome(one)
            if taken:
                published = True
                self._publish_pending(pilot, documents.snapshots_of(plan.id), there, task)
        return published

    def _take_snapshot(self, agency: str, edition: Edition, task: Task) -> Future[Recorded]:
        """First what stays at home to check later editions against; the published part follows from it."""
        edition_id = id_of(edition)
        state = {
            "agency": agency,
            "snapshot": edition.snapshot.model_dump(mode="json"),
            "progress": edition.progress.model_dump(mode="json"),
        }
        return self._ledger.submit_reaction(
            "edition", agency, "snapshot", "taken", edition_id, state, version=1, audience="private", trace=task.trace
        )

    def _publish_pending(self, pilot: Row, snapshots: Sequence[Row], there: set[str], task: Task) -> bool:
        """Progress goes as far as the pilot's own record does: that of a private pilot stays in the agency.

        True if anything was published; `there`, the ids of what was published before, then holds it too.
        """
        agency, telling = pilot.key[0], []
        for row in snapshots:
            if row.id in there or row.key[0] != agency:
                continue
            there.add(row.id)
            state = {**row.state["progress"], "agency": agency}
            telling.append(
                self._ledger.submit_reaction(
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
            )
        for one in telling:
            self._ledger.outcome(one)
        return bool(telling)

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
