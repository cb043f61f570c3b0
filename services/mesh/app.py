"""Composition root of the mesh service: relay, redactions, roster, heads, quarantine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from fastapi import FastAPI

from shared.bus.broker import asyncapi_document, make_broker
from shared.bus.news import subscribe_to_news
from shared.bus.peers import takes_links
from shared.http.app import service_app
from shared.http.forgetting import router as forgetting_router
from shared.http.rebuilding import router as rebuilding_router
from shared.ledger.lease import Lease, replica_name
from shared.ledger.witness import Witness
from shared.ledger.work import Work
from shared.service import Ground, Parts, Worker, assemble, open_ground, running
from shared.settings import SERVICES, Settings
from shared.telemetry import start_telemetry

from . import api, api_forgetting, api_hubs, api_intake, api_keys, api_members, api_moving, api_status
from .allowance import OPEN_AT_ONCE, OPEN_PER_SECOND, Allowance
from .circulating import Circulation
from .confirming import Confirmations, Confirming
from .exchange import Exchange, NodeSide, exchanging
from .folds import RedactionFold
from .forgetting import Completing, Forgetting
from .heads import HeadsKeeper
from .hosting import Hosting
from .hubs import Hubs
from .joining import Joining
from .keys import KeyCare
from .members import LinkFile, RosterWriter
from .moving import Moving
from .relay import Relay
from .subscribers import subscribe_to_nudges

NAME = "mesh"
DESCRIPTION = "Carries facts in and out of the node and says how it stands."
HEADS_EVERY_SECONDS = 5.0
KEYS_EVERY_SECONDS = 2.0


def create_app(settings: Settings) -> FastAPI:
    start_telemetry(settings)
    broker = make_broker(settings, NAME)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        ground = await asyncio.to_thread(open_ground, settings)
        database = ground.database(NAME)
        work = Work(database["redactions"])
        fold = RedactionFold(ground.store, work, Confirmations(database), database["waiting"])
        parts = assemble(ground, NAME, broker, fold=fold, writes=True, gather=0.25)
        assert parts.ledger is not None
        witness = Witness(settings.home)
        loop = asyncio.get_running_loop()
        add_forgetting(app, parts, work)
        parts.workers.append(
            Worker(
                "heads",
                HeadsKeeper(ground.store, ground.keyring, ground.identity.mesh, witness).step,
                HEADS_EVERY_SECONDS,
            )
        )
        app.state.parts = parts
        app.state.actors = ground.actors
        app.state.readiness = parts.readiness
        app.state.witness = witness
        writer = RosterWriter(parts.ledger, ground.keyring, ground.identity, takes_links=takes_links(settings.home))
        settle_members(app, settings, ground, writer)
        app.state.keys = care_of_keys(app, ground, parts, writer)
        app.state.moving = Moving(writer, ground.roster, ground.identity, settings, app.state.keys.last_word)
        parts.workers += [
            Worker("keys", app.state.keys.step, KEYS_EVERY_SECONDS),
            Worker("homes", ground.homes.step, 1.0),
            *care_of_links(app, ground, settings),
        ]
        async with running(parts):
            connection = await broker.connect()
            lease = Lease(database["leases"], "relay", replica_name(), settings.lease_seconds)
            side = NodeSide(
                settings,
                ground.store,
                ground.identity,
                ground.roster,
                ground.keyring,
                parts.quarantine,
                database,
                parts.nudge,
            )
            relay = Relay(
                ground.store,
                ground.keyring,
                lease,
                connection,
                settings.poll_seconds,
                circulation=Circulation(settings, ground.store, ground.roster, "CIRCLES") if side.has_peers else None,
            )
            app.state.relay = relay
            task = asyncio.create_task(relay.run())
            await asyncio.to_thread(app.state.hosting.ensure_operator)
            await asyncio.to_thread(app.state.hosting.ensure_admins)
            try:
                async with AsyncExitStack() as stack:
                    if side.has_peers:
                        app.state.exchange = await stack.enter_async_context(exchanging(side))
                    stack.enter_context(
                        ground.neighbours.listening_ahead(lambda told: loop.call_soon_threadsafe(heard, app, told))
                    )
                    yield
            finally:
                app.state.exchange = None
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    app = service_app(
        NAME,
        settings,
        title="mesh",
        description=DESCRIPTION,
        routers=[
            api.router,
            api_status.router,
            api_members.router,
            api_hubs.router,
            api_moving.router,
            api_keys.router,
            api_intake.router,
            api_forgetting.router,
            forgetting_router,
            rebuilding_router,
        ],
        lifespan=lifespan,
        asyncapi=lambda: asyncapi_document(broker, NAME, DESCRIPTION),
    )
    app.state.broker = broker
    app.state.relay = None
    app.state.exchange = None
    app.state.open_to_anyone = Allowance(OPEN_PER_SECOND, OPEN_AT_ONCE)
    subscribe_to_news(broker, settings, NAME, lambda: app.state.parts.news)
    subscribe_to_nudges(broker, lambda told: heard(app, told), lambda: app.state.parts.ground.neighbours)
    return app


def settle_members(app: FastAPI, settings: Settings, ground: Ground, writer: RosterWriter) -> None:
    """Who is hosted here, and who joins."""
    app.state.roster_writer = writer
    app.state.hosting = Hosting(writer, ground.keyring, ground.actors, settings.home, ground.identity.domain)
    app.state.joining = Joining(writer, ground.database("node")["invites"], ground.identity, settings)


def add_forgetting(app: FastAPI, parts: Parts, work: Work) -> None:
    """What acts on redactions: first in the streams, then the word that nothing is left."""
    ground = parts.ground
    database, quarantine = ground.database(NAME), parts.quarantine
    confirming = Confirming(
        ground.store,
        ground.keyring,
        ground.identity,
        ground.roster,
        ground.settings.nats_domain,
        database,
        quarantine,
    )
    app.state.confirming = confirming
    loop, cursors = asyncio.get_running_loop(), [ground.database(service)["cursors"] for service in SERVICES]
    forgetting = Forgetting(ground.settings, work, loop, lambda: app.state.relay, lambda: forwarder_of(app))
    completing = Completing(confirming, ground.store, work, database["waiting"], cursors)
    parts.add_reactor(Worker("redactions", forgetting.step))
    parts.add_reactor(Worker("confirmations", completing.step))


def care_of_keys(app: FastAPI, ground: Ground, parts: Parts, writer: RosterWriter) -> KeyCare:
    return KeyCare(
        ground.store,
        ground.identity,
        ground.roster,
        ground.keyring,
        writer,
        leads=lambda: parts.follower is not None and parts.follower.leads,
        reviews=lambda: app.state.exchange is not None,
        nudge=parts.nudge,
    )


def care_of_links(app: FastAPI, ground: Ground, settings: Settings) -> list[Worker]:
    """What a node that takes links keeps in step with the roster: who may link, and its own card. Each by itself: a
    card that cannot be signed holds up no suspension."""
    hubs = Hubs(settings, ground.store, ground.identity, ground.roster, ground.keyring)
    links = LinkFile(ground.roster, settings.home, settings.nats_domain)
    app.state.hubs = hubs
    return [Worker("links", links.step, 0.5), Worker("card", hubs.step, 0.5)]


def heard(app: FastAPI, ledgers: Collection[str]) -> None:
    """Somebody on this node has committed facts in these ledgers. Called in the loop."""
    for part in (app.state.relay, app.state.exchange):
        if part is not None:
            part.nudge(ledgers)


def forwarder_of(app: FastAPI) -> Relay | None:
    exchange: Exchange | None = app.state.exchange
    return None if exchange is None else exchange.forwarder
