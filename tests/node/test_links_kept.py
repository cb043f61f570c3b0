"""What a node that takes links keeps in step with the roster."""

from __future__ import annotations

import json
from dataclasses import replace

from fastapi import FastAPI

from services.mesh.app import care_of_links
from shared.facts.names import ANCHOR
from shared.ledger.drafts import Draft
from shared.ledger.identity import SUSPENDED, roster_state
from shared.settings import Settings
from tests.service.running import until

from .ledgers import OFFICER, LedgerNode, ledger_node


def issue(node: LedgerNode, status: str, version: int) -> None:
    members = [replace(one, domain="node-wfp", leaf="U" * 56, status=status) for one in node.roster.members()]
    state = roster_state(members)
    node.appender().record(Draft(ANCHOR, "mesh", "roster", "issued", "mesh", version, state, OFFICER))


def test_a_member_is_suspended_although_the_hubs_card_cannot_be_signed(database_settings: Settings) -> None:
    with ledger_node(database_settings) as node:
        node.host("wfp")
        issue(node, "active", 2)
        links = node.settings.home / "nats"
        links.mkdir(exist_ok=True)
        (links / "hub.json").write_text("{}")  # names neither addresses nor an authority
        workers = {worker.name: worker for worker in care_of_links(FastAPI(), node, node.settings)}  # type: ignore[arg-type]
        for worker in workers.values():
            worker.start()
        try:
            told = links / "members.json"
            until(lambda: told.exists() and json.loads(told.read_text())["leaves"], "the member may link")
            until(lambda: workers["card"].trouble is not None, "no card can be signed")
            issue(node, SUSPENDED, 3)
            until(lambda: json.loads(told.read_text())["leaves"] == [], "it may link no more")
        finally:
            for worker in workers.values():
                worker.stop()
