"""Progress published when a period is over. First the numbers behind it, which stay at home to check later editions
against; the published part follows from them. Done twice it is done once: ids derive from what is published."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from services.metrics import documents, figures
from services.metrics.current import Recorded as Figure
from services.metrics.editions import Edition, Progress, Snapshot
from services.metrics.observations import Key
from services.metrics.plans import IndicatorPlan
from services.metrics.progress import due
from shared.facts.ids import derived_id
from shared.facts.names import PRIVATE_AUDIENCE
from shared.http.recording import audience_of
from shared.ledger.drafts import Recorded
from shared.ledger.ledger import Ledger
from shared.ledger.rows import Row


@dataclass(frozen=True, slots=True)
class Publisher:
    """A hosted agency that publishes figures of a pilot: its lead, or a partner that owns some of them."""

    ledger: Ledger
    agency: str
    pilot: Row
    threshold: int
    """Below how many people a figure is withheld."""
    named: tuple[str, ...]
    """What the ids of its editions begin with, before indicator, period and number."""
    told: Callable[[IndicatorPlan, Mapping[str, Any]], dict[str, Any]]
    """What of an edition is published, from its progress."""
    trace: str | None

    def publish(self, plan: IndicatorPlan, found: Mapping[Key, Figure], there: set[str]) -> bool:
        """Publishes what is due of an indicator. True if anything was; `there`, the ids of what was published before,
        then holds it too."""
        kept = self._snapshots(plan)
        made = due(
            plan,
            found,
            self.ledger.now().date(),
            sites=figures.sites_of(self.pilot.state),
            history=[edition for row in kept if (edition := edition_of(row))],
            threshold=self.threshold,
        )
        for one in [self._take_snapshot(edition) for edition in made.editions]:
            self.ledger.outcome(one)
        if made.editions:
            kept = self._snapshots(plan)
        return self._publish_pending(plan, kept, there) or bool(made.editions)

    def _snapshots(self, plan: IndicatorPlan) -> list[Row]:
        return documents.snapshots_of(self.agency, self.pilot.key[0], plan.id)

    def _take_snapshot(self, edition: Edition) -> Future[Recorded]:
        progress = edition.progress
        named = (*self.named, progress.indicator, str(progress.period.start), str(progress.edition))
        state = {
            "agency": self.agency,
            "lead": self.pilot.key[0],
            "snapshot": edition.snapshot.model_dump(mode="json"),
            "progress": progress.model_dump(mode="json"),
        }
        return self.ledger.submit_reaction(
            "edition",
            self.agency,
            "snapshot",
            "taken",
            derived_id(*named),
            state,
            version=1,
            audience=PRIVATE_AUDIENCE,
            trace=self.trace,
        )

    def _publish_pending(self, plan: IndicatorPlan, snapshots: Sequence[Row], there: set[str]) -> bool:
        """Progress goes as far as the pilot's own record does: that of a private pilot stays in the agency."""
        telling = []
        for row in snapshots:
            if row.id in there:
                continue
            there.add(row.id)
            telling.append(
                self.ledger.submit_reaction(
                    row.shown.hash,
                    self.agency,
                    "progress",
                    "published",
                    row.id,
                    {**self.told(plan, row.state["progress"]), "agency": self.agency},
                    version=1,
                    audience=audience_of(self.pilot),
                    trace=self.trace,
                )
            )
        for one in telling:
            self.ledger.outcome(one)
        return bool(telling)


def edition_of(row: Row) -> Edition | None:
    """An edition with the numbers behind it, from the row of its snapshot."""
    state = row.state
    if "progress" not in state or "snapshot" not in state:
        return None
    return Edition(Progress.model_validate(state["progress"]), Snapshot.model_validate(state["snapshot"]))
