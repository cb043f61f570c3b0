"""The node's HTTP API, as the pages use it: in the name of one visitor, with refusals as values to be shown."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import uuid4

import httpx

from shared.settings import Settings
from shared.telemetry import traceparent

T = TypeVar("T")

ANSWER_SECONDS = 10.0
"""A page that takes longer than this is told as not available; no service of a node works that long on a read."""

FEW = 50
"""How many records a page asks of one list. A page for people that lists more is no longer read."""


class Refusal(Exception):  # noqa: N818 - what the API refused, not an error of the pages
    """A problem document (RFC 9457) of the API. `status` 503 stands also for a service that gave no answer."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        super().__init__(f"{status}: {document.get('detail') or document.get('title') or 'no words'}")
        self.status = status
        self.document = document
        self.detail = str(document.get("detail") or "")
        self.slug = str(document.get("type") or "").rpartition("/")[2]

    @property
    def faults(self) -> list[dict[str, str]]:
        """`field`, `code` and `detail` of everything that was found wrong; may be empty."""
        return [fault for fault in self.document.get("errors") or () if isinstance(fault, dict)]


def node_address(settings: Settings) -> str:
    """Where the API is: as set, else on the node's own port (which the embedded node knows before it starts)."""
    if settings.api_url:
        return settings.api_url.rstrip("/")
    host = settings.host
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"http://{host}:{settings.port}"
    if address.is_unspecified:
        host = "127.0.0.1" if address.version == 4 else "::1"
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def open_client(settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """One client for all visitors: it keeps connections, never cookies or tokens."""
    return httpx.AsyncClient(
        base_url=node_address(settings),
        timeout=ANSWER_SECONDS,
        transport=transport,
        trust_env=False,  # the node is reached directly, whatever proxy the machine uses for the world
        headers={"Accept": "application/json"},
    )


class Node:
    """The API in one visitor's name. Every method raises `Refusal`."""

    def __init__(self, client: httpx.AsyncClient, token: str | None = None) -> None:
        self._client = client
        self.token = token

    async def get(self, path: str, **query: str | int) -> dict[str, Any]:
        return (await self.read(path, **query))[0]

    async def read(self, path: str, **query: str | int) -> tuple[dict[str, Any], str | None]:
        """The document and its ETag, for who is going to change it."""
        answer = await self._ask("GET", path, params=query)
        return _document(answer), answer.headers.get("etag")

    async def items(self, path: str, limit: int = FEW, **query: str | int) -> list[dict[str, Any]]:
        """The first `limit` records of a list."""
        return (await self.listed(path, limit, **query))[0]

    async def listed(self, path: str, limit: int = FEW, **query: str | int) -> tuple[list[dict[str, Any]], str | None]:
        """The first records of a list and the cursor of what follows, None at its end."""
        found = await self.get(path, limit=limit, **query)
        records = found.get("items")
        return [one for one in records if isinstance(one, dict)] if isinstance(records, list) else [], found.get("next")

    async def post(self, path: str, body: Mapping[str, Any], key: str | None = None) -> dict[str, Any]:
        """`key` makes a repeated click one command; without it every call is its own."""
        answer = await self._ask("POST", path, json=body, headers={"Idempotency-Key": key or str(uuid4())})
        return _document(answer)

    async def step(self, path: str, body: Mapping[str, Any], etag: str | None) -> dict[str, Any]:
        """A POST that changes a record as it was read."""
        headers = {"Idempotency-Key": str(uuid4()), **_if_match(etag)}
        return _document(await self._ask("POST", path, json=body, headers=headers))

    async def patch(self, path: str, changes: Mapping[str, Any], etag: str | None) -> dict[str, Any]:
        """A JSON merge patch (RFC 7396) of a record as it was read."""
        return _document(await self._ask("PATCH", path, json=changes, headers=_if_match(etag)))

    async def delete(self, path: str) -> None:
        await self._ask("DELETE", path)

    async def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        headers = dict(request.pop("headers", {}))
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if parent := traceparent():
            headers["traceparent"] = parent
        try:
            answer = await self._client.request(method, path, headers=headers, **request)
        except httpx.TransportError as error:
            raise Refusal(503, {"detail": f"The node's API gave no answer ({type(error).__name__})."}) from error
        if not answer.is_success:
            raise Refusal(answer.status_code, _document(answer))
        return answer


def _if_match(etag: str | None) -> dict[str, str]:
    return {} if etag is None else {"If-Match": etag}


def _document(answer: httpx.Response) -> dict[str, Any]:
    if not answer.content or "json" not in answer.headers.get("content-type", ""):
        return {}
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {"items": found}


async def if_there(asked: Awaitable[T], otherwise: T) -> T:
    """What was asked, or `otherwise` where it does not exist, may not be seen or cannot be reached just now.

    For the parts of a page that others can do without. An ended session (401) is the whole page's matter.
    """
    try:
        return await asked
    except Refusal as refusal:
        if refusal.status == 401:
            raise
        return otherwise


async def together(*asked: Awaitable[Any]) -> Sequence[Any]:
    """All at once; the first refusal is raised when all have ended."""
    answers = await asyncio.gather(*asked, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers
