"""The FastAPI app that every service starts from: problems, health, documents, measures, limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.http.posted import BODIES
from shared.http.problem import PROBLEMS, ProblemOnWire, install_problem_handlers
from shared.settings import Settings
from shared.telemetry import counter, histogram, span

VERSION = "0.1.0"

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def service_app(
    name: str,
    settings: Settings,
    *,
    title: str,
    description: str,
    routers: Sequence[APIRouter],
    lifespan: Lifespan,
    asyncapi: Callable[[], str] | None = None,
) -> FastAPI:
    """`name` is the service's path under the node. Readiness asks `app.state.readiness()`: {part: trouble or None}."""
    app = FastAPI(
        title=f"PilotMesh {title}",
        description=description,
        version=VERSION,
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from elsewhere; the document itself is enough for any viewer
        redoc_url=None,
        responses=PROBLEMS,
        servers=[{"url": f"/{name}"}],
        root_path_in_servers=False,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        generate_unique_id_function=lambda route: route.name,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # Watch does that, once
    )
    app.state.service = name
    app.state.settings = settings
    app.state.max_body_bytes = settings.max_body_bytes
    install_problem_handlers(app)
    for router in routers:
        app.include_router(router)
    app.include_router(house_router(asyncapi))
    app.openapi = lambda: openapi_document(app)  # type: ignore[method-assign] # FastAPI's documented way
    app.add_middleware(Watch, service=name)
    return app


def house_router(asyncapi: Callable[[], str] | None) -> APIRouter:
    """Health, measures and documents: what an operator's tools ask of every service."""
    router = APIRouter(tags=["house"])

    @router.get("/healthz", summary="The process answers")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz", summary="Every part that this service needs answers")
    async def readyz(request: Request) -> JSONResponse:
        parts: Mapping[str, str | None] = await run_in_threadpool(request.app.state.readiness)
        ready = all(trouble is None for trouble in parts.values())
        return JSONResponse({"ready": ready, "parts": dict(parts)}, 200 if ready else 503)

    @router.get("/prometheus", summary="Measures for Prometheus", response_class=Response)
    async def prometheus() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    if asyncapi is not None:

        @router.get(
            "/asyncapi.json", summary="What this service reads from and writes to NATS", response_class=Response
        )
        async def asyncapi_json() -> Response:
            return Response(asyncapi(), media_type="application/json")

    return router


def openapi_document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        servers=app.servers,
        license_info=app.license_info,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    wanted: dict[str, type[BaseModel]] = {"Problem": ProblemOnWire}
    text = str(document)
    wanted.update({name: model for name, model in BODIES.items() if f"#/components/schemas/{name}" in text})
    for name, model in wanted.items():
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        for inner, definition in schema.pop("$defs", {}).items():
            schemas.setdefault(inner, definition)
        schemas[name] = schema
    app.openapi_schema = document
    return document


class Watch:
    """A span and two measures a request, and headers that keep browsers from guessing."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        self.app = app
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        traffic = traffic_of(scope)
        parent = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"), None)
        began = time.perf_counter()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message.setdefault("headers", []).append((b"x-content-type-options", b"nosniff"))
            await send(message)

        with span(f"{scope['method']} /{self.service}", parent, SpanKind.SERVER) as opened:
            try:
                with traffic:
                    await self.app(scope, receive, watched)
            finally:
                route = getattr(scope.get("route"), "path", "unmatched")
                if opened.is_recording():
                    opened.update_name(f"{scope['method']} /{self.service}{route}")
                    opened.set_attribute("http.response.status_code", status)
                    if status >= 500:
                        opened.set_status(StatusCode.ERROR)
                told = {"service": self.service, "route": route, "method": scope["method"], "status": status}
                counter("pilotmesh.http.requests").add(1, told)
                histogram("pilotmesh.http.duration").record(time.perf_counter() - began, told)


def traffic_of(scope: Scope) -> AbstractContextManager[None]:
    """Counts a request that changes something among the commands of this process, for as long as it is entered."""
    parts = getattr(scope["app"].state, "parts", None)
    if parts is None or scope["method"] in ("GET", "HEAD", "OPTIONS"):
        return nullcontext()
    passing: AbstractContextManager[None] = parts.ground.traffic.passing()
    return passing
