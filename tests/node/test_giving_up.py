"""Facts that were folded and are given up: rows, cursors and rebuilds end as if they had never been there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.ledger.cutting import Cutting
from shared.ledger.verification import verify_node
from shared.settings import Settings
from tests.node.following import Following, chain_of, following_in, own_chain, put
from tests.node.ledgers import until
from tests.unit.facts.chains import Chain

LEDGER = "wfp.registry"


@pytest.fixture
def ground(database_settings: Settings) -> Iterator[Following]:
    with following_in(database_settings) as made:
        made.node.host("wfp", "fao")
        yield made


def test_what_is_given_up_is_unfolded_and_the_ledger_goes_on_another_way(ground: Following) -> None:
    facts, others = chain_of(ground.node, LEDGER, 9, title="a"), chain_of(ground.node, "fao.registry", 3, title="b")
    put(ground.node, *facts, *others)
    follower = ground.started()
    until(lambda: follower.lag() == {}, "folded")
    assert len(list(ground.rows.all())) == 12
    assert Cutting(ground.node.store).cut(LEDGER, (1, 4)) == 5
    until(lambda: len(list(ground.rows.all())) == 7, "what is given up is unfolded")
    assert ground.digest() == ground.digest_of_rebuild()
    goes_on = Chain(ledger=LEDGER, key=own_chain(ground.node, LEDGER).key, mesh=ground.node.identity.mesh)
    goes_on.head = ground.node.store.head(LEDGER)
    assert goes_on.head.hash == facts[3].hash
    put(ground.node, goes_on.add({"lead_agency": "wfp", "title": "c"}, subject="pilot/other"))
    follower.nudge([LEDGER])
    until(lambda: len(list(ground.rows.all())) == 8, "the ledger goes on")
    assert follower.position(LEDGER).sequence == 5
    assert follower.waiting == {}
    assert ground.digest() == ground.digest_of_rebuild()


def test_a_follower_that_was_away_meanwhile_finds_out_at_its_start(ground: Following) -> None:
    put(ground.node, *chain_of(ground.node, LEDGER, 6, title="a"))
    first = ground.started()
    until(lambda: first.lag() == {}, "folded")
    first.stop()
    Cutting(ground.node.store).cut(LEDGER, (1, 2))
    second = ground.started()
    until(lambda: len(list(ground.rows.all())) == 2, "unfolded")
    assert second.position(LEDGER).sequence == 2


def test_a_cut_that_a_crash_interrupted_is_finished(ground: Following, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = chain_of(ground.node, LEDGER, 6, title="a")
    put(ground.node, *facts)
    store = ground.node.store
    cutting = Cutting(store)
    monkeypatch.setattr(store, "forget_memory", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cutting.cut(LEDGER, (1, 2))
    monkeypatch.undo()
    store.tails()
    before = store.cuts
    Cutting(store).finish()
    store.tails()
    assert store.cuts == before + 1
    assert store.head(LEDGER).hash == facts[1].hash
    assert cutting.given_up(facts[5].hash) == facts[5]
    assert all(report.fault is None for report in verify_node(store, ground.node.identity))


def test_what_was_given_up_can_be_put_back(ground: Following) -> None:
    facts = chain_of(ground.node, LEDGER, 6, title="a")
    put(ground.node, *facts)
    cutting = Cutting(ground.node.store)
    cutting.cut(LEDGER, (1, 0))
    assert ground.node.store.head(LEDGER).sequence == 0
    assert cutting.put_back(LEDGER, facts[:4])
    assert ground.node.store.after(LEDGER, (1, 0)) == facts[:4]
