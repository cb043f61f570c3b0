"""Composition root of the notifier: journal, streams, webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from shared.bus.broker import asyncapi_document, make_broker
from shared.bus.news import subscribe_to_news
from shared.http.app import service_app
from shared.service import assemble, open_ground, running, use_database
from shared.settings import Settings
from shared.telemetry import start_telemetry

from .api import events
from .folds import JournalFold
from .journal import Journal
from .memory import CircleBook, Memory
from .stream import Streams
from .subscribers import Watch, subscribe_to_nudges
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
        await asyncio.to_thread(journal.open)
        await asyncio.to_thread(memory.open)
        await asyncio.to_thread(tail.open, asyncio.get_running_loop())
        fold = JournalFold(journal, memory, circles, tail)
        parts = assemble(ground, NAME, broker, fold=fold, writes=False)
        assert parts.follower is not None
        watch = Watch(parts.follower, tail)
        parts.workers.append(watch.worker)
        app.state.parts = parts
        app.state.actors = ground.actors
        app.state.readiness = parts.readiness
        app.state.journal, app.state.tail, app.state.circles = journal, tail, circles
        app.state.streams = Streams(journal, tail, circles, ground.actors.by_token)
        app.state.watch = watch
        async with running(parts):
            yield

    app = service_app(
        NAME,
        settings,
        title="notifier",
        description=DESCRIPTION,
        routers=[events.router],
        lifespan=lifespan,
        asyncapi=lambda: asyncapi_document(broker, NAME, DESCRIPTION),
    )
    app.state.broker = broker
    app.state.watch = None
    subscribe_to_news(broker, settings, NAME, lambda: app.state.parts.news)
    subscribe_to_nudges(broker, lambda: app.state.watch)
    return app
