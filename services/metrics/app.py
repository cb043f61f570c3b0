"""Composition root of metrics: plans, observations, results, reach, published progress."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.metrics import documents
from services.metrics.api import ROUTERS
from services.metrics.reactions import Reactions
from shared.bus.broker import asyncapi_document, make_broker
from shared.bus.news import subscribe_to_news
from shared.http.app import service_app
from shared.http.forgetting import router as forgetting_router
from shared.http.rebuilding import router as rebuilding_router
from shared.ledger.folding import RowsFold
from shared.ledger.work import Work
from shared.service import Worker, assemble, open_ground, running, use_database
from shared.settings import Settings
from shared.telemetry import start_telemetry

NAME = documents.NAME
DESCRIPTION = "What changed, for whom, how many people were reached, and how sure that is."
GATHER_SECONDS = 0.05
"""Own facts are folded before they are acknowledged; others' can wait that long."""
FOLD_VERSION = 2


def create_app(settings: Settings) -> FastAPI:
    start_telemetry(settings)
    broker = make_broker(settings, NAME)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        ground = await asyncio.to_thread(open_ground, settings)
        use_database(settings, NAME)
        rows = documents.metrics_rows()
        await asyncio.to_thread(rows.ensure_indexes)
        work = Work(ground.database(NAME)["work"])
        reactions = Reactions(work, ground.keyring, settings.small_cell)
        fold = RowsFold(NAME, FOLD_VERSION, rows, services=("registry", "metrics"), touched=reactions.touched)
        fold.rebuilt = reactions.touch_all
        parts = assemble(ground, NAME, broker, fold=fold, writes=True, inline=True, gather=GATHER_SECONDS)
        assert parts.ledger is not None
        reactions.ledger = parts.ledger
        parts.add_reactor(Worker("reactions", reactions.step))
        app.state.parts = parts
        app.state.reactions = reactions
        app.state.actors = ground.actors
        app.state.readiness = parts.readiness
        async with running(parts):
            yield

    app = service_app(
        NAME,
        settings,
        title="metrics",
        description=DESCRIPTION,
        routers=[*ROUTERS, forgetting_router, rebuilding_router],
        lifespan=lifespan,
        asyncapi=lambda: asyncapi_document(broker, NAME, DESCRIPTION),
    )
    app.state.broker = broker
    subscribe_to_news(broker, settings, NAME, lambda: app.state.parts.news)
    return app
