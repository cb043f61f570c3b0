"""Small worlds for tests: a few codes, places and agencies, and records in the form the registry keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from services.matching.candidates import Index
from services.matching.model import Agency, Capability, CodeFacts, PlaceFacts, PovertyFacts, Usage, World
from services.matching.records import capability_of, pilot_of
from services.matching.team import Matching
from services.matching.weights import Rules

TODAY = date(2027, 1, 15)

CODES = {
    code: CodeFacts(code, kind, siblings, {"en": en, "fr": fr}, code == "human.sector_expertise")  # type: ignore[arg-type]
    for code, kind, siblings, en, fr in [
        ("data.earth_observation", "S", ("data.base_maps",), "Earth observation", "Observation de la Terre"),
        ("data.base_maps", "S", ("data.earth_observation",), "Base maps", "Fonds de carte"),
        ("human.field_staff", "C", ("human.translation",), "Field staff", "Personnel de terrain"),
        ("human.translation", "C", ("human.field_staff",), "Translation", "Traduction"),
        ("human.data_science", "C", (), "Data science", "Science des données"),
        ("human.sector_expertise", "C", (), "Sector expertise", "Expertise sectorielle"),
        ("human.gender_expertise", "C", (), "Gender expertise", "Expertise de genre"),
        ("infra.gpu_compute", "X", (), "GPU computing", "Calcul sur GPU"),
        ("funding", "none", (), "Funding", "Financement"),
    ]
}
PLACES = {
    "NER": PlaceFacts(
        "NER",
        "low",
        {"en": "Niger", "fr": "Niger"},
        frozenset({"ldc", "lldc"}),
        frozenset(),
        PovertyFacts(0.6, 2021, 3.0, "2021 PPP", "a source"),
    ),
    "ZMB": PlaceFacts(
        "ZMB",
        "lower_middle",
        {"en": "Zambia", "fr": "Zambie"},
        poverty=PovertyFacts(0.5, 2022, 3.0, "2021 PPP", "a source"),
    ),
    "SGP": PlaceFacts("SGP", "high", {"en": "Singapore", "fr": "Singapour"}, frozenset({"sids"})),
    "SOM": PlaceFacts("SOM", "low", {"en": "Somalia", "fr": "Somalie"}, frozenset({"ldc"})),
    "VEN": PlaceFacts("VEN", None, {"en": "Venezuela", "fr": "Venezuela"}),
}
UN = ("wfp", "fao", "unicef", "un-women", "itu", "undp", "who", "ilo")
AGENCIES = {slug: Agency(slug, True, {"en": slug}, slug.upper()) for slug in UN}
AGENCIES["university"] = Agency("university", False, {"en": "A university", "fr": "Une université"})
WORLD = World(TODAY, CODES, PLACES, AGENCIES)


def need(id: str, code: str = "data.earth_observation", **more: Any) -> dict[str, Any]:  # noqa: A002 - the record's word
    return {"id": id, "code": code, "country": "ZMB", "quantity": 1, "essential": False, **more}


def pilot(needs: Iterable[Mapping[str, Any]] = (), **more: Any) -> dict[str, Any]:
    return {
        "id": "p1",
        "title": {"en": "A pilot"},
        "lead_agency": "wfp",
        "countries": ["ZMB"],
        "starts_on": "2027-02-01",
        "ends_on": "2027-07-31",
        "needs": list(needs),
        **more,
    }


def offer(agency: str, code: str = "data.earth_observation", **more: Any) -> Capability:
    """A confirmed, free capability named for Zambia; its id is the agency and the code unless another is given."""
    state = {
        "id": f"{agency}/{code}",
        "agency": agency,
        "code": code,
        "countries": ["ZMB"],
        "confirmed_on": "2027-01-10",
        "cost": "free",
        **more,
    }
    return capability_of(state)


def match(
    state: Mapping[str, Any],
    capabilities: Iterable[Capability],
    *,
    usage: Usage | None = None,
    world: World = WORLD,
    **rules: Any,
) -> Matching:
    return Matching(pilot_of(state), Index.of(capabilities), world, replace(Rules(), **rules), usage or Usage())


def covers(matching: Matching) -> dict[str, list[str]]:
    """Who covers which needs."""
    return {member.agency: [cover.need for cover in member.covers] for member in matching.proposal.team}
