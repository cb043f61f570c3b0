"""HTTP of matching: proposals and answers to them, testbeds, what nobody can provide, why not, rules."""

from services.matching.api import answering, proposals, rules, testbeds

ROUTERS = (proposals.router, answering.router, testbeds.router, rules.router)

__all__ = ["ROUTERS"]
