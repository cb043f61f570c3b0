"""What the registry's GETs share: one record, a list of records, the history of a record."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import JSONResponse

from services.registry import documents
from services.registry.domain import may_read
from services.registry.folds import fold_for_search
from services.registry.writing import ledger_of, readable, told_row
from shared.access.actors import Actor
from shared.facts.fact import rfc3339
from shared.http.paging import Page, list_answer
from shared.http.posted import etag

Search = Annotated[str | None, Query(max_length=200, description="Words that must all occur, without accents or case.")]


def searched(q: str | None) -> dict[str, Any]:
    """A filter for every word of `q`."""
    words = fold_for_search(q or "").split()[:8]
    return {"$and": [{"search": {"$regex": re.escape(word)}} for word in words]} if words else {}


def listed(request: Request, caller: Actor, kind: str, page: Page, query: dict[str, Any]) -> JSONResponse:
    rows, last = documents.page(kind, query, reader=caller.agency, after=page.after, limit=page.limit)
    return list_answer(request, [told_row(row) for row in rows], last)


def one_of(request: Request, caller: Actor, kind: str, record_id: str, agency: str | None = None) -> JSONResponse:
    row = readable(request, caller, kind, record_id, agency)
    return JSONResponse(told_row(row), headers={"ETag": etag(row.version)})


def history_of(request: Request, caller: Actor, kind: str, record_id: str, agency: str | None = None) -> JSONResponse:
    """Every change of a record: version, verb, when, in which role. Only what the caller may read."""
    row = readable(request, caller, kind, record_id, agency)
    facts = ledger_of(request).store.versions(row.key[0], row.key[1], row.key[2])
    items = [
        {
            "version": fact.header.version,
            "verb": fact.header.verb,
            "time": rfc3339(fact.header.time),
            "actor": fact.header.actor,
            "role": fact.header.role,
            "office": fact.header.office,
            "ledger_place": fact.place,
            "hash": fact.hash,
            "redacted": fact.payload is None,
        }
        for fact in facts
        if may_read(caller, fact.header.agency, fact.header.ledger.audience)
    ]
    return JSONResponse({"items": items, "next": None})
