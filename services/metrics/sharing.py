"""What of a pilot's figures crosses to other nodes: how far its plans and progress go, and what a partner publishes.

Raw observations stay on the node of the agency that made them. Where an agency owns figures of another's pilot whose
lead is hosted elsewhere, its own node publishes those, suppressed, on the plan's calendar; the lead's node counts them
beside its own observations, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from pydantic import ValidationError

from services.metrics import documents, figures
from services.metrics.current import Current, Position, Recorded
from services.metrics.editions import Progress, as_recorded
from services.metrics.plans import IndicatorPlan
from services.metrics.publishing import Publisher
from shared.facts.names import MESH_AUDIENCE, PRIVATE_AUDIENCE
from shared.http.recording import audience_of
from shared.ledger.ledger import Ledger
from shared.ledger.narrowing import wider_ledger, withdraw_from_mesh
from shared.ledger.owners import ref_of
from shared.ledger.rows import WITHDRAWN, Row
from shared.vocabulary.dimensions import TOTAL


def follow_audience(ledger: Ledger, pilot: Row, children: Iterable[Row], trace: str | None) -> bool:
    """Plans and published progress (`children`) go as far as the pilot's own record: narrowed with it, shared with it
    again. True if any of them moved."""
    if pilot.is_live:
        audience = audience_of(pilot)
    elif pilot.shown.verb == WITHDRAWN:
        audience = PRIVATE_AUDIENCE
    else:
        return False  # redacted, or newer than this node: nothing is known of its audience
    moved = False
    for row in children:
        if ledger.hosts(row.key[0]) and (audience_of(row) != audience or wider_ledger(row) is not None):
            _move(ledger, pilot, row, audience, trace)
            moved = True
    return moved


def _move(ledger: Ledger, pilot: Row, row: Row, audience: str, trace: str | None) -> None:
    if audience_of(row) != audience:
        ledger.react(
            f"{pilot.shown.hash}|{row.version}",
            row.key[0],
            row.kind,
            "shared" if audience == MESH_AUDIENCE else "narrowed",
            row.id,
            row.state,
            version=row.version + 1,
            audience=audience,
            trace=trace,
        )
        row = documents.metrics_rows().get(row.key) or row
    withdraw_from_mesh(ledger, row, trace)


def told_by_others(plan: IndicatorPlan, progress: Iterable[Row], own: Callable[[str], bool]) -> Iterator[Recorded]:
    """What agencies that are not hosted here published of this indicator: the newest edition of each period."""
    newest: dict[tuple[str, date, date], tuple[Progress, Row]] = {}
    for row in progress:
        agency = row.key[0]
        if own(agency):
            continue  # their observations are here: never both
        try:
            told = Progress.model_validate(row.state)
        except ValidationError:
            continue
        period = (agency, told.period.start, told.period.end)
        if told.indicator == plan.id and (period not in newest or newest[period][0].edition < told.edition):
            newest[period] = (told, row)
    for told, row in newest.values():
        shown = row.shown
        at = Position(shown.epoch, shown.sequence, 0, shown.ledger)
        yield from as_recorded(told, plan, row.key[0], at)


def contribute(
    ledger: Ledger, pilot: Row, plan: IndicatorPlan, threshold_of: Callable[[str], int], trace: str | None
) -> None:
    """Publishes the figures that hosted agencies own in a pilot whose lead another node hosts."""
    lead = pilot.key[0]
    batches = documents.batches_of(lead, plan.id)
    sites = figures.sites_of(pilot.state)
    for agency in sorted({row.key[0] for row in batches if ledger.hosts(row.key[0])} - {lead}):
        theirs = [figures.recorded_in(row) for row in batches if row.key[0] == agency]
        recorded = [one for read in theirs for one in read.get((lead, plan.id), ())]

        def owned(plan: IndicatorPlan, told: Mapping[str, Any], agency: str = agency) -> dict[str, Any]:
            own = [
                one
                for one in told["figures"]
                if plan.owner_at(one["place"], _country(one["place"], sites), lead) == agency
            ]
            return {**told, "figures": own, "lead": lead}

        publisher = Publisher(ledger, agency, pilot, threshold_of(agency), ("contribution", lead, agency), owned, trace)
        there = {row.id for row in documents.progress_of(*ref_of(pilot)) if row.key[0] == agency}
        publisher.publish(plan, figures.counting(plan, pilot.state, recorded).figures, there)


def _country(place: str, sites: Mapping[str, str]) -> str | None:
    return sites.get(place, place if place != TOTAL else None)


def sources_of(found: Iterable[Current], source: str, own: Collection[str]) -> dict[str, Any]:
    """From where each agency's figures that count were taken: its observations here, or what it published."""
    agencies = {each.agency for current in found for each in current.figures.values()}
    return {one: "private" if source == "private" and one in own else "published" for one in sorted(agencies)}
