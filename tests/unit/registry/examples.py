"""Posts, actors and a day to test the registry's rules with."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.registry.domain import Change, advance_pilot, follow_testbed, register_pilot, screen_pilot
from services.registry.screening import CURRENT
from shared.problems import Fault, Invalid

NOW = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
PILOT = "0190f3c2-0000-7000-8000-000000000001"


@dataclass(frozen=True)
class Person:
    id: str = "a-1"
    agency: str = "wfp"
    roles: tuple[str, ...] = ("officer",)
    office: str | None = None


OFFICER = Person()
APPROVER = Person("a-2", roles=("approver",))
ADMIN = Person("a-3", roles=("admin",))

SHORT: dict[str, Any] = {
    "title": {"en": "Crop-loss early warning for smallholders"},
    "summary": {"en": "Radar images and harvest reports, read together, warn of losses."},
    "problem": {"en": "Losses are known only after the harvest. Help comes a season late."},
    "lead_agency": "wfp",
    "countries": ["ZMB"],
    "sdg_targets": ["2.3", "2.4", "13.1"],
    "roadmap_measures": ["3.3"],
    "layers": ["data"],
    "uncertainty": "some",
    "target_groups": ["extreme_poverty", "rural", "women_and_girls"],
    "people_reached": 120000,
    "needs": [
        {"code": "data.earth_observation", "country": "ZMB", "quantity": 1, "essential": True},
        {"code": "human.field_staff", "country": "ZMB", "quantity": 2, "essential": False},
    ],
    "starts_on": "2027-01-01",
    "ends_on": "2027-12-31",
    "visibility": "mesh",
    "external_ids": [{"scheme": "iati", "id": "XM-DAC-41140-ZM-0001"}],
}
"""The shortest useful pilot."""

CAPABILITY: dict[str, Any] = {
    "agency": "fao",
    "code": "human.data_science",
    "title": {"en": "Remote-sensing analysts"},
    "countries": ["ZMB", "MWI"],
    "units": 3,
    "available_from": "2026-06-01",
    "available_to": "2027-12-31",
}
FAO = Person("a-9", agency="fao")


def short(**changes: Any) -> dict[str, Any]:
    """The short post with some fields changed; None takes one away."""
    post = {**copy.deepcopy(SHORT), **changes}
    return {name: value for name, value in post.items() if value is not None}


def register(actor: Person = OFFICER, **changes: Any) -> Change:
    return register_pilot(short(**changes), id=PILOT, now=NOW, actor=actor)


def faults_of(**changes: Any) -> dict[str, Fault]:
    """The faults of the changed short post by field; empty if it is accepted."""
    try:
        register(**changes)
    except Invalid as refusal:
        return {fault.field: fault for fault in refusal.faults}
    return {}


def codes_of(**changes: Any) -> dict[str, str]:
    return {field: fault.code for field, fault in faults_of(**changes).items()}


def notices_of(change: Change) -> dict[str, str]:
    return {notice.field: notice.code for notice in change.notices}


def screening_post(**changes: Any) -> dict[str, Any]:
    answers = {question.id: {"answer": "yes"} for question in CURRENT.questions}
    return {"answers": {**answers, **changes}, "learning_question": {"en": "Does a warning change what people plant?"}}


def screened(pilot: Change, **answers: Any) -> Change:
    return screen_pilot(
        pilot.state,
        screening_post(**answers),
        pilot_version=pilot.version,
        held=None,
        version=0,
        now=NOW,
        actor=OFFICER,
    )


def forming(**changes: Any) -> Change:
    pilot = register(**changes)
    change = follow_testbed(
        pilot.state, {"id": "t-1", "pilots": [PILOT], "status": "formed"}, version=pilot.version, now=NOW
    )
    assert change is not None
    return change


def ready() -> Change:
    pilot = forming()
    return advance_pilot(
        pilot.state,
        "ready",
        {},
        version=pilot.version,
        now=NOW,
        actor=OFFICER,
        screening=screened(pilot).state,
    )
