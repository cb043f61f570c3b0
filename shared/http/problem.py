"""Refusals on the wire: `application/problem+json` (RFC 9457), every fault with its field, all at once."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from pymongo.errors import PyMongoError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from shared.http.addresses import with_address
from shared.problems import Fault, Invalid, Misdirected, Problem

log = logging.getLogger(__name__)

TYPE_BASE = "https://pilotmesh.org/problems/"
MEDIA_TYPE = "application/problem+json"


class FaultOnWire(BaseModel):
    """One thing wrong in one place."""

    field: str = Field(description="Path in the posted document, such as `needs[0].code`; empty for the whole.")
    code: str = Field(description="A stable word for programs.")
    detail: str = Field(description="What was found and what to do.")


class ProblemOnWire(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    errors: list[FaultOnWire] = Field(default_factory=list)


def problem_document(problem: Problem, instance: str | None = None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "type": TYPE_BASE + problem.slug,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
    }
    if instance:
        document["instance"] = instance
    if problem.faults:
        document["errors"] = [{"field": f.field, "code": f.code, "detail": f.detail} for f in problem.faults]
    document.update({key: value for key, value in problem.more.items() if value is not None})
    return document


def problem_answer(problem: Problem, request: Request | None = None) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else {}
    if problem.status in (429, 503):
        headers["Retry-After"] = str(problem.more.get("retry_after", 2))
    path = None if request is None else request.scope.get("root_path", "") + _path(request)
    return JSONResponse(problem_document(problem, path), problem.status, headers=headers, media_type=MEDIA_TYPE)


def _path(request: Request) -> str:
    path, root = request.scope["path"], request.scope.get("root_path", "")
    return str(path[len(root) :] if root and path.startswith(root) else path)


def field_path(location: tuple[int | str, ...]) -> str:
    """`("body", "needs", 0, "code")` → `needs[0].code`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def faults_of(error: RequestValidationError) -> list[Fault]:
    faults = []
    for one in error.errors():
        location = tuple(one["loc"])
        faults.append(Fault(field_path(location[1:] or location), str(one["type"]), f"{location[0]}: {one['msg']}"))
    return faults


def install_problem_handlers(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def said(request: Request, problem: Exception) -> Response:
        assert isinstance(problem, Problem)
        if isinstance(problem, Misdirected):
            return problem_answer(await run_in_threadpool(with_address, problem, request), request)
        return problem_answer(problem, request)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem_answer(Invalid(faults_of(error)), request)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        problem = Problem(str(error.detail))
        problem.status, problem.slug, problem.title = error.status_code, f"http-{error.status_code}", str(error.detail)
        answer = problem_answer(problem, request)
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(PyMongoError)
    async def store_away(request: Request, error: Exception) -> Response:
        log.warning("store unreachable while answering %s: %s", request.url.path, error)
        problem = Problem("The node's database cannot be reached just now. Nothing was changed; try again.")
        problem.status, problem.slug, problem.title = 503, "unavailable", "A part that this needs is not ready"
        return problem_answer(problem, request)

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        log.error("unforeseen while answering %s %s", request.method, request.url.path, exc_info=error)
        problem = Problem("This is a fault of the software, not of your request. It is in the node's log.")
        return problem_answer(problem, request)


PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A problem (RFC 9457)",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}
"""For `responses=` of routes: every refusal is a problem document."""
