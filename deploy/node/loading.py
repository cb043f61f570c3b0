"""The services by name, imported only when they are wanted."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from shared.settings import SERVICES, Settings

if TYPE_CHECKING:
    from starlette.applications import Starlette

Factory = Callable[[Settings], "Starlette"]

PAGES = "pages"
"""The pages for people are mounted at `/`, every other service under its own name."""


def load_services() -> dict[str, Factory]:
    """Every service's `create_app`, the pages for people last."""
    return {name: load_service(name) for name in (*SERVICES, PAGES)}


def load_service(name: str) -> Factory:
    factory: Factory = importlib.import_module(f"services.{name}.app").create_app
    return factory
