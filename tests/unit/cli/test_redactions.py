"""How the command says who has confirmed a redaction."""

from __future__ import annotations

from typing import Any

from deploy.cli.forgetting import summary


def node(domain: str, at: str | None = None, **more: Any) -> dict[str, Any]:
    return {"domain": domain, "confirmed_at": at, "this_node": False, "suspended": False, "last_contact": None, **more}


def test_it_counts_and_names_who_has_not_confirmed_and_when_they_were_last_heard_of() -> None:
    at = "2026-11-22T10:00:00Z"
    told = {
        "confirmed": 1,
        "expected": 5,
        "nodes": [
            node("fao", at),
            node("hub"),
            node("unicef", last_contact=at),
            node("unido", suspended=True, last_contact=at),
            node("wfp", this_node=True),
        ],
    }
    assert summary(told) == (
        "confirmed by 1 of 5 nodes; not yet: hub (never heard of), "
        f"unicef (last heard of {at}), unido (suspended), wfp (this node)"
    )


def test_where_all_have_confirmed_nobody_is_named() -> None:
    told = {"confirmed": 1, "expected": 1, "nodes": [node("wfp", "2026-11-22T10:00:00Z")]}
    assert summary(told) == "confirmed by 1 of 1 nodes"
