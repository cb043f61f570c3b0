"""Two replicas of one service append to the same ledgers at once, and one is killed while they do."""

from __future__ import annotations

import pytest

from shared.settings import Settings
from tests.faults.officers import Office
from tests.faults.proofs import prove
from tests.faults.replicas import Replicas, in_turn

pytestmark = pytest.mark.faults

KILLS = 4


def test_two_replicas_write_one_ledger_while_one_after_the_other_is_killed(settings: Settings, long_form: bool) -> None:
    if not long_form:
        pytest.skip("the long form: make faults")
    # Four officers of one agency: every command of all of them goes into the same ledger, by whichever replica.
    with Replicas(settings) as node, Office(node, ("wfp",) * 4, seed=1) as office:
        for name in in_turn(KILLS):
            office.wait_for_more(10)
            node.kill(name)
            office.wait_for_more(5)
            node.begin(name)
            node.wait_until_ready(name)
        office.wait_for_more(10)
        office.finish()
        prove(node, office)
