"""The registry's side of recording: where its records are found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from services.registry import documents
from services.registry.domain import Change
from shared.access.actors import Actor
from shared.http import recording
from shared.http.posted import Posted
from shared.http.recording import commit, create, ledger_of, told_fact, told_row
from shared.ledger.rows import Row


def readable(request: Request, caller: Actor, kind: str, record_id: str, agency: str | None = None) -> Row:
    """The record (of `agency`, if it is named), if this caller may see it; else NotFound."""
    return recording.readable(request, documents.claims_to, caller, kind, record_id, agency)


def change_record(
    request: Request,
    caller: Actor,
    kind: str,
    record_id: str,
    expected: int | None,
    decide: Callable[[dict[str, Any], int], Change],
    *,
    body: Posted | None = None,
    key: str | None = None,
) -> JSONResponse:
    row = readable(request, caller, kind, record_id)
    return recording.change_record(request, caller, row, expected, decide, body=body, key=key)


__all__ = ["change_record", "commit", "create", "ledger_of", "readable", "told_fact", "told_row"]
