"""What is sent and inserted: the same content on both sides of every ratio."""

from __future__ import annotations

import json
from typing import Any

from .load import Template

MARK = "%%%"
CODES = (
    "data.earth_observation",
    "data.weather_climate",
    "human.field_staff",
    "human.data_science",
    "infra.gpu_compute",
    "policy.data_protection",
)
COUNTRIES = ("ZMB", "MWI", "KEN", "NER", "ETH", "MOZ")


def pilot(agency: str, place: int = 0) -> dict[str, Any]:
    """A pilot as the shortest useful post has it."""
    country = COUNTRIES[place % len(COUNTRIES)]
    return {
        "title": {"en": f"Crop-loss early warning for smallholders {MARK}"},
        "summary": {"en": "Warns smallholders of crop loss from satellite images, by text message, in their language."},
        "problem": {"en": "Losses are seen when it is too late to act. Field visits reach one village in ten."},
        "lead_agency": agency,
        "countries": [country],
        "sdg_targets": ["2.3", "2.4", "13.1"],
        "roadmap_measures": ["3.3"],
        "layers": ["data"],
        "uncertainty": "some",
        "target_groups": ["extreme_poverty", "rural", "women_and_girls"],
        "people_reached": 120000,
        "needs": [
            {"code": CODES[place % len(CODES)], "country": country, "quantity": 1, "essential": True},
            {"code": CODES[(place + 2) % len(CODES)], "country": country, "quantity": 2, "essential": False},
        ],
        "starts_on": "2027-01-01",
        "ends_on": "2027-12-31",
        "visibility": "mesh",
        "external_ids": [{"scheme": "iati", "id": f"XM-DAC-41140-ZM-{MARK}"}],
    }


def capability(agency: str, place: int) -> dict[str, Any]:
    return {
        "agency": agency,
        "code": CODES[place % len(CODES)],
        "title": {"en": f"Capability {place}"},
        "countries": [COUNTRIES[place % len(COUNTRIES)], COUNTRIES[(place + 1) % len(COUNTRIES)]],
        "units": 3,
    }


def plan(pilot_id: str, number: int) -> dict[str, Any]:
    return {
        "pilot": pilot_id,
        "code": f"warned-{number}",
        "title": {"en": "Alerts sent in time"},
        "unit": "alerts",
        "measure": "count",
        "calendar": "monthly",
        "baseline": {"value": 0, "on": "2026-01-01"},
        "target": {"value": 100_000, "on": "2026-12-31"},
        "contributes_to": ["2.3"],
    }


def observations(indicator: str, pilot_id: str, country: str, rows: int, first: int) -> list[dict[str, Any]]:
    """Daily counts of women and men; no two of them are of the same day, place and sex within 1,200 days."""
    listed = []
    for number in range(first, first + rows):
        day = number // 2
        date = f"{2022 + day // 336 % 4}-{day // 28 % 12 + 1:02d}-{day % 28 + 1:02d}"
        listed.append(
            {
                "id": f"{indicator[-12:]}-{number}",
                "indicator": indicator,
                "pilot": pilot_id,
                "period": {"start": date, "end": date},
                "country": country,
                "value": 40 + number % 17,
                "unit": "alerts",
                "disaggregation": {"SEX": "FM"[number % 2]},
                "basis": "measured",
                "method": "counted by the message gateway",
            }
        )
    return listed


def request(method: str, path: str, token: str, document: Any = None, **headers: str) -> bytes:
    """A whole HTTP/1.1 request as bytes."""
    body = b"" if document is None else json.dumps(document, separators=(",", ":")).encode()
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {token}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    if document is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def numbered_request(path: str, token: str, document: dict[str, Any], digits: int = 9) -> Template:
    """A POST whose first MARK is replaced by a number each time it is sent; the other marks stay zero."""
    text = json.dumps(document, separators=(",", ":"))
    first, rest = text.split(MARK, 1)
    before, after = first.encode(), rest.replace(MARK, "0" * digits).encode()
    head = request("POST", path, token, None)[:-2]
    length = len(before) + digits + len(after)
    head += f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode()
    return Template(head + before, after, digits)
