"""A proposal of a pilot with two essential needs and one that would be nice, and people's answers to it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from services.matching.domain.binding import hash_of
from services.matching.domain.standing import Answer
from shared.facts.fact import Rest

NOW = datetime(2027, 1, 10, 12, tzinfo=UTC)
LATER = datetime(2027, 3, 1, tzinfo=UTC)
DEADLINE = "2027-01-31T12:00:00.000000Z"
UN = frozenset({"wfp", "fao", "who", "un-women"})

State = dict[str, Any]


def is_un(agency: str) -> bool:
    return agency in UN


def cover(need: str, capability: str, units: float = 1) -> State:
    return {"need": need, "capability": capability, "units": units}


def proposal(**more: Any) -> State:
    state: State = {
        "id": "p1",
        "lead": "wfp",
        "pilot": "pilot-1",
        "pilots": ["pilot-1"],
        "material": "m1",
        "circle": "0198c0de-0000-7000-8000-00000000c1c1",
        "status": "open",
        "title": {"en": "A pilot"},
        "countries": ["ZMB"],
        "agencies": ["wfp", "fao", "who", "un-women"],
        "team": [
            {"agency": "wfp", "role": "lead", "covers": []},
            {"agency": "fao", "role": "partner", "covers": [cover("n1", "c1")]},
            {"agency": "who", "role": "partner", "covers": [cover("n2", "c2", 2)]},
            {"agency": "un-women", "role": "partner", "covers": [cover("n3", "c3")]},
        ],
        "needs": [
            {"id": "n1", "code": "data.earth_observation", "essential": True, "months": ["2027-02"]},
            {"id": "n2", "code": "human.field_staff", "essential": True, "months": ["2027-02"]},
            {"id": "n3", "code": "human.gender_expertise", "essential": False, "months": ["2027-02"]},
        ],
        "invitations": [
            {"agency": agency, "status": "invited", "deadline": DEADLINE} for agency in ("fao", "who", "un-women")
        ],
        "deadline": DEADLINE,
        "uncovered": [],
        "carried": [],
        **more,
    }
    return {"hash": hash_of(state), **state}


def answer(agency: str, decision: str, to: State, at: int = 11, **more: Any) -> Answer:
    """Given on the day `at` of January; the later it is, the later its place in the agency's ledger."""
    return Answer(
        f"answer-of-{agency}",
        agency,
        to["id"],
        to["hash"],
        decision,
        f"2027-01-{at:02d}T00:00:00.000000Z",
        {"reserved_until": "2027-06-30", **more},
        Rest(f"{agency}.matching", 1, at, "0" * 64),
    )
