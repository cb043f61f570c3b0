"""Composition root of the mesh service: relay, redactions, roster, heads, quarantine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI

from shared.bus.broker import asyncapi_document, make_broker
from shared.bus.news import subscribe_to_news
from shared.http.app import service_app
from shared.http.forgetting import router as forgetting_router
from shared.http.rebuilding import router as rebuilding_router
from shared.ledger.lease import Lease, replica_name
from shared.ledger.witness import Witness
from shared.ledger.work import Work
from shared.service import Worker, assemble, open_ground, running
from shared.settings import Settings
from shared.telemetry import start_telemetry

from . import api, heads
from .folds import RedactionFold
from .forgetting import Forgetting
from .hosting import Hosting
from .relay import Relay
from .subscribers import subscribe_to_nudges

NAME = "mesh"
DESCRIPTION = "Carries facts in and out of the node and says how it stands."
HEADS_EVERY_SECONDS = 5.0


def create_app(settings: Settings) -> FastAPI:
    start_telemetry(settings)
    broker = make_broker(settings, NAME)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        ground = await asyncio.to_thread(open_ground, settings)
        database = ground.database(NAME)
        work = Work(database["redactions"])
        parts = assemble(ground, NAME, broker, fold=RedactionFold(ground.store, work), writes=True)
        assert parts.ledger is not None
        witness = Witness(settings.home)
        forgetting = Forgetting(settings, work, asyncio.get_running_loop(), lambda: app.state.relay)

        seen: dict[str, tuple[int, int]] = {}

        def witness_heads() -> bool:
            tails = ground.store.tails()
            moved = [ledger for ledger, tail in tails.items() if seen.get(ledger) != tail]
            if moved:
                witness.remember(heads.signed_heads(ground.store, ground.keyring, ground.identity.mesh, moved))
                seen.update(tails)
            return False

        parts.add_reactor(Worker("redactions", forgetting.step))
        parts.workers.append(Worker("heads", witness_heads, HEADS_EVERY_SECONDS))
        app.state.parts = parts
        app.state.actors = ground.actors
        app.state.readiness = parts.readiness
        app.state.witness = witness
        app.state.hosting = Hosting(parts.ledger, ground.roster, ground.keyring, ground.actors, settings.home)
        async with running(parts):
            connection = await broker.connect()
            lease = Lease(database["leases"], "relay", replica_name(), settings.lease_seconds)
            relay = Relay(ground.store, ground.keyring, lease, connection, settings.poll_seconds)
            app.state.relay = relay
            task = asyncio.create_task(relay.run())
            await asyncio.to_thread(app.state.hosting.ensure_operator)
            try:
                loop = asyncio.get_running_loop()
                with ground.neighbours.listening(lambda told: loop.call_soon_threadsafe(relay.nudge, told)):
                    yield
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    app = service_app(
        NAME,
        settings,
        title="mesh",
        description=DESCRIPTION,
        routers=[api.router, forgetting_router, rebuilding_router],
        lifespan=lifespan,
        asyncapi=lambda: asyncapi_document(broker, NAME, DESCRIPTION),
    )
    app.state.broker = broker
    app.state.relay = None
    subscribe_to_news(broker, settings, NAME, lambda: app.state.parts.news)
    subscribe_to_nudges(broker, lambda: app.state.relay, lambda: app.state.parts.ground.neighbours)
    return app
