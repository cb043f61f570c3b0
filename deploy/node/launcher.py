"""A whole node in one call: its servers, its streams, its services behind one address."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from deploy.node.edges import bind, signals_as_interrupts
from deploy.node.embedded import EmbeddedServers
from deploy.node.home import Home, NodeError
from deploy.node.loading import Factory, load_services
from deploy.node.logs import log_to
from shared.settings import Settings

logger = logging.getLogger(__name__)


def run_node(
    settings: Settings,
    *,
    on_ready: Callable[[Settings], None] = lambda _: None,
    load: Callable[[], Mapping[str, Factory]] | None = None,
) -> None:
    """Runs a node until SIGINT, SIGTERM or SIGHUP, then stops it in order and returns. Call it in the main thread.

    Servers without an address in `settings` are started in its home. `on_ready` gets the settings with the
    addresses in use, in a thread of its own, once the node answers; should it raise, the node stops and the same is
    raised here. `load` names the services (default: all of them). Raises `NodeError` when the node cannot start.
    """
    with signals_as_interrupts() as hand_over:
        try:
            _run(settings, on_ready, load or load_services, hand_over)
        except KeyboardInterrupt:
            logger.info("stopped before the node was ready")


def _run(
    settings: Settings,
    on_ready: Callable[[Settings], None],
    load: Callable[[], Mapping[str, Factory]],
    hand_over: Callable[[], None],
) -> None:
    with bind(settings) as bound:  # first: a taken port is found before anything is started
        settings = settings.model_copy(
            update={"home": settings.home.expanduser().absolute(), "port": bound.getsockname()[1]}
        )
        home = Home(settings.home)
        servers = EmbeddedServers(settings, home)
        keeper = None
        try:
            log_to(home.logs, settings.log_level)
            servers.start()
            # While they start, what takes a second to import: that is why these stand here and not above.
            from deploy.node import web  # noqa: PLC0415
            from deploy.node.composition import compose  # noqa: PLC0415
            from shared.ledger.identity import ensure_identity  # noqa: PLC0415

            factories = load()
            settings = servers.wait_ready()
            ensure_identity(settings.home)
            provision_node(settings)
            if servers.runs_nats:
                from deploy.nats.linking import LinkKeeper  # noqa: PLC0415

                keeper = LinkKeeper(settings)
                keeper.start()
            apps = {name: create(settings) for name, create in factories.items()}
            node = compose(apps, {child.name: child.is_ready for child in servers.children})
            hand_over()

            def announce() -> None:
                home.note(url=settings.url)
                on_ready(settings)

            web.serve(node, bound, settings, announce)
        finally:
            if keeper is not None:
                keeper.stop()
            servers.stop()
            home.close()


def provision_node(settings: Settings, *, patience_seconds: float = 10) -> list[str]:
    """Streams and consumers as they should be; the changes that took. `NodeError` when NATS cannot be had."""
    import nats.errors  # noqa: PLC0415 (as above)

    from deploy.nats.provision import provision  # noqa: PLC0415

    try:
        return asyncio.run(provision(settings, patience_seconds=patience_seconds))
    except (nats.errors.Error, OSError) as error:
        raise NodeError(f"NATS at {settings.nats_url} could not be provisioned: {error!r}") from error
