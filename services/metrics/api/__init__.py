"""HTTP of metrics: plans, observations, and what follows from them."""

from services.metrics.api import observations, plans, results

ROUTERS = (plans.router, observations.router, results.router)

__all__ = ["ROUTERS"]
