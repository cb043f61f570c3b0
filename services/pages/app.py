"""Composition root of the pages for people: a client of the node's HTTP API, with no records of its own."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from http import HTTPStatus
from pathlib import Path

import httpx
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from jinja2 import ChainableUndefined, Environment, FileSystemLoader
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response

from services.pages import (
    answering,
    coordination,
    countries,
    pilots,
    proposals,
    registering,
    screening,
    signing_in,
    standing,
    testbeds,
    work,
)
from services.pages.node import Refusal, open_client
from services.pages.safety import GuardHeaders, NotOurForm
from services.pages.show import figures_of
from services.pages.visitor import AgencyNames, SignInFirst, Visitor, visitor_of
from shared.http.app import VERSION, Watch, house_router
from shared.settings import Settings
from shared.telemetry import start_telemetry

log = logging.getLogger(__name__)

NAME = "pages"
ROOMS = (
    signing_in,
    work,
    coordination,
    registering,  # before pilots: /pilots/new is no pilot's id
    screening,
    pilots,
    proposals,
    answering,
    testbeds,
    countries,
    standing,
)
ROOM = Path(__file__).parent
FILE_SECONDS = 3600
KINDS = (403, 404, 409, 410, 412, 421, 422, 429)
"""Refusals that have words of their own; any other is told as not available."""
DESIGN_FILES = {"pilotmesh.css": "text/css; charset=utf-8", "favicon.svg": "image/svg+xml"}


def create_app(settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> FastAPI:
    """The pages of a node. `transport` leads requests to another API than the node's address (for tests)."""
    start_telemetry(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_client(settings, transport) as client:
            app.state.client = client
            yield

    app = FastAPI(
        title="PilotMesh pages", version=VERSION, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.state.settings = settings
    app.state.templates = templates()
    app.state.names = AgencyNames()
    app.state.readiness = lambda: {"pages": None if hasattr(app.state, "client") else "not started"}
    app.include_router(house_router(None), include_in_schema=False)
    for room in ROOMS:
        app.include_router(room.router)
    app.add_api_route("/design/{name}", design_file, include_in_schema=False)
    app.add_api_route("/favicon.ico", favicon, include_in_schema=False)
    _explain_refusals(app)
    app.add_middleware(GuardHeaders)
    app.add_middleware(Watch, service=NAME)
    return app


@cache
def templates() -> Environment:
    """Records of other nodes may lack any field, so what is not there is shown as nothing; words are strict."""
    environment = Environment(
        loader=FileSystemLoader(ROOM / "templates"),
        autoescape=True,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals.update(version=VERSION, figures_of=figures_of)
    return environment


async def design_file(name: str) -> Response:
    if name not in DESIGN_FILES:
        raise HTTPException(404)
    headers = {"Cache-Control": f"public, max-age={FILE_SECONDS}"}
    return FileResponse(ROOM / "static" / name, media_type=DESIGN_FILES[name], headers=headers)


async def favicon() -> Response:
    return await design_file("favicon.svg")


def _explain_refusals(app: FastAPI) -> None:
    """What went wrong is said in the visitor's language, with what to do."""

    @app.exception_handler(SignInFirst)
    async def sign_in_first(request: Request, _: Exception) -> Response:
        visitor = await _visitor(request)
        following = request.url.path if request.method == "GET" else "/"
        return visitor.page("sign_in.html", 401, ended=True, next_path=following)

    @app.exception_handler(NotOurForm)
    async def not_our_form(request: Request, _: Exception) -> Response:
        return (await _visitor(request)).page("problem.html", 403, kind="form")

    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        if error.status == HTTPStatus.UNAUTHORIZED:
            return await sign_in_first(request, error)
        if error.slug == "several-owners":
            return whose_is_meant(await _visitor(request), error)
        status = error.status if error.status in KINDS else 503
        return (await _visitor(request)).page("problem.html", status, kind=str(status), refusal=error)

    @app.exception_handler(RequestValidationError)
    async def no_such_address(request: Request, _: Exception) -> Response:
        return (await _visitor(request)).page("problem.html", 404, kind="404")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kind = "404" if error.status_code in (404, 405) else "form" if error.status_code < 500 else "500"
        return (await _visitor(request)).page("problem.html", error.status_code, kind=kind)

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        log.error("unforeseen while answering %s %s", request.method, request.url.path, exc_info=error)
        return Visitor(request, "", None, {}).page("problem.html", 500, kind="500")


def whose_is_meant(visitor: Visitor, error: Refusal) -> Response:
    """Several agencies have a record with this id: the visitor chooses, nothing is guessed."""
    url = visitor.request.url
    named = [one for one in error.document.get("claimants") or () if isinstance(one, str)]
    query = url.include_query_params
    claimants = [{"agency": one, "path": f"/{url.path.lstrip('/')}?{query(agency=one).query}"} for one in named]
    return visitor.page("problem.html", 409, kind="several", refusal=error, claimants=claimants)


async def _visitor(request: Request) -> Visitor:
    """Whoever it is, as far as that can be found out; the page that explains must not fail itself."""
    try:
        return await visitor_of(request)
    except Refusal:
        return Visitor(request, "", None, {})
