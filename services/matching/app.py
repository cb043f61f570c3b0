"""Composition root of matching: proposals, responses, testbeds, and what nobody can provide."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.matching import documents
from services.matching.api import ROUTERS
from services.matching.following import Following
from services.matching.memory import Memory
from services.matching.reactions import Reactions
from shared.bus.broker import asyncapi_document, make_broker
from shared.bus.news import subscribe_to_news
from shared.http.app import service_app
from shared.http.forgetting import router as forgetting_router
from shared.http.rebuilding import router as rebuilding_router
from shared.ledger.folding import RowsFold
from shared.ledger.work import Work
from shared.service import Parts, Worker, assemble, open_ground, running, use_database
from shared.settings import Settings
from shared.telemetry import start_telemetry

NAME = documents.NAME
DESCRIPTION = "Who should work together, why, why not, and what nobody can provide."
GATHER_SECONDS = 0.05
"""Own facts are folded before they are acknowledged; others' can wait that long."""
FOLD_VERSION = 3


def create_app(settings: Settings) -> FastAPI:
    start_telemetry(settings)
    broker = make_broker(settings, NAME)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        ground = await asyncio.to_thread(open_ground, settings)
        use_database(settings, NAME)
        rows = documents.matching_rows()
        await asyncio.to_thread(rows.ensure_indexes)
        work = Work(ground.database(NAME)["work"])
        assembled: list[Parts] = []
        memory = Memory(
            settings, leads=lambda: bool(assembled and assembled[0].follower and assembled[0].follower.leads)
        )
        reactions = Reactions(work, ground.keyring, memory)
        fold = RowsFold(NAME, FOLD_VERSION, rows, services=("registry", "matching"), touched=reactions.touched)
        parts = assemble(ground, NAME, broker, fold=fold, writes=True, inline=True, gather=GATHER_SECONDS)
        assembled.append(parts)
        assert parts.ledger is not None
        reactions.ledger = parts.ledger
        reactions.following = Following(parts.ledger, memory, work)
        reactions.gives_way = lambda: ground.traffic.is_rushing
        parts.add_reactor(Worker("proposing", reactions.step))
        app.state.parts = parts
        app.state.memory = memory
        app.state.following = reactions.following
        app.state.actors = ground.actors
        app.state.readiness = parts.readiness
        async with running(parts):
            yield

    app = service_app(
        NAME,
        settings,
        title="matching",
        description=DESCRIPTION,
        routers=[*ROUTERS, forgetting_router, rebuilding_router],
        lifespan=lifespan,
        asyncapi=lambda: asyncapi_document(broker, NAME, DESCRIPTION),
    )
    app.state.broker = broker
    subscribe_to_news(broker, settings, NAME, lambda: app.state.parts.news)
    return app
