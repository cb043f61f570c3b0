"""A small service for tests of the HTTP edge: it echoes what the edge made of a request. No server is needed."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from pymongo.errors import AutoReconnect

from shared.access.actors import Actor
from shared.http.app import service_app
from shared.http.caller import Caller
from shared.http.paging import Paged, list_answer
from shared.http.posted import Body, IdempotencyKey, IfMatch, command_of, etag
from shared.problems import Conflict, Unauthenticated
from shared.settings import Settings

LIMIT = 2000
OFFICER = Actor("0198c0de-0000-7000-8000-0000000000ac", "wfp", frozenset({"officer"}))
router = APIRouter()


@router.post("/v1/echo")
def echo(body: Body) -> JSONResponse:
    return JSONResponse({"document": body.document, "digest": body.digest})


@router.post("/v1/objects")
def objects(body: Body) -> JSONResponse:
    return JSONResponse({"document": body.as_object()})


@router.post("/v1/commands")
def commands(caller: Caller, body: Body, idempotency_key: IdempotencyKey = None) -> JSONResponse:
    command = command_of(caller, "commands", idempotency_key, body.digest, "an id")
    return JSONResponse({"key": None if command is None else command.key})


@router.put("/v1/records/{record_id}")
def change(record_id: str, expected: IfMatch) -> JSONResponse:
    return JSONResponse({"id": record_id, "expected": expected}, headers={"ETag": etag(expected + 1)})


@router.get("/v1/records")
def records(request: Request, page: Paged) -> JSONResponse:
    return list_answer(request, [{"after": page.after}], last=f"é/{page.limit}")


@router.get("/v1/store-away")
def store_away() -> None:
    raise AutoReconnect("mongodb://secret:password@somewhere")


@router.get("/v1/fault")
def fault() -> None:
    raise ZeroDivisionError("a secret of the program")


@router.get("/v1/conflict")
def conflict() -> None:
    raise Conflict("Not in this state.", current="open")


class KnownActors:
    def cached(self, token: str) -> Actor | None:
        return OFFICER if token == "known" else None

    def by_token(self, token: str) -> Actor:
        raise Unauthenticated(f"Unknown token of {len(token)} characters.")


def make_app() -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.actors = KnownActors()
        app.state.readiness = lambda: {"database": None, "follower": "catching up"}
        yield

    return service_app(
        "small",
        Settings(max_body_bytes=LIMIT),
        title="small",
        description="For tests.",
        routers=[router],
        lifespan=lifespan,
        asyncapi=lambda: '{"asyncapi": "3.0.0"}',
    )


def client() -> Iterator[httpx.Client]:
    """A client of the app as uvicorn serves it."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(make_app(), log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    # A refused body ends its connection while the client may still be writing: no test inherits another's.
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=address, trust_env=False, timeout=30, limits=limits) as made:
        yield made
    server.should_exit = True
    thread.join(30)
    listening.close()


def problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """The problem in an answer, after looking at what every problem must have."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["type"] == f"https://pilotmesh.org/problems/{slug}"
    assert told["status"] == status
    assert told["title"]
    assert told["detail"]
    return told
