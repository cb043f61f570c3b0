"""Records in the shapes of the API's contract: one lead with a pilot, one invited agency, one testbed."""

from __future__ import annotations

from typing import Any

PILOT = "019a0000-0000-7000-8000-000000000001"
DRAFT = "019a0000-0000-7000-8000-000000000002"
LONELY = "019a0000-0000-7000-8000-000000000003"
PROPOSAL = "019a0000-0000-7000-8000-00000000000a"
OLDER = "019a0000-0000-7000-8000-000000000009"
NOBODY = "019a0000-0000-7000-8000-00000000000b"
TESTBED = "019a0000-0000-7000-8000-0000000000f0"
HASH = "9f2c" * 16

AGENCIES: list[dict[str, Any]] = [
    {
        "id": "fao",
        "slug": "fao",
        "acronym": "FAO",
        "kind": "un_entity",
        "name": {"en": "Food and Agriculture Organization", "fr": "Organisation pour l’alimentation et l’agriculture"},
    },
    {
        "id": "wfp",
        "slug": "wfp",
        "acronym": "WFP",
        "kind": "un_entity",
        "name": {"en": "World Food Programme", "fr": "Programme alimentaire mondial"},
    },
    {
        "id": "wmo",
        "slug": "wmo",
        "acronym": "WMO",
        "kind": "un_entity",
        "name": {"en": "World Meteorological Organization"},
    },
    {
        "id": "agency-a",
        "slug": "agency-a",
        "acronym": "Agency A",
        "kind": "un_entity",
        "name": {"en": "Agency A (invented)"},
    },
]

PILOTS: list[dict[str, Any]] = [
    {
        "id": PILOT,
        "version": 3,
        "agency": "fao",
        "audience": "mesh",
        "ledger_place": "fao.registry:1:12",
        "changed_at": "2026-11-15T09:12:31.123456Z",
        "title": {
            "en": "Fall armyworm early warning by phone",
            "fr": "Alerte précoce par téléphone contre la chenille légionnaire",
        },
        "summary": {"en": "Farmers check their maize with an application that recognises the damage on a photograph."},
        "problem": {"en": "Fall armyworm reached Africa in 2016. Many farmers saw it for the first time."},
        "lead_agency": "fao",
        "countries": ["ZMB"],
        "sites": [
            {
                "id": "s1",
                "country": "ZMB",
                "admin_area": {"name": "Eastern"},
                "consent": {"status": "sought"},
                "people": {"planned": {"direct": 90000}},
            }
        ],
        "sdg_targets": ["2.3", "13.1"],
        "target_groups": ["small_scale_producers", ["rural", "women"]],
        "people_reached": 90000,
        "uncertainty": "some",
        "needs": [
            {
                "id": "n1",
                "code": "human.field_staff",
                "country": "ZMB",
                "quantity": 2,
                "essential": True,
                "note": {"en": "Two people who train camp officers"},
            },
            {"id": "n2", "code": "data.weather_climate", "country": "ZMB", "quantity": 1, "essential": True},
            {"id": "n3", "code": "human.gender_expertise", "country": "ZMB", "quantity": 1, "essential": False},
        ],
        "starts_on": "2027-01-01",
        "ends_on": "2027-12-31",
        "visibility": "mesh",
        "life": "open",
        "screening": {"status": "none"},
        "ai": {
            "task": {"en": "Recognise damage"},
            "status": "in_use",
            "decides": "informs",
            "affects_individuals": False,
        },
        "learning": [{"question": {"en": "Do warnings reach women who farm their own plots?"}}],
        "sources": [
            {
                "title": "App to fight Fall Armyworm",
                "publisher": "Rural 21",
                "year": 2018,
                "url": "https://example.org/app",
            }
        ],
        "illustrative": ["people_reached", "needs", "starts_on", "ends_on", "ai.status"],
    },
    {
        "id": DRAFT,
        "version": 1,
        "agency": "wfp",
        "audience": "private",
        "title": {"fr": "Indices de sécheresse pour petits exploitants"},
        "lead_agency": "wfp",
        "life": "draft",
        "kept_as_draft": True,
        "screening": {"status": "none"},
    },
    {
        "id": LONELY,
        "version": 2,
        "agency": "agency-a",
        "audience": "mesh",
        "title": {"en": "Boreholes that call for help"},
        "problem": {"en": "Pumps fail and nobody knows."},
        "lead_agency": "agency-a",
        "countries": ["ZMB", "NER"],
        "needs": [{"id": "n1", "code": "infra.sensors", "country": "ZMB", "quantity": 40, "essential": True}],
        "starts_on": "2027-02-01",
        "ends_on": "2027-08-31",
        "life": "running",
        "screening": {"status": "passed"},
        "illustrative": ["title", "problem", "needs"],
    },
]


def _cover(need: str, confidence: str, fit: float, share: float = 1.0) -> dict[str, Any]:
    return {
        "need": need,
        "capability": "019a0000-0000-7000-8000-0000000000c1",
        "units": 1,
        "share": share,
        "fit": fit,
        "fifths": round(fit * 5),
        "confidence": confidence,
        "factors": [],
    }


PROPOSALS: list[dict[str, Any]] = [
    {
        "id": PROPOSAL,
        "version": 2,
        "agency": "fao",
        "lead": "fao",
        "pilot": PILOT,
        "pilots": [PILOT],
        "hash": HASH,
        "title": {"en": "Fall armyworm early warning by phone"},
        "countries": ["ZMB"],
        "needs": PILOTS[0]["needs"],
        "status": "open",
        "released": True,
        "deadline": "2026-12-06T09:00:00Z",
        "changed_at": "2026-11-15T10:00:00Z",
        "team": [
            {
                "agency": "fao",
                "role": "lead",
                "covers": [],
                "reasons": [{"code": "leads", "text": {"en": "FAO leads the pilot.", "fr": "La FAO mène le pilote."}}],
                "response": None,
            },
            {
                "agency": "wfp",
                "role": "partner",
                "covers": [_cover("n1", "confirmed", 0.92)],
                "reasons": [
                    {
                        "code": "covers",
                        "text": {
                            "en": "WFP covers field staff (Zambia), fit 5 of 5.",
                            "fr": "Le PAM couvre le personnel de terrain (Zambie), adéquation 5 sur 5.",
                        },
                    }
                ],
                "response": None,
            },
            {
                "agency": "wmo",
                "role": "partner",
                "covers": [_cover("n2", "to_be_asked", 0.58)],
                "reasons": [{"code": "covers", "text": {"en": "WMO covers weather and climate data."}}],
                "response": {"decision": "accept"},
            },
        ],
        "invitations": [
            {"agency": "wfp", "status": "invited", "deadline": "2026-12-06T09:00:00Z"},
            {
                "agency": "wmo",
                "status": "accepted",
                "deadline": "2026-12-06T09:00:00Z",
                "responded_at": "2026-11-15T11:00:00Z",
            },
        ],
        "uncovered": [
            {
                "need": "n3",
                "essential": False,
                "share": 0,
                "why": {
                    "code": "nobody_offers",
                    "text": {
                        "en": "Nobody has offered gender expertise.",
                        "fr": "Personne n’a proposé d’expertise de genre.",
                    },
                },
                "suggestions": [],
            }
        ],
        "coverage": 0.8333,
        "coverage_fifths": 5,
        "sentences": {
            "en": [
                "FAO, WFP and WMO should do this together.",
                "They cover 2 of 3 needs.",
                "The weakest point is weather data, which WMO has not confirmed for six months.",
                "Its priority is 4 of 5.",
            ],
            "fr": [
                "La FAO, le PAM et l’OMM devraient le faire ensemble.",
                "Ils couvrent 2 besoins sur 3.",
                "Le point le plus faible est la météo, que l’OMM n’a pas confirmée depuis six mois.",
                "Sa priorité est de 4 sur 5.",
            ],
        },
        "weakest_point": {
            "code": "unconfirmed",
            "text": {
                "en": "Weather data was not confirmed for six months.",
                "fr": "La météo n’est pas confirmée depuis six mois.",
            },
        },
        "priority": {
            "score": 0.71,
            "fifths": 4,
            "without_declarations": 0.55,
            "parts": [
                {
                    "code": "bottom_billion",
                    "weight": 60,
                    "points": 41.2,
                    "basis": "documented",
                    "reasons": [
                        {
                            "code": "poverty_documented",
                            "text": {
                                "en": "In Zambia 64% of people live on less than 2.15 dollars a day (survey year 2022)."
                            },
                        }
                    ],
                },
                {
                    "code": "para_9f",
                    "weight": 20,
                    "points": 20,
                    "basis": "documented",
                    "reasons": [{"code": "country_group", "text": {"en": "Zambia is a least developed country."}}],
                },
                {"code": "groups", "weight": 20, "points": 10, "basis": "declared", "reasons": []},
            ],
        },
        "alternatives": [
            {
                "team": ["fao", "agency-a"],
                "coverage": 0.5,
                "essential_covered": 1,
                "lacks": [{"code": "lacks", "text": {"en": "It lacks field staff in Zambia."}}],
            }
        ],
        "questions": [
            {
                "id": "q1",
                "agency": "wmo",
                "question": {"en": "Which district comes first?"},
                "answer": {"en": "Eastern, from January."},
            }
        ],
        "testbed": None,
    },
    {
        "id": OLDER,
        "version": 4,
        "agency": "fao",
        "lead": "fao",
        "pilot": PILOT,
        "pilots": [PILOT],
        "hash": "aa" * 32,
        "status": "superseded",
        "superseded_by": PROPOSAL,
        "team": [{"agency": "fao", "role": "lead", "covers": []}],
        "invitations": [],
        "uncovered": [],
        "sentences": {"en": ["It was proposed earlier."]},
        "changed_at": "2026-11-10T10:00:00Z",
    },
    {
        "id": NOBODY,
        "version": 1,
        "agency": "agency-a",
        "lead": "agency-a",
        "pilot": LONELY,
        "pilots": [LONELY],
        "hash": "bb" * 32,
        "status": "no_partner",
        "no_partner": {"en": "No meaningful partner found: nobody offers sensors."},
        "team": [{"agency": "agency-a", "role": "lead", "covers": []}],
        "invitations": [],
        "uncovered": [
            {
                "need": "n1",
                "essential": True,
                "share": 0,
                "why": {"code": "nobody_offers", "text": {"en": "Nobody has offered sensors."}},
            }
        ],
        "sentences": {"en": ["Nobody suits."]},
    },
]

TESTBEDS: list[dict[str, Any]] = [
    {
        "id": TESTBED,
        "version": 1,
        "agency": "agency-a",
        "name": {"en": "Boreholes, Zambia and Niger"},
        "pilots": [LONELY],
        "proposal": NOBODY,
        "lead": "agency-a",
        "members": [
            {"agency": "agency-a", "role": "lead", "brings": []},
            {
                "agency": "wfp",
                "role": "partner",
                "brings": [{"need": "n1", "capability": "c", "units": 40}],
                "response": "wfp.matching:1:4",
            },
        ],
        "countries": ["NER", "ZMB"],
        "starts_on": "2027-02-01",
        "ends_on": "2027-08-31",
        "status": "active",
        "formed_at": "2026-11-16T08:00:00Z",
        "rests_on": [{"ledger": "wfp.matching", "epoch": 1, "sequence": 4, "hash": "cc" * 32}],
    }
]

CAPABILITIES: list[dict[str, Any]] = [
    {
        "id": "c1",
        "agency": "wfp",
        "code": "human.field_staff",
        "title": {"en": "Field staff in Zambia"},
        "countries": ["ZMB"],
        "confirmed_on": "2026-11-05",
    },
    {"id": "c2", "agency": "wmo", "code": "data.weather_climate", "title": {"en": "Rainfall estimates"}},
]

REACH: dict[str, Any] = {
    "source": "published",
    "reach": {
        "direct": {"lower": 1200, "upper": 1900, "unknown": 1},
        "indirect": {"lower": None, "upper": None, "unknown": 2},
        "extreme_poverty": {"lower": 700, "upper": 700, "unknown": 0},
    },
}
RESULTS: dict[str, Any] = {
    "source": "published",
    "results": [
        {
            "code": "warned",
            "title": {"en": "Households warned in time"},
            "unit": "households",
            "status": "behind",
            "value": 900,
            "low": 900,
            "high": 1400,
            "as_of": "2026-10-31",
            "expected": 1200,
            "evidence": "limited",
        }
    ],
}

TOLD: dict[str, Any] = {
    f"/metrics/v1/pilots/{LONELY}/reach": REACH,
    f"/metrics/v1/pilots/{LONELY}/results": RESULTS,
    f"/metrics/v1/pilots/{PILOT}/reach": {"source": "published", "reach": {}},
    f"/metrics/v1/pilots/{PILOT}/results": {"source": "published", "results": []},
    "/metrics/v1/countries/ZMB": {
        **REACH,
        "pilots": [PILOT, LONELY],
        "statuses": {"on_track": 1, "ahead": 0, "behind": 1, "no_data": 0},
        "basis": {"private": "own observations", "published": "what was published"},
    },
    "/registry/v1/screening": {
        "version": "2025-1",
        "questions": [
            {
                "id": "right_tool",
                "paragraphs": ["9 (j)"],
                "text": {"en": "Is AI the right tool?", "fr": "L’IA est-elle le bon outil ?"},
                "note": {"en": "Name what was looked at."},
                "must": True,
                "rests_on": [],
            }
        ],
    },
    "/matching/v1/gaps": {
        "items": [
            {
                "code": "infra.sensors",
                "country": "ZMB",
                "pilots": [LONELY],
                "essential": True,
                "why": {"code": "nobody_offers", "text": {"en": "Nobody has offered sensors."}},
                "suggestions": [],
            }
        ],
        "next": None,
    },
}
"""Answers that are the same for everybody, by path."""
