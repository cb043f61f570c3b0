"""Chance plays with a mesh in memory: the real rules decide, and every write may be a node's last."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.federation.machine import Federation
from tests.federation.model_world import ModelWorld
from tests.federation.world import DOMAINS, World

STEPS = 50


class InMemory(Federation):
    def __init__(self) -> None:
        super().__init__()
        for domain in DOMAINS:  # so that each may be put back, whatever else happens
            self.world.copy_disk(domain)

    def make_world(self) -> World:
        return ModelWorld()

    def teardown(self) -> None:
        try:
            self.everything_is_healed_and_right()
        finally:
            super().teardown()


@pytest.mark.timeout(3600)
def test_whatever_befalls_a_mesh_nothing_acknowledged_is_lost(long_form: bool) -> None:
    examples = 2000 if long_form else 25
    chosen = settings(max_examples=examples, stateful_step_count=STEPS, derandomize=not long_form, print_blob=True)
    run_state_machine_as_test(InMemory, settings=chosen)
