"""An upload of observations: cut into facts, and counted only once it is whole.

An upload that fits one fact is complete in itself. A larger one is several facts and a last one that says so;
whatever happens before that last one, nothing of it counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from services.metrics import documents, figures
from services.metrics.observations import Accepted, Known, read_observations
from shared.facts.fact import MAX_BYTES, Fact, to_bytes
from shared.facts.names import MESH_AUDIENCE
from shared.http.recording import audience_of
from shared.ledger.drafts import Author, Draft
from shared.ledger.ledger import Ledger
from shared.ledger.store import Command
from shared.problems import Fault, Invalid

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


def check(rows: Sequence[Any], agency: str, today: Any) -> Accepted:
    """Every row against the plans and pilots that the agency may see: a plan that it may not see is as good as none,
    also in what a refusal says. Raises Invalid with all faults of all rows."""
    if not rows:
        raise Invalid([Fault("", "empty", "there is no observation in this upload")])
    if len(rows) > MOST_ROWS:
        raise Invalid([Fault("", "too-many", f"{len(rows)} rows; hand in at most {MOST_ROWS} at a time")])
    posted = [row for row in rows if isinstance(row, dict)]
    indicators = {str(row.get("indicator")) for row in posted}
    plan_rows = [
        row
        for row in documents.those("plan", indicators).values()
        if row.key[0] == agency or audience_of(row) == MESH_AUDIENCE
    ]
    plans = {plan.id: plan for row in plan_rows if (plan := figures.plan_of(row))}
    pilots = documents.those("pilot", {plan.pilot for plan in plans.values()})
    known = Known(
        plans=plans,
        today=today,
        sites={pilot_id: figures.sites_of(row.state) for pilot_id, row in pilots.items()},
        earlier=_earlier(posted, agency),
    )
    return read_observations(rows, known)


def _earlier(posted: Sequence[Mapping[str, Any]], agency: str) -> set[str] | None:
    """Ids of the agency's observations that corrections in this upload may name; None if there are no corrections."""
    correcting = {str(row.get("indicator")) for row in posted if row.get("supersedes") is not None}
    if not correcting:
        return None
    return {
        str(row.get("id"))
        for indicator in correcting
        for batch in documents.batches_of(indicator)
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
        }
        last = ledger.record(_with(_draft(ledger, agency, author, "upload", "completed", upload, state), command))
    upload_id = upload if not last.replayed else str((last.fact.state or {}).get("upload"))
    return Uploaded(upload_id, len(rows), len(parts), last.fact, last.replayed)


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
