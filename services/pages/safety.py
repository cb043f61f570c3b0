"""What keeps a visitor's session their own: the cookie, proof that a form is ours, headers for the browser."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import MutableMapping
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SESSION = "pilotmesh_session"
LANGUAGE = "pilotmesh_lang"
LANGUAGE_SECONDS = 365 * 24 * 3600

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
"""No script at all, nothing from elsewhere, no frame around a page that has buttons."""

_PURPOSE = b"pilotmesh form v1"


LARGEST_FORM = 64 * 1024
MOST_FIELDS = 200


class NotOurForm(Exception):  # noqa: N818 - a refusal to be shown
    """A form that did not come from a page of this node, or from another session."""


def form_token(session: str) -> str:
    """What a form of this session carries. It needs the session's secret, so no other page can write it, and no
    key of the node's: any replica can check it."""
    return hmac.new(session.encode(), _PURPOSE, hashlib.sha256).hexdigest()


def check_form(session: str, token: str) -> None:
    """Raises `NotOurForm`."""
    if not hmac.compare_digest(form_token(session).encode(), token.encode()):
        raise NotOurForm


def check_origin(headers: Headers, own: tuple[str, ...]) -> None:
    """The form was sent from a page of this node: Origin, or Referer without one, names a host of `own`.

    Raises `NotOurForm` also where neither is given: browsers send at least one of them with a form of ours.
    """
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise NotOurForm
    said = headers.get("origin") or headers.get("referer") or ""
    if urlsplit(said).netloc.lower() not in {host.lower() for host in own if host}:
        raise NotOurForm


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form without files. Raises HTTPException (400, 413, 415) for what no page of ours sends."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/x-www-form-urlencoded":
        raise HTTPException(415)
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_FORM:
            raise HTTPException(413)
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise HTTPException(400) from error
    return {name: value.replace("\r\n", "\n").strip() for name, value in fields}


def own_hosts(request: Request, public_url: str) -> tuple[str, ...]:
    return (request.headers.get("host", ""), urlsplit(public_url).netloc)


def is_https(request: Request, public_url: str) -> bool:
    return request.url.scheme == "https" or public_url.startswith("https://")


def local_path(wanted: str | None) -> str:
    """A path of this node to go on to; the start page instead of anything that could lead elsewhere."""
    path = wanted or "/"
    plain = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return path if plain and path.isprintable() and " " not in path else "/"


class GuardHeaders:
    """Headers of every answer. What is personal is never kept by a browser or a proxy; files of the design are."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _guard(message)
            await send(message)

        await self.app(scope, receive, guarded if scope["type"] == "http" else send)


def _guard(message: MutableMapping[str, object]) -> None:
    held = list(message.get("headers", []))  # type: ignore[call-overload] # ASGI types a message as open
    names = {name.lower() for name, _ in held}
    for name, value in (
        (b"content-security-policy", POLICY),
        (b"referrer-policy", "same-origin"),
        (b"x-frame-options", "DENY"),
        (b"cross-origin-opener-policy", "same-origin"),
        (b"permissions-policy", "camera=(), geolocation=(), microphone=()"),
        (b"cache-control", "no-store"),
    ):
        if name not in names:
            held.append((name, value.encode()))
    message["headers"] = held
