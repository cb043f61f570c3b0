"""One ASGI application out of several services: each under its path, their lifespans entered, health in one place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deploy.node.loading import PAGES

ANSWER_SECONDS = 3.0
"""A part that has not said within this time whether it is ready is not."""


def compose(
    apps: Mapping[str, Starlette],
    probes: Mapping[str, Callable[[], bool]] | None = None,
) -> Starlette:
    """The services of `apps` as one application with `/healthz` and `/readyz` for the whole.

    `probes` (name to a blocking check) are asked for `/readyz` besides the services. Lifespans of mounted
    applications are not run by Starlette; here they are entered in the order of `apps` and left in reverse.
    """
    probes = probes or {}

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for app in apps.values():
                await stack.enter_async_context(app.router.lifespan_context(app))
            yield

    async def healthz(_: Request) -> JSONResponse:
        return await _report("/healthz", apps, {})

    async def readyz(_: Request) -> JSONResponse:
        return await _report("/readyz", apps, probes)

    routes: list[BaseRoute] = [Route("/healthz", healthz), Route("/readyz", readyz)]
    routes += [Mount(f"/{name}", app) for name, app in apps.items() if name != PAGES]
    routes += [Mount("/", app) for name, app in apps.items() if name == PAGES]  # last: it takes every path
    return Starlette(routes=routes, lifespan=lifespan)


async def _report(path: str, apps: Mapping[str, ASGIApp], probes: Mapping[str, Callable[[], bool]]) -> JSONResponse:
    """200 when every part answers well, else 503; each part's own words in `parts`."""
    asked = {name: _ask(app, path) for name, app in apps.items()}
    asked |= {name: _probe(probe) for name, probe in probes.items()}
    answers = dict(zip(asked, await asyncio.gather(*asked.values()), strict=True))
    well = all(answer["ok"] for answer in answers.values())
    content = {"ok": well, "parts": answers}
    return JSONResponse(content, status_code=200 if well else 503, headers={"Cache-Control": "no-store"})


async def _ask(app: ASGIApp, path: str) -> dict[str, object]:
    try:
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://node") as client,
        ):
            answer = await client.get(path)
    except TimeoutError:
        return {"ok": False, "detail": f"no answer within {ANSWER_SECONDS:.0f} s"}
    except Exception as error:
        return {"ok": False, "detail": f"{type(error).__name__}: {error}"}
    said = answer.json() if answer.headers.get("content-type", "").endswith("json") else answer.text
    return {"ok": answer.is_success, "detail": said}


async def _probe(probe: Callable[[], bool]) -> dict[str, object]:
    ok = await asyncio.to_thread(probe)
    return {"ok": ok, "detail": "answers" if ok else "gives no answer"}


class EndStreams:
    """Ends open event streams when the process is to stop, so that clients come back elsewhere at once.

    An SSE answer never ends by itself, and a server that waits for it would not stop. Other requests are left to
    finish. The end is a proper one (last chunk sent), so that a client resumes with `Last-Event-ID`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._ending = False
        self._streams: set[asyncio.Task[object]] = set()

    def end(self) -> None:
        self._ending = True
        for task in self._streams:
            task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        task = asyncio.current_task()
        assert task is not None
        finished = False

        async def watching(message: Message) -> None:
            nonlocal finished
            finished = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)
            if message["type"] == "http.response.start" and _is_event_stream(message):
                self._streams.add(task)
                if self._ending:
                    task.cancel()

        try:
            await self._app(scope, receive, watching)
        except asyncio.CancelledError:
            if not self._ending or task not in self._streams:
                raise
            task.uncancel()
            if not finished:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._streams.discard(task)


def _is_event_stream(start: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in start.get("headers", ())
    )
