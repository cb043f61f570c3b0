"""The evidence of forks is bounded, tells where each ledger ends, and of every forked ledger something is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.facts.fact import Fact
from shared.facts.verify import Head
from shared.ledger.cutting import MOST_PAIRS, Forks
from shared.settings import Settings
from tests.unit.facts.chains import Chain, key_of

from .ledgers import LedgerNode, ledger_node


@pytest.fixture
def node(database_settings: Settings) -> Iterator[LedgerNode]:
    with ledger_node(database_settings) as made:
        yield made


def pair(ledger: str, sequence: int, number: int = 0) -> tuple[Fact, Fact]:
    """Two facts for the place after `sequence` that name the same fact before them."""
    before = Head(1, sequence, "0" * 64 if sequence else "")
    one, other = (
        Chain(ledger=ledger, key=key_of("wfp"), head=before).add({"lead_agency": "wfp", "title": title})
        for title in ("one", f"another {number}")
    )
    return one, other


def test_whoever_forks_a_ledger_again_and_again_fills_nobodys_disk(node: LedgerNode) -> None:
    forks = Forks(node.store)
    news = [forks.add(*pair("wfp.registry", 5, n)) for n in range(MOST_PAIRS + 5)]
    assert news == [True] * MOST_PAIRS + [False] * 5
    assert len(forks.pairs()) == MOST_PAIRS
    assert forks.add(*pair("wfp.registry", 2)), "what lowers the limit is kept"
    for read in (forks, Forks(node.store)):
        assert read.limit("wfp.registry", 1) == 2
        assert len(read.pairs()) == MOST_PAIRS + 1
        assert not read.add(*pair("wfp.registry", 7)), "also after a restart there is enough"


def test_of_every_forked_ledger_the_lowest_fork_is_told(node: LedgerNode) -> None:
    forks = Forks(node.store)
    for n in range(MOST_PAIRS):
        forks.add(*pair("wfp.registry", 5, n))
    lowest = pair("wfp.registry", 2)
    forks.add(*lowest)
    forks.add(*pair("fao.matching", 3))
    told = forks.told(2)
    assert {str(one.header.ledger) for one, _ in told} == {"wfp.registry", "fao.matching"}
    assert {fact.hash for found in told for fact in found} >= {fact.hash for fact in lowest}
    assert len(forks.told(100)) == MOST_PAIRS + 2
