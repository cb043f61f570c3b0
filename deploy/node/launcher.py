"""A whole node in one call: its servers, its streams, its services behind one address."""

from __future__ import annotations

import asyncio
import importlib
import logging
import logging.handlers
from collections.abc import Callable, Mapping, Sequence

import nats.errors
from starlette.applications import Starlette

from deploy.nats.provision import provision
from deploy.node import web
from deploy.node.composition import PAGES, compose
from deploy.node.embedded import EmbeddedServers
from deploy.node.home import Home, NodeError
from shared.ledger.identity import ensure_identity
from shared.settings import SERVICES, Settings

logger = logging.getLogger(__name__)

Factory = Callable[[Settings], Starlette]

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


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
    with web.signals_as_interrupts() as hand_over:
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
    with web.bind(settings) as bound:  # first: a taken port is found before anything is started
        settings = settings.model_copy(
            update={"home": settings.home.expanduser().absolute(), "port": bound.getsockname()[1]}
        )
        home = Home(settings.home)
        servers = EmbeddedServers(settings, home)
        try:
            log_to(home, settings.log_level)
            servers.start()
            factories = load()  # takes as long as the servers take to start
            settings = servers.wait_ready()
            ensure_identity(settings.home)
            try:
                asyncio.run(provision(settings))
            except nats.errors.Error as error:
                raise NodeError(f"NATS at {settings.nats_url} could not be provisioned: {error!r}") from error
            apps = {name: create(settings) for name, create in factories.items()}
            node = compose(apps, {child.name: child.is_ready for child in servers.children})
            hand_over()

            def announce() -> None:
                home.note(url=settings.url)
                on_ready(settings)

            web.serve(node, bound, settings, announce)
        finally:
            servers.stop()
            home.close()


def load_services() -> dict[str, Factory]:
    """Every service's `create_app`, the pages for people last."""
    return {name: load_service(name) for name in (*SERVICES, PAGES)}


def load_service(name: str) -> Factory:
    factory: Factory = importlib.import_module(f"services.{name}.app").create_app
    return factory


def log_to(home: Home, level: str) -> None:
    """Everything from `level` up goes to `<home>/logs/node.log`, warnings also to the terminal."""
    file = logging.handlers.RotatingFileHandler(home.logs / "node.log", maxBytes=16 * 2**20, backupCount=2)
    terminal = logging.StreamHandler()
    terminal.setLevel(logging.WARNING)
    configure_logging(level, [file, terminal])


def configure_logging(level: str, handlers: Sequence[logging.Handler]) -> None:
    """One form for every process's log; libraries that report each request speak from warnings up."""
    logging.basicConfig(level=level.upper(), format=LOG_FORMAT, handlers=handlers, force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
