"""While officers register pilots, everything is killed in turn, also between each two steps of the node's own work.

Every acknowledged pilot is there once, every ledger is proven, every fold equals its rebuild, no reaction happened
twice, every event is told once.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.faults.faulty_node import FaultyNode
from tests.faults.listener import Listener
from tests.faults.officers import Office
from tests.faults.proofs import prove, rebuild
from tests.faults.steps import REBUILDING, STEPS, Step

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
SEEDS = (1, 2, 3)


@contextmanager
def at_work(home: Path, seed: int) -> Iterator[tuple[FaultyNode, Office, Listener]]:
    """A running node, officers who register pilots, and somebody who listens from the first event on."""
    # A follower takes over from a killed one when its lease is over: soon, here.
    with FaultyNode(home, PILOTMESH_LEASE_SECONDS="1") as node:
        node.start()
        listener = Listener(node, node.host(AGENCIES[0])).start()
        try:
            with Office(node, AGENCIES, seed) as office:
                yield node, office, listener
        finally:
            listener.stop()


def kill_each_server(node: FaultyNode, office: Office) -> None:
    for server in SERVERS:
        office.wait_for_more(3)
        node.kill_server(server)
    office.wait_for_more(3)


def crash_at_each(node: FaultyNode, steps: Sequence[Step], chance: random.Random) -> None:
    """The running node is killed, then started again and again, each time to die at the next step."""
    node.kill()
    for step in steps:
        node.begin(step, chance.randint(1, step.most))
        if step in REBUILDING:
            node.wait_ready()
            with pytest.raises(httpx.TransportError):
                rebuild(node, step.service)
        node.wait_for_crash(step)
    node.start()


def test_a_kill_of_each_kind_and_crashes_at_some_steps_lose_nothing(tmp_path: Path) -> None:
    with at_work(tmp_path, seed=1) as (node, office, listener):
        kill_each_server(node, office)
        crash_at_each(node, [step for step in STEPS if step.name in SHORT], random.Random(1))
        office.wait_for_more(3)
        office.finish()
        prove(node, office, listener)


@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("only_in_the_long_form")
@pytest.mark.parametrize("seed", SEEDS)
def test_crashes_at_every_step_lose_nothing(tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(seed)
    steps = chance.sample((*STEPS, *REBUILDING), len(STEPS) + len(REBUILDING))
    with at_work(tmp_path, seed) as (node, office, listener):
        for part in (steps[start : start + 8] for start in range(0, len(steps), 8)):
            office.resume()
            kill_each_server(node, office)
            crash_at_each(node, part, chance)
            office.wait_for_more(3)
            office.finish()
            prove(node, office, listener)
        with capsys.disabled():
            print(  # noqa: T201 - the count is what the long form is run for
                f"\nseed {seed}: {office.count} commands acknowledged, {office.retries} repeated after a fault, "
                f"{node.kills} kills, {listener.cuts} cuts of the event stream, lost 0"
            )
