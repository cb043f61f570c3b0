"""Observations over HTTP: handed in by their agency, read by their agency, and by nobody else."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse

from services.metrics import changes, documents, uploads
from services.metrics.folds import lead_of
from services.metrics.observations import Observation
from shared.facts.fact import rfc3339
from shared.facts.ids import new_id
from shared.http.caller import Caller
from shared.http.posted import (
    IdempotencyKey,
    Posted,
    UnsupportedMedia,
    command_of,
    describes,
    parse_json,
    read_body,
)
from shared.http.recording import ledger_of
from shared.ledger.drafts import Author
from shared.ledger.owners import Ref, ref_of
from shared.problems import Fault, Invalid, Misdirected, NotFound

router = APIRouter(prefix="/v1", tags=["observations"])

NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/jsonlines")
WAIT_SECONDS = 20.0


async def observations_posted(request: Request) -> Posted:
    """A JSON array, one JSON object, or NDJSON: one observation a line, empty lines passed over."""
    media = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if media not in NDJSON and media != "application/json" and not media.endswith("+json"):
        raise UnsupportedMedia(f"Expected application/json or application/x-ndjson, found {media}.")
    body = await read_body(request)
    digest = hashlib.sha256(body).hexdigest()
    if media not in NDJSON:
        document = parse_json(body)
        if not isinstance(document, dict | list):
            raise Invalid([Fault("", "type", "expected a JSON array of observations")])
        return Posted([document] if isinstance(document, dict) else document, digest)
    rows: list[Any] = []
    faults: list[Fault] = []
    for line in body.splitlines():
        if not line.strip():
            continue
        try:
            rows.append(parse_json(line, f"[{len(rows)}]"))
        except Invalid as problem:
            faults += problem.faults
            rows.append(None)
    if faults:
        raise Invalid(faults)
    return Posted(rows, digest)


Upload = Annotated[Posted, Depends(observations_posted)]


@router.post(
    "/observations",
    status_code=202,
    summary="Hand in observations of your agency",
    openapi_extra=describes(Observation, many=True),
)
def hand_in(
    request: Request,
    caller: Caller,
    body: Upload,
    key: IdempotencyKey = None,
    wait: Annotated[str | None, Query(pattern="^folded$", description="`folded`: answer when figures are set.")] = None,
) -> JSONResponse:
    ledger = ledger_of(request)
    role = changes.may_report(caller)
    if not ledger.hosts(caller.agency):
        raise Misdirected.of(caller.agency)
    upload = new_id()
    command = command_of(caller, "POST observations", key, body.digest, upload)
    earlier = ledger.earlier_answer(command)
    if earlier is not None:
        state = earlier.fact.state or {}
        again: dict[str, Any] = {"upload": earlier.answer, "status": "complete", "rows": _count(state), "notices": []}
        return JSONResponse({**again, "place": earlier.fact.place}, 202, headers={"Idempotency-Replayed": "true"})
    checked = uploads.check(body.document, caller.agency, ledger.now().date(), ledger.hosts)
    author = Author(caller.id, role, caller.office)
    done = uploads.record(ledger, caller.agency, author, upload, checked.rows, command)
    told: dict[str, Any] = {
        "upload": done.upload,
        "status": "complete",
        "rows": done.rows,
        "parts": done.parts,
        "place": done.fact.place,
        "notices": [{"field": n.field, "code": n.code, "detail": n.detail} for n in checked.accepted.notices],
    }
    if wait == "folded":
        told["folded"] = _wait_until_folded(request, uploads.pilots_of(checked.rows, caller.agency))
    return JSONResponse(told, 202, headers={"Location": f"{request.scope['root_path']}/v1/uploads/{done.upload}"})


def _count(state: dict[str, Any]) -> int:
    rows = state.get("rows")
    return len(rows) if isinstance(rows, list) else int(rows or 0)


def _wait_until_folded(request: Request, pilots: Sequence[Ref]) -> bool:
    """True once the figures of these pilots are set; False if that takes longer than a client should wait."""
    reactions, parts = request.app.state.reactions, request.app.state.parts
    deadline = time.monotonic() + WAIT_SECONDS
    with parts.ground.traffic.standing_aside():
        while reactions.waiting_for(pilots):
            if time.monotonic() > deadline:
                return False
            parts.wake()
            time.sleep(0.02)
    return True


@router.get("/uploads/{upload}", summary="An upload of your agency: what came of it")
def get_upload(request: Request, caller: Caller, upload: str) -> dict[str, Any]:  # noqa: ARG001 - as its siblings
    batches = documents.batches_of_upload(caller.agency, upload)
    if not batches:
        raise NotFound("No upload of your agency has this id.")
    whole = documents.owned("upload", caller.agency, upload)
    complete = any(row.state.get("complete") is True for row in batches) or (whole is not None and whole.is_live)
    return {
        "upload": upload,
        "status": "complete" if complete else "incomplete",
        "rows": sum(len(row.state.get("rows") or ()) for row in batches),
        "parts": len(batches),
        "places": sorted(row.shown.place for row in batches),
        "recorded_at": rfc3339(min(row.shown.time for row in batches)),
        "counts": complete,
    }


@router.get("/observations", summary="Observations of your agency; nobody else's can be read")
def list_observations(
    request: Request,  # noqa: ARG001 - as its siblings
    caller: Caller,
    indicator: Annotated[str | None, Query(max_length=64)] = None,
    pilot: Annotated[str | None, Query(max_length=64)] = None,
    lead: Annotated[str | None, Query(max_length=32, description="Whose indicator or pilot; all if left out.")] = None,
    limit: Annotated[int, Query(ge=1, le=5000)] = 500,
) -> dict[str, Any]:
    if indicator is None and pilot is None:
        raise Invalid([Fault("indicator", "missing", "say of which indicator or pilot, as ?indicator= or ?pilot=")])
    plans = documents.claims_to("plan", indicator) if indicator else documents.plans_about(str(pilot))
    items = [
        {**row, "agency": batch.key[0], "ledger_place": batch.shown.place, "row": number}
        for plan in plans
        if lead in (None, plan.key[0])
        for batch in documents.batches_of(*ref_of(plan))
        if batch.key[0] == caller.agency
        for number, row in enumerate(batch.state.get("rows") or ())
        if (lead_of(row, caller.agency), row.get("indicator")) == ref_of(plan)
        and (pilot is None or row.get("pilot") == pilot)
    ]
    return {"items": items[:limit], "next": None, "total": len(items)}
