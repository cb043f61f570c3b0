"""What the status calls wrong or worth knowing, and what it says to do."""

from __future__ import annotations

from datetime import timedelta
from string import Formatter
from typing import Any

import pytest

from services.mesh.alerts import TEXTS, alerts
from tests.unit.pages.sample_node import FROZEN, NOTHING_WRONG, NOW

PEER: dict[str, Any] = {"domain": "hub", "last_contact": "2026-11-22T09:59:00Z", "trouble": None, "withheld": []}


def codes(**changes: Any) -> list[str]:
    return [one["code"] for one in alerts({**NOTHING_WRONG, **changes}, NOW)]


def test_a_node_with_nothing_wrong_has_no_alerts() -> None:
    assert codes(peers=[PEER]) == []


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("frozen", {"ledgers": [FROZEN]}),
        ("own_behind", {"ledgers": [{**FROZEN, "trouble_kind": "own_behind"}]}),
        ("withheld", {"ledgers": [{**FROZEN, "trouble_kind": "withheld"}]}),
        ("fold_waits", {"waiting": {"fao.registry": "a fact is missing"}}),
        ("relay", {"relay": {"leads": True, "trouble": "NATS is away"}}),
        ("intake", {"intake": {"leads": True, "trouble": "NATS is away", "paused": []}}),
        ("paused", {"intake": {"leads": True, "trouble": None, "paused": ["fao"]}}),
        ("never_reached", {"peers": [{**PEER, "last_contact": None}]}),
        ("silent", {"peers": [{**PEER, "last_contact": "2026-11-22T09:49:00Z"}]}),
        ("roster_expired", {"roster": {"expires_on": "2026-11-21", "expired": True}}),
        ("roster_expires", {"roster": {"expires_on": "2026-12-01", "expired": False}}),
        ("never_proven", {"verified": None}),
        ("not_proven", {"verified": {"at": "2026-11-22T09:00:00Z", "proven": False}}),
        ("proven_long_ago", {"verified": {"at": "2026-09-01T09:00:00Z", "proven": True}}),
        ("refused", {"trouble": {**NOTHING_WRONG["trouble"], "not_authentic": 2}}),
        ("waiting_for_keys", {"trouble": {**NOTHING_WRONG["trouble"], "waiting_for_keys": 2}}),
        ("waiting_for_facts", {"trouble": {**NOTHING_WRONG["trouble"], "waiting_for_facts": 2}}),
        ("not_foldable", {"trouble": {**NOTHING_WRONG["trouble"], "not_foldable": 2}}),
        ("given_up", {"trouble": {**NOTHING_WRONG["trouble"], "given_up": 2}}),
        ("unconfirmed", {"redactions": {"unconfirmed": 1, "oldest": "2026-11-20T08:00:00Z"}}),
    ],
)
def test_each_trouble_has_its_alert_with_what_to_do(code: str, changes: dict[str, Any]) -> None:
    (found,) = alerts({**NOTHING_WRONG, **changes}, NOW)
    assert (found["code"], found["level"]) == (code, TEXTS[code][0])
    assert "{" not in found["detail"] + found["remedy"]
    assert found["remedy"].endswith(".")


def test_whatever_an_alert_speaks_about_travels_with_it() -> None:
    (found,) = alerts({**NOTHING_WRONG, "ledgers": [FROZEN]}, NOW)
    named = {name for text in TEXTS["frozen"][1:] for _, name, _, _ in Formatter().parse(text) if name}
    assert named <= found["about"].keys()


def test_a_peer_that_withholds_is_named() -> None:
    withheld = {**PEER, "withheld": ["fao.registry stands at 1:12; its owner has signed 1:15, …"]}
    told = alerts({**NOTHING_WRONG, "peers": [withheld], "ledgers": [{**FROZEN, "trouble_kind": "withheld"}]}, NOW)
    assert told[0]["about"] == {"ledger": "fao.registry", "peer": "hub"}


def test_what_does_harm_comes_first() -> None:
    silent = {**PEER, "last_contact": "2026-11-20T09:49:00Z"}
    assert codes(peers=[silent], relay={"leads": True, "trouble": "away"}, verified=None)[0] == "relay"


def test_a_proof_counts_for_thirty_days() -> None:
    at = (NOW - timedelta(days=29)).isoformat()
    assert codes(verified={"at": at, "proven": True}) == []
