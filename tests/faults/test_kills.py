"""While officers register pilots, everything is killed in turn, also between each two steps of the node's own work.

Every acknowledged pilot is there once, every ledger is proven, every fold equals its rebuild, no reaction happened
twice, every event is told once.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.faulty_node import FaultyNode
from tests.faults.listener import Listener
from tests.faults.officers import Office
from tests.faults.proofs import prove
from tests.faults.steps import STEPS, Step

pytestmark = pytest.mark.faults

AGENCIES = ("wfp", "fao", "unicef")
SERVERS = ("database", "nats-server")
SHORT = (
    "half of a batch inserted",
    "folded inline, not touched",
    "published, position not kept",
    "touched, cursor not moved",
    "reacted, task not done",
)


def crash_at_each(node: FaultyNode, office: Office, steps: Sequence[Step], chance: random.Random) -> None:
    """The running node is killed, then started again and again, each time to die at the next step."""
    node.kill()
    for step in steps:
        node.begin(step, chance.randint(1, step.most))
        node.wait_for_crash(step)
    node.start()
    office.wait_for_more(3)


def test_a_kill_of_each_kind_and_crashes_at_some_steps_lose_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], record_property: object
) -> None:
    node = FaultyNode(tmp_path, PILOTMESH_LEASE_SECONDS="1")
    chance = random.Random(1)
    steps = [step for step in STEPS if step.name in SHORT]
    try:
        node.start()
        listener = Listener(node, node.host("wfp"))
        with Office(node, AGENCIES, seed=1) as office:
            listener.start()
            for server in SERVERS:
                office.wait_for_more(3)
                node.kill_server(server)
            office.wait_for_more(3)
            crash_at_each(node, office, steps, chance)
            office.finish()
            prove(node, office, listener)
        listener.stop()
    finally:
        node.stop()
