"""Signing in with a link, and out. Opening the link only shows whom it signs in: scanners that open it do no harm."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from services.pages import safety
from services.pages.node import Node, Refusal
from services.pages.visitor import Visiting, Visitor, person_of
from shared.access.actors import SESSION_LENGTH

router = APIRouter(include_in_schema=False)


@router.get("/sign-in")
async def whom(visitor: Visiting, code: str = "", next: str = "/") -> Response:  # noqa: A002 - the parameter's name
    if not code:
        return visitor.page("sign_in.html", next_path=safety.local_path(next))
    return await _asked(visitor, code, next)


async def _asked(visitor: Visitor, code: str, following: str) -> Response:
    try:
        found = await Node(visitor.request.app.state.client).get(f"/mesh/v1/sign-in-links/{_plain(code)}")
    except Refusal as refusal:
        if refusal.status >= 500:
            raise
        return visitor.page("sign_in.html", 404, refused=True, next_path=safety.local_path(following))
    return visitor.page("sign_in.html", whom=person_of(found), code=code, next_path=safety.local_path(following))


@router.post("/sign-in")
async def sign_in(request: Request, visitor: Visiting) -> Response:
    safety.check_origin(request.headers, safety.own_hosts(request, visitor.settings.url))
    fields = await safety.read_form(request)
    following = safety.local_path(fields.get("next"))
    code = fields.get("code", "")
    if fields.get("only_show"):
        return await _asked(visitor, code, following)
    try:
        opened: dict[str, Any] = await Node(request.app.state.client).post("/mesh/v1/sessions", {"code": code})
    except Refusal as refusal:
        if refusal.status >= 500:
            raise
        return visitor.page("sign_in.html", 404, refused=True, next_path=following)
    answer = visitor.go(following)
    answer.set_cookie(
        safety.SESSION,
        str(opened["token"]),
        max_age=int(SESSION_LENGTH.total_seconds()),
        path="/",
        secure=safety.is_https(request, visitor.settings.url),
        httponly=True,
        samesite="lax",
    )
    return answer


@router.post("/sign-out")
async def sign_out(visitor: Visiting) -> Response:
    await visitor.form()
    await visitor.node.delete("/mesh/v1/sessions")
    answer = visitor.go("/sign-in?out=1")
    answer.delete_cookie(safety.SESSION, path="/")
    return answer


def _plain(code: str) -> str:
    """A code is of letters, digits, `-` and `_`; anything else in a path could name another resource."""
    return code if code.replace("-", "").replace("_", "").isalnum() and code.isascii() else "-"
