"""Lists: `{"items": [...], "next": "<cursor>" | null}` with a `Link` header. A cursor names the last item."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.responses import JSONResponse

from shared.problems import Fault, Invalid

LARGEST = 200


@dataclass(frozen=True, slots=True)
class Page:
    """What the client asked for: at most `limit` items that come after `after`."""

    limit: int
    after: str | None


def page(
    limit: Annotated[int, Query(ge=1, le=LARGEST, description="Items per page.")] = 50,
    cursor: Annotated[str | None, Query(max_length=400, description="`next` of the page before.")] = None,
) -> Page:
    if cursor is None:
        return Page(limit, None)
    try:
        after = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)).decode()
    except (ValueError, binascii.Error, UnicodeError) as error:
        raise Invalid(
            [Fault("cursor", "cursor", "not a cursor of this list; take `next` of the page before")]
        ) from error
    return Page(limit, after)


Paged = Annotated[Page, Depends(page)]


def cursor_after(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode().rstrip("=")


def list_answer(request: Request, items: Sequence[Any], last: str | None, **more: Any) -> JSONResponse:
    """`last` names the last item if more may follow, else None."""
    following = None if last is None else cursor_after(last)
    headers = {}
    if following is not None:
        target = request.url.include_query_params(cursor=following)
        headers["Link"] = f'<{target.path}?{target.query}>; rel="next"'
    return JSONResponse({"items": list(items), "next": following, **more}, headers=headers)
