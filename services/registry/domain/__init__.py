"""The registry's rules: commands in, changes out. No I/O, no clock, no randomness of their own."""

from services.registry.domain.actors import ACTS, Actor, may, may_read
from services.registry.domain.agencies import (
    register_agency,
    register_office,
    revise_agency,
    revise_office,
    withdraw_agency,
    withdraw_office,
)
from services.registry.domain.capabilities import (
    confirm_capability,
    register_capability,
    revise_capability,
    withdraw_capability,
)
from services.registry.domain.change import Change, State, withdrawal_after
from services.registry.domain.life import advance_pilot, follow_testbed, missing_for, next_lives
from services.registry.domain.pilots import register_pilot, revise_pilot, withdraw_pilot
from services.registry.domain.screenings import (
    Standing,
    follow_screening,
    screen_pilot,
    screening_id,
    standing_of,
)
from services.registry.records.findings import Notice

__all__ = [
    "ACTS",
    "Actor",
    "Change",
    "Notice",
    "Standing",
    "State",
    "advance_pilot",
    "confirm_capability",
    "follow_screening",
    "follow_testbed",
    "may",
    "may_read",
    "missing_for",
    "next_lives",
    "register_agency",
    "register_capability",
    "register_office",
    "register_pilot",
    "revise_agency",
    "revise_capability",
    "revise_office",
    "revise_pilot",
    "screen_pilot",
    "screening_id",
    "standing_of",
    "withdraw_agency",
    "withdraw_capability",
    "withdraw_office",
    "withdraw_pilot",
    "withdrawal_after",
]
