"""A node with two small services in place of the real ones, to be run as a process: `python -m tests.node.small_node`.

What is tried with it is the ground: servers, mounting, health, signals. `registry` keeps pilots in the database and
has a stream without end and a slow answer; `pages` answers at `/`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import JSONResponse, StreamingResponse
from pymongo import MongoClient, WriteConcern

from deploy.node.home import NodeError
from deploy.node.launcher import run_node
from deploy.node.loading import Factory
from shared.settings import Settings


def registry(settings: Settings) -> FastAPI:
    client: MongoClient[dict[str, object]] = MongoClient(settings.mongodb_uri, serverSelectionTimeoutMS=5000)
    pilots = client["small"].get_collection("pilots", write_concern=WriteConcern("majority", j=True))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        say("registry began")
        yield
        client.close()
        say("registry ended")

    app = FastAPI(lifespan=lifespan)

    @app.post("/v1/pilots/{name}")
    def register(name: str) -> dict[str, str]:
        pilots.insert_one({"name": name})
        return {"name": name}

    @app.get("/v1/pilots")
    def listed() -> list[str]:
        return sorted(str(pilot["name"]) for pilot in pilots.find())

    @app.get("/v1/stream")
    async def stream() -> StreamingResponse:
        async def events() -> AsyncIterator[str]:
            yield "data: first\n\n"
            await asyncio.Event().wait()

        return StreamingResponse(events(), media_type="text/event-stream")

    @app.get("/v1/slow")
    async def slow() -> str:
        say("slow answer began")
        await asyncio.sleep(1)
        return "finished"

    @app.get("/readyz")
    def readyz() -> JSONResponse:
        return JSONResponse({"service": "registry"})

    @app.get("/healthz")
    def healthz() -> JSONResponse:
        return JSONResponse({"service": "registry"})

    return app


def pages(settings: Settings) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        say("pages began")
        yield
        say("pages ended")

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    def start() -> str:
        return "my work"

    @app.get("/readyz")
    def readyz() -> JSONResponse:
        return JSONResponse({"service": "pages"})

    @app.get("/healthz")
    def healthz() -> JSONResponse:
        return JSONResponse({"service": "pages"})

    return app


def load() -> dict[str, Factory]:
    return {"registry": registry, "pages": pages}


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        run_node(Settings(), load=load, on_ready=lambda settings: say(f"ready at {settings.url}"))
    except NodeError as error:
        say(f"refused: {error}")
        sys.exit(1)
    say("stopped")
