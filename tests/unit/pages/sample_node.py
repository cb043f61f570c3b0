"""How a node stands, in the shapes of the API's contract: a member whose hub is away, with a frozen ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from services.mesh.alerts import alerts

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
LONG_AGO = "2026-11-20T08:00:00Z"

FROZEN: dict[str, Any] = {
    "ledger": "fao.registry",
    "hosted_here": False,
    "epoch": 1,
    "sequence": 12,
    "hash": "9f2c" * 16,
    "published": None,
    "lag": 3,
    "witnessed": {"epoch": 1, "sequence": 15, "hash": "ab12" * 16, "told_by": "hub", "at": LONG_AGO},
    "verified": {"at": LONG_AGO, "proven": True, "epoch": 1, "sequence": 11, "fault": None},
    "trouble": "frozen at 1:12: two facts claim one place after it",
    "trouble_kind": "frozen",
}
OWN: dict[str, Any] = {
    **{**FROZEN, "ledger": "wfp.registry", "hosted_here": True, "lag": 0, "witnessed": None, "verified": None},
    "trouble": None,
    "trouble_kind": None,
}
NOTHING_WRONG: dict[str, Any] = {
    "mesh": "0198c0de-0000-7000-8000-000000000001",
    "domain": "wfp",
    "hub": "hub",
    "agencies": ["wfp"],
    "roster": {"expires_on": "2028-01-01", "expired": False},
    "ledgers": [],
    "by_agency": [],
    "peers": [],
    "waiting": {},
    "relay": {"leads": True, "trouble": None},
    "intake": {"leads": True, "trouble": None, "paused": []},
    "trouble": {
        "not_authentic": 0,
        "waiting_for_keys": 0,
        "waiting_for_facts": 0,
        "frozen": 0,
        "not_foldable": 0,
        "given_up": 0,
    },
    "redactions": {"unconfirmed": 0, "oldest": None},
    "verified": {"at": "2026-11-21T10:00:00Z", "proven": True},
    "checked_at": "2026-11-22T10:00:00Z",
}
TROUBLED: dict[str, Any] = {
    **NOTHING_WRONG,
    "ledgers": [FROZEN, OWN],
    "by_agency": [
        {
            "agency": agency,
            "domain": domain,
            "status": "active",
            "hosted_here": domain == "wfp",
            "last_contact": None if domain == "wfp" else LONG_AGO,
            "ledgers": 1,
            "facts": 12,
            "lag": 3,
            "trouble": ["frozen"] if agency == "fao" else [],
        }
        for agency, domain in (("fao", "fao"), ("wfp", "wfp"))
    ],
    "peers": [
        {
            "domain": "hub",
            "last_contact": LONG_AGO,
            "trouble": "hub does not answer (NoRespondersError)",
            "withheld": [],
            "outlets": [{"stream": "FACTS", "fetched": 7, "pending": 3, "last_contact": LONG_AGO, "trouble": None}],
        }
    ],
    "trouble": {**NOTHING_WRONG["trouble"], "not_authentic": 2, "frozen": 1},
    "redactions": {"unconfirmed": 1, "oldest": LONG_AGO},
    "verified": None,
}
NODES: list[dict[str, Any]] = [
    {
        "domain": domain,
        "agencies": [domain],
        "this_node": domain == "wfp",
        "confirmed_at": at,
        "signed_by": domain if at else None,
        "last_contact": LONG_AGO,
        "suspended": False,
    }
    for domain, at in (("fao", LONG_AGO), ("hub", LONG_AGO), ("unicef", None), ("wfp", LONG_AGO))
]
REDACTION: dict[str, Any] = {
    "id": "019a0000-0000-7000-8000-0000000000e1",
    "ledger": "wfp.registry",
    "place": "wfp.registry:1:14",
    "reason": "personal_data",
    "facts": ["wfp.registry:1:3"],
    "recorded_at": LONG_AGO,
    "expected": 4,
    "confirmed": 3,
    "nodes": NODES,
}
REFUSED: dict[str, Any] = {
    "id": "peer hub|signature|9f2c",
    "source": "peer hub",
    "kind": "not_authentic",
    "code": "signature",
    "detail": "wfp.registry:1:9: the signature is not that of <b>wfp</b>",
    "remedy": "The signature does not fit. Tell the agency whose name was used.",
    "digest": "9f2c" * 16,
    "bytes": 812,
    "place": "wfp.registry:1:9",
    "count": 2,
    "first_at": LONG_AGO,
    "last_at": LONG_AGO,
}


def status(stands: dict[str, Any]) -> dict[str, Any]:
    """As the API tells it: with its alerts."""
    return {**stands, "alerts": alerts(stands, NOW)}


def told(stands: dict[str, Any] = TROUBLED) -> dict[str, Any]:
    """What a node in this state answers, by path."""
    return {
        "/mesh/v1/status": status(stands),
        "/mesh/v1/redactions": {"items": [REDACTION], "next": None},
        "/mesh/v1/quarantine": {"items": [REFUSED], "next": None},
    }
