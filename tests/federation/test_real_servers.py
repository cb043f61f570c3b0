"""The same rules against real servers: histories from fixed seeds, the same each time as far as processes can be.

Chance is drawn from a deck here, so that a short history has some of everything; nothing is shrunk, because a mesh of
real servers takes long to make.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.federation.machine import Federation
from tests.federation.real_world import RealWorld, real_world
from tests.federation.world import DOMAINS, MEMBERS, World

SEEDS = (1, 2)
STEPS = 16
LONG_SEEDS = tuple(range(1, 21))
LONG_STEPS = 40

Step = tuple[str, dict[str, Any]]


def node(chance: random.Random) -> dict[str, Any]:
    return {"domain": chance.choice(DOMAINS)}


def one_of_many(chance: random.Random) -> dict[str, Any]:
    return node(chance) | {"number": chance.randint(0, 50)}


def member(chance: random.Random) -> dict[str, Any]:
    return {"member": chance.choice(MEMBERS)}


DECK: tuple[tuple[int, str, Callable[[random.Random], dict[str, Any]]], ...] = (
    (8, "register", lambda chance: node(chance) | {"count": chance.randint(1, 5), "private": chance.random() < 0.3}),
    (4, "revise", one_of_many),
    (2, "redact", one_of_many),
    (2, "rotate_key", node),
    (1, "repeat_what_was_not_answered", node),
    (2, "publish", node),
    (2, "attend", node),
    (1, "fold", node),
    (3, "crash_soon", lambda chance: node(chance) | {"writes": chance.randint(0, 12)}),
    (1, "kill", node),
    (2, "disturb_publishing", lambda chance: node(chance) | {"fates": ["lost"]}),
    (2, "lose_the_databases_answer", node),
    (2, "cut", member),
    (1, "heal", member),
    (2, "wipe_a_stream", lambda chance: node(chance) | {"stream": chance.choice(("FACTS", "VERIFIED"))}),
    (2, "put_the_disk_back", node),
    (1, "start_all", lambda _: {}),
)
"""How many of each there are, the rule, and how what it is told is drawn."""


def history(seed: int, steps: int) -> list[Step]:
    """One node's disk is copied before anything else happens, and put back some time after, another's perhaps."""
    chance = random.Random(seed)
    drawn: list[Step] = []
    while len(drawn) < steps:
        cards = [(rule, told) for count, rule, told in DECK for _ in range(count)]
        chance.shuffle(cards)
        drawn += [(rule, told(chance)) for rule, told in cards]
    copied = node(chance)
    restored = ("put_the_disk_back", copied)
    drawn = drawn[: steps - 2]
    drawn.insert(chance.randint(len(drawn) // 2, len(drawn)), restored)
    return [("copy_the_disk", copied), *drawn]


class OnServers(Federation):
    """Told by the caller what happens, step by step."""

    def __init__(self, world: RealWorld) -> None:
        self._world = world
        super().__init__()

    def make_world(self) -> World:
        return self._world


@pytest.mark.timeout(3600)
def test_chance_breaks_real_nodes_and_nothing_acknowledged_is_lost(
    tmp_path: Path, mongodb_uri: str, long_form: bool
) -> None:
    with real_world(tmp_path, mongodb_uri) as world:
        mesh = OnServers(world)
        for seed in LONG_SEEDS if long_form else SEEDS:
            acknowledged, faults = len(mesh.acknowledged), world.faults
            steps = history(seed, LONG_STEPS if long_form else STEPS)
            try:
                for rule, told in steps:
                    getattr(mesh, rule)(**told)
                mesh.everything_is_healed_and_right()
            except BaseException as error:
                error.add_note(f"seed {seed}: " + "; ".join(f"{rule} {told}" for rule, told in steps))
                raise
            assert len(mesh.acknowledged) > acknowledged
            assert world.faults > faults + 2
