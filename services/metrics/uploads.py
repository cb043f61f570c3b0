"""An upload of observations: cut into facts, and counted only once it is whole.

An upload that fits one fact is complete in itself. A larger one is several facts and a last one that says so;
whatever happens before that last one, nothing of it counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from services.metrics import documents, figures
from services.metrics.folds import lead_of
from services.metrics.observations import Accepted, Known, read_observations
from shared.facts.fact import MAX_BYTES, Fact, to_bytes
from shared.facts.names import MESH_AUDIENCE
from shared.http.recording import audience_of
from shared.ledger.drafts import Author, Draft
from shared.ledger.ledger import Ledger
from shared.ledger.owners import Ref, the_one
from shared.ledger.rows import Row
from shared.ledger.store import Command
from shared.problems import Fault, Invalid, SeveralOwners

PART_BYTES = MAX_BYTES - 16 * 1024
"""Bytes of rows in one fact; the rest is room for what stands around them."""
MOST_ROWS = 50_000
"""Rows of one upload; more are handed in as several uploads."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What became of an upload: its id, the place of the fact that completed it, and how many rows and facts."""

    upload: str
    rows: int
    parts: int
    fact: Fact
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """What may be recorded: the rows as posted, with the lead in those that are about another agency's pilot."""

    rows: Sequence[Mapping[str, Any]]
    accepted: Accepted


def check(rows: Sequence[Any], agency: str, today: Any, hosts: Callable[[str], bool]) -> Checked:
    """Every row against the plans and pilots that the agency may see: a plan that it may not see is as good as none,
    also in what a refusal says. Raises Invalid with all faults of all rows."""
    if not rows:
        raise Invalid([Fault("", "empty", "there is no observation in this upload")])
    if len(rows) > MOST_ROWS:
        raise Invalid([Fault("", "too-many", f"{len(rows)} rows; hand in at most {MOST_ROWS} at a time")])
    posted = [row for row in rows if isinstance(row, dict)]
    found = _plans_meant(rows, agency, hosts)
    plans = {plan.id: plan for row in found.values() if (plan := figures.plan_of(row))}
    leads = {indicator: row.key[0] for indicator, row in found.items()}
    pilots = documents.those_owned("pilot", {(leads[plan.id], plan.pilot) for plan in plans.values()})
    sites: dict[str, dict[str, str]] = {}
    for (_, pilot_id), row in pilots.items():
        sites.setdefault(pilot_id, {}).update(figures.sites_of(row.state) if row.is_live else {})
    known = Known(plans=plans, today=today, sites=sites, earlier=_earlier(posted, agency, leads))
    accepted = read_observations(rows, known)
    about = [(row, leads[row["indicator"]]) for row in posted]
    return Checked([row if lead == agency else {**row, "lead": lead} for row, lead in about], accepted)


def _plans_meant(rows: Sequence[Any], agency: str, hosts: Callable[[str], bool]) -> dict[str, Row]:
    """The plan that this upload means by each indicator's id, as far as the agency sees it. Raises Invalid where
    several agencies have one and the rows do not say whose."""
    named: dict[str, dict[str | None, int]] = {}
    for number, row in enumerate(rows):
        if isinstance(row, dict) and isinstance(row.get("indicator"), str):
            lead = row.get("lead") if isinstance(row.get("lead"), str) else None
            named.setdefault(row["indicator"], {}).setdefault(lead, number)
    claims = documents.plans_claiming(named)
    found: dict[str, Row] = {}
    faults = []
    for indicator, leads in named.items():
        seen = [row for row in claims.get(indicator, ()) if may_see(row, agency)]
        number = max(leads.values())
        if len(leads) > 1:
            detail = "rows of one upload mean the same agency by one indicator: hand those of another in apart"
            faults.append(Fault(f"[{number}].lead", "several_leads", detail))
            continue
        try:
            meant = the_one(seen, own=agency, hosts=hosts, agency=next(iter(leads)))
        except SeveralOwners as several:
            named_by = ", ".join(str(one) for one in several.claimants)
            detail = f"{named_by} each have an indicator with this id: say whose you mean"
            faults.append(Fault(f"[{number}].lead", "several_owners", detail))
            continue
        if meant is not None:
            found[indicator] = meant
    if faults:
        raise Invalid(faults)
    return found


def may_see(plan: Row, agency: str) -> bool:
    return plan.key[0] == agency or audience_of(plan) == MESH_AUDIENCE


def _earlier(posted: Sequence[Mapping[str, Any]], agency: str, leads: Mapping[str, str]) -> set[str] | None:
    """Ids of the agency's observations that corrections in this upload may name; None if there are no corrections."""
    correcting = {str(row.get("indicator")) for row in posted if row.get("supersedes") is not None}
    if not correcting:
        return None
    return {
        str(row.get("id"))
        for indicator in correcting & set(leads)
        for batch in documents.batches_of(leads[indicator], indicator)
        if batch.key[0] == agency
        for row in batch.state.get("rows") or ()
    }


def parts_of(rows: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """The rows in their order, as many to a part as fit a fact. Raises Invalid for a row that fits none."""
    part: list[Mapping[str, Any]] = []
    size = 0
    for number, row in enumerate(rows):
        length = len(to_bytes(row)) + 1
        if length > PART_BYTES:
            raise Invalid(
                [Fault(f"[{number}]", "too-large", f"{length} bytes; an observation has at most {PART_BYTES}")]
            )
        if size + length > PART_BYTES:
            yield part
            part, size = [], 0
        part.append(row)
        size += length
    yield part


def record(
    ledger: Ledger, agency: str, author: Author, upload: str, rows: Sequence[Mapping[str, Any]], command: Command | None
) -> Uploaded:
    """Commits an upload. What is returned is in the store; the client's key stands in the fact that completes it."""
    parts = list(parts_of(rows))
    whole = len(parts) == 1
    pending = []
    for number, part in enumerate(parts, start=1):
        state = {"agency": agency, "upload": upload, "part": number, "rows": part, "complete": whole}
        draft = _draft(ledger, agency, author, "observations", "recorded", f"{upload}-{number}", state)
        pending.append(ledger.submit(draft if not whole else _with(draft, command)))
    recorded = [future.result(60) for future in pending]
    if whole:
        last = recorded[0]
    else:
        state = {
            "agency": agency,
            "upload": upload,
            "parts": len(parts),
            "rows": len(rows),
            "pilots": sorted({str(row["pilot"]) for row in rows}),
            "about": [{"lead": lead, "pilot": pilot} for lead, pilot in pilots_of(rows, agency)],
        }
        last = ledger.record(_with(_draft(ledger, agency, author, "upload", "completed", upload, state), command))
    upload_id = upload if not last.replayed else str((last.fact.state or {}).get("upload"))
    return Uploaded(upload_id, len(rows), len(parts), last.fact, last.replayed)


def pilots_of(rows: Iterable[Mapping[str, Any]], agency: str) -> list[Ref]:
    """The pilots that rows of this agency's are about, each with its lead."""
    return sorted({(lead_of(row, agency), str(row["pilot"])) for row in rows})


def _draft(
    ledger: Ledger, agency: str, author: Author, kind: str, verb: str, record_id: str, state: Mapping[str, Any]
) -> Draft:
    return Draft(
        agency=agency,
        service=ledger.service,
        kind=kind,
        verb=verb,
        id=record_id,
        version=1,
        state=state,
        author=author,
        audience="private",
    )


def _with(draft: Draft, command: Command | None) -> Draft:
    return replace(draft, command=command)
