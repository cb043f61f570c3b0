"""Matching's rules: what a proposal binds, who may answer it, when a testbed forms, what follows from facts.

Pure: no clock, no database, no randomness. Commands and reactions answer a `Change`; the ledger makes it a fact.
"""

from services.matching.domain.change import Change, State

__all__ = ["Change", "State"]
