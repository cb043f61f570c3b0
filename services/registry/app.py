"""Composition root of the registry: agencies, offices, pilots, sites, capabilities, screenings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.registry import documents
from services.registry.api import ROUTERS
from services.registry.gates import Gates
from services.registry.reactions import Reactions
from shared.bus.broker import asyncapi_document, make_broker
from shared.bus.news import subscribe_to_news
from shared.facts.fact import Fact
from shared.http.app import service_app
from shared.http.forgetting import router as forgetting_router
from shared.http.rebuilding import router as rebuilding_router
from shared.ledger.folding import RowsFold
from shared.ledger.rows import Key, Row
from shared.ledger.work import Work
from shared.service import Worker, assemble, open_ground, running, use_database
from shared.settings import Settings
from shared.telemetry import start_telemetry

NAME = documents.NAME
DESCRIPTION = "Who wants to do what, where and with what; and whether it is fit to start."
GATHER_SECONDS = 0.1
"""Own facts are folded before they are acknowledged; others' can wait that long."""
FOLD_VERSION = 2


def create_app(settings: Settings) -> FastAPI:
    start_telemetry(settings)
    broker = make_broker(settings, NAME)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        ground = await asyncio.to_thread(open_ground, settings)
        use_database(settings, NAME)
        rows = documents.registry_rows()
        await asyncio.to_thread(rows.ensure_indexes)
        work = Work(ground.database(NAME)["work"])
        reactions = Reactions(work, ground.keyring)
        gates = Gates(documents.owned)

        def touched(changed: Mapping[Key, Row], facts: Sequence[Fact]) -> None:
            gates.notice(changed)
            reactions.touched(changed, facts)

        fold = RowsFold(NAME, FOLD_VERSION, rows, services=("registry", "matching"), touched=touched)
        parts = assemble(ground, NAME, broker, fold=fold, writes=True, inline=True, gather=GATHER_SECONDS)
        assert parts.ledger is not None
        reactions.ledger = parts.ledger
        parts.add_reactor(Worker("reactions", reactions.step))
        app.state.parts = parts
        app.state.gates = gates
        app.state.actors = ground.actors
        app.state.readiness = parts.readiness
        async with running(parts):
            yield

    app = service_app(
        NAME,
        settings,
        title="registry",
        description=DESCRIPTION,
        routers=[*ROUTERS, forgetting_router, rebuilding_router],
        lifespan=lifespan,
        asyncapi=lambda: asyncapi_document(broker, NAME, DESCRIPTION),
    )
    app.state.broker = broker
    subscribe_to_news(broker, settings, NAME, lambda: app.state.parts.news)
    return app
