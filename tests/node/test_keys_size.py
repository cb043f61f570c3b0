"""An announcement names every ledger that was begun before: one that no node would take is not written."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.ledger import drafts
from shared.ledger.rekeying import Rekeying
from shared.problems import TooLarge
from shared.settings import Settings

from .ledgers import OFFICER, ledger_node, pilot

CIRCLE = "0198c0de-0000-7000-8000-00000000c1c1"


def test_a_rotation_whose_announcement_no_node_would_take_is_refused_before_it_begins(
    database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger_node(database_settings) as node:
        node.host("wfp")
        for draft in (pilot(), pilot(audience="private"), pilot(audience=CIRCLE)):
            node.appender().record(draft)
        rekeying = Rekeying(node.store, node.identity, node.keyring, OFFICER, lambda: datetime.now(UTC))
        before, heads = node.keyring.key("wfp").public, node.store.heads()
        with monkeypatch.context() as patch:
            patch.setattr(drafts, "MAX_BYTES", drafts.HEADER_BYTES + 250)
            with pytest.raises(TooLarge, match="names 2 ledgers"):
                rekeying.rotate("wfp")
        assert (node.keyring.key("wfp").public, node.keyring.next("wfp")) == (before, None)
        assert node.store.heads() == heads
        assert rekeying.rotate("wfp").waiting == {}
