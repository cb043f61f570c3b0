"""Posts that tests send: the shortest useful pilot and what can be varied of it."""

from __future__ import annotations

from typing import Any

SHORT_PILOT: dict[str, Any] = {
    "title": {"en": "Crop-loss early warning for smallholders"},
    "summary": {"en": "Satellite pictures and field reports tell of crop loss weeks earlier."},
    "problem": {"en": "Help reaches smallholders after the harvest has failed."},
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
}


def pilot(lead: str, **changes: Any) -> dict[str, Any]:
    return {**SHORT_PILOT, "lead_agency": lead, **changes}


def running_pilot(lead: str, **changes: Any) -> dict[str, Any]:
    """A pilot entered when it was running already: it has results, and needs no partners."""
    return pilot(lead, entry="retrospective", life="running", starts_on="2025-07-01", **changes)
