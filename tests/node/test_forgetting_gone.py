"""What many redactions cost while they are open, and what becomes of those that nobody is left to confirm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from services.mesh.api_forgetting import _told
from services.mesh.confirming import Confirmations
from services.mesh.contacts import Contacts
from services.mesh.status import Standing
from shared.ledger.witness import foreign_heads
from tests.node.test_forgetting import LEDGER, MESH, Scene
from tests.node.test_forgetting import scene as scene  # noqa: PLC0414 (the fixture, by its name)
from tests.unit.facts.chains import Chain


def test_what_is_kept_of_all_open_redactions_is_read_once_a_round(
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wfp, read, told = scene.wfp, [], Confirmations.told
    chain = Chain(ledger=LEDGER, key=wfp.key, mesh=MESH, head=wfp.ledgers.store.head(LEDGER))
    named = [{"epoch": 1, "sequence": 2, "subject": scene.facts[1].header.subject}]
    state = {"facts": named, "reason": "personal_data"}
    more = [chain.add(state, kind="fact", verb="redacted", subject=f"fact/r-{n}") for n in (2, 3, 4)]
    wfp.takes(*more)
    wfp.folds(*more)
    wfp.completing.step()
    assert len(wfp.confirming.confirmations.open()) == 4

    def counted(self: Confirmations, redactions: Iterable[str]) -> Any:
        read.append(self)
        return told(self, redactions)

    monkeypatch.setattr(Confirmations, "told", counted)
    assert len(wfp.confirming.missing("hub", wfp.ledgers.roster.book())) == 4
    assert len(read) == 1


def test_a_node_that_left_the_roster_is_waited_for_no_more_and_still_named(scene: Scene) -> None:
    wfp, hub = scene.wfp, scene.hub
    for node in (wfp, hub):
        node.finishes()
    assert wfp.asks(hub) == 1
    scene.members = [one for one in scene.members if one.agency != "fao"]
    scene.issue(2)
    book = wfp.ledgers.roster.book()
    assert wfp.confirming.missing("hub", book) == []
    assert wfp.confirming.missing("hub", book) == []
    assert wfp.confirming.confirmations.open() == []
    entry = wfp.entry()
    assert (set(entry.expected), entry.gone) == ({"wfp", "hub"}, ("fao",))
    node = wfp.ledgers
    standing = Standing(
        node.store, node.keyring, wfp.quarantine, wfp.database, foreign_heads(node.store), None, None, "wfp"
    )
    contacts = Contacts(standing, scene.members)
    told = _told(scene.redaction, entry, wfp.confirming.confirmed(entry, book), contacts)
    assert [(one["domain"], one["gone"]) for one in told["nodes"] if one["confirmed_at"] is None] == [("fao", True)]
    assert (told["confirmed"], told["expected"]) == (2, 3)
