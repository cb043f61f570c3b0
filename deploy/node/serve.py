"""Runs one service alone, for a container: `python -m deploy.node.serve SERVICE`.

Paths are those of the whole node (`/registry/v1/…`), so that a proxy in front needs no rewriting. MongoDB and NATS
come from the settings and are provisioned beforehand (`python -m deploy.node.provision`).
"""

from __future__ import annotations

import argparse
import logging
import sys

from deploy.node import web
from deploy.node.composition import compose
from deploy.node.edges import bind, signals_as_interrupts
from deploy.node.home import NodeError
from deploy.node.loading import PAGES, load_service
from deploy.node.logs import configure_logging
from shared.settings import SERVICES, Settings

logger = logging.getLogger(__name__)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run one service of a node.")
    parser.add_argument("service", choices=[*SERVICES, PAGES])
    service: str = parser.parse_args().service
    settings = Settings()
    configure_logging(settings.log_level, [logging.StreamHandler()])
    if settings.mongodb_uri is None or settings.nats_url is None:
        logger.error("set PILOTMESH_MONGODB_URI and PILOTMESH_NATS_URL: a service alone starts no servers")
        return 2
    try:
        with signals_as_interrupts() as hand_over, bind(settings) as bound:
            app = compose({service: load_service(service)(settings)})
            hand_over()
            web.serve(app, bound, settings, lambda: logger.info("%s listens on port %d", service, settings.port))
    except NodeError as error:
        logger.error("%s", error)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
