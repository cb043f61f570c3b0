"""The FastStream broker of a service: one login, its own inbox, and no giving up on reconnecting."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from faststream.nats import NatsBroker
from faststream.security import SASLPlaintext
from faststream.specification import AsyncAPI

from shared.http.app import VERSION
from shared.settings import Settings

if TYPE_CHECKING:
    from faststream.nats.opentelemetry import NatsTelemetryMiddleware

log = logging.getLogger(__name__)


async def _say(error: Exception) -> None:
    log.warning("NATS: %s", error)


def inbox_of(settings: Settings, service: str) -> str:
    """The prefix of the service's own inboxes: nobody else may listen there."""
    user, _ = settings.nats_login(service)
    return f"_INBOX.{user or service}"


def make_broker(settings: Settings, service: str) -> NatsBroker:
    """Not yet connected: `await broker.start()` in the app's lifespan."""
    user, password = settings.nats_login(service)
    security = None if user is None else SASLPlaintext(user, password or "", use_ssl=False)
    return NatsBroker(
        settings.nats_servers,
        name=f"pilotmesh-{service}",
        security=security,
        inbox_prefix=inbox_of(settings, service),
        specification_url="nats://nats:4222",
        max_reconnect_attempts=-1,
        reconnect_time_wait=1,
        connect_timeout=5,
        error_cb=_say,
        logger=None,
        apply_types=False,  # handlers take messages as they are: resolving types costs a thread's turn per message
        middlewares=_traced() if settings.otlp_endpoint else (),
    )


def _traced() -> tuple[NatsTelemetryMiddleware]:
    """Spans for every message; where nothing records them they would only cost time."""
    from faststream.nats.opentelemetry import NatsTelemetryMiddleware  # noqa: PLC0415 (loaded where it is used)

    return (NatsTelemetryMiddleware(),)


def asyncapi_document(broker: NatsBroker, service: str, description: str) -> str:
    """AsyncAPI 3 of what the service reads from and writes to NATS, as JSON."""
    document = AsyncAPI(broker, title=f"PilotMesh {service}", version=VERSION, description=description)
    return document.to_specification().to_json()
