"""HTTP of the registry: one router a kind of record."""

from services.registry.api import agencies, capabilities, pilots, vocabulary

ROUTERS = (agencies.router, pilots.router, capabilities.router, vocabulary.router)

__all__ = ["ROUTERS"]
