"""Composition root of the notifier: journal, streams, webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI

from shared.bus.broker import asyncapi_document, make_broker
from shared.bus.news import subscribe_to_news
from shared.http.app import VERSION, service_app
from shared.http.rebuilding import router as rebuilding_router
from shared.ledger.lease import replica_name
from shared.service import Worker, assemble, open_ground, running, use_database
from shared.settings import Settings
from shared.telemetry import start_telemetry

from . import documents
from .api import deliveries, events, subscriptions
from .channels.webhook import WebhookClient
from .folds import JournalFold
from .journal import Journal
from .memory import CircleBook, Memory
from .planning import Planner
from .records import Deliveries, Subscriptions
from .sending import Courier
from .stream import Streams
from .subscribers import Watch, WatchedNews
from .tail import Tail

NAME = "notifier"
DESCRIPTION = "Tells people and systems what happens, and can prove that it did."


def create_app(settings: Settings) -> FastAPI:
    start_telemetry(settings)
    broker = make_broker(settings, NAME)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        ground = await asyncio.to_thread(open_ground, settings)
        await asyncio.to_thread(use_database, settings, NAME)
        database = ground.database(NAME)
        journal = Journal(database, ground.store)
        memory, circles = Memory(database), CircleBook(database)
        tail = Tail(journal)
        for open_part in (journal.open, memory.open, documents.ensure_indexes):
            await asyncio.to_thread(open_part)
        await asyncio.to_thread(tail.open, asyncio.get_running_loop())
        parts = assemble(ground, NAME, broker, fold=JournalFold(journal, memory, circles, tail), writes=False)
        follower = parts.follower
        assert follower is not None

        subscribed, delivered = Subscriptions(), Deliveries(replica_name())
        client = WebhookClient(allow_private=settings.webhook_allow_private, user_agent=f"PilotMesh/{VERSION}")
        courier = Courier(journal, subscribed, delivered, circles, client, lambda: follower.leads)
        mesh = ground.identity.mesh
        planner = Planner(database, journal, tail, subscribed, delivered, circles, mesh, courier.wake)
        watch = Watch(follower, tail)
        parts.workers.append(watch.worker)
        parts.news = WatchedNews(ground.store, parts.quarantine, follower, ground.neighbours, watch)
        parts.add_reactor(Worker("planner", planner.step))

        app.state.parts = parts
        app.state.actors = ground.actors
        app.state.readiness = lambda: {**parts.readiness(), "courier": courier.trouble}
        app.state.mesh = mesh
        app.state.journal, app.state.tail, app.state.circles = journal, tail, circles
        app.state.streams = Streams(journal, tail, circles, ground.actors.by_token)
        app.state.subscriptions, app.state.deliveries, app.state.courier = subscribed, delivered, courier
        async with running(parts):
            sending = asyncio.create_task(courier.run())
            try:
                yield
            finally:
                sending.cancel()
                with suppress(asyncio.CancelledError):
                    await sending
                await client.close()

    app = service_app(
        NAME,
        settings,
        title="notifier",
        description=DESCRIPTION,
        routers=[events.router, subscriptions.router, deliveries.router, rebuilding_router],
        lifespan=lifespan,
        asyncapi=lambda: asyncapi_document(broker, NAME, DESCRIPTION),
    )
    app.state.broker = broker
    subscribe_to_news(broker, settings, NAME, lambda: app.state.parts.news)
    return app
