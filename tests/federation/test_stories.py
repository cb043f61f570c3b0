"""Histories that chance once found, told step by step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.federation.test_machine import InMemory


@pytest.fixture
def mesh() -> Iterator[InMemory]:
    made = InMemory()
    try:
        yield made
        made.everything_is_healed_and_right()
    finally:
        made.world.close()


def test_a_disk_put_back_to_before_a_rotation_gets_its_facts_from_the_hub(mesh: InMemory) -> None:
    """What the hub has seen is signed under a key that the disk has forgotten, and the node has not."""
    mesh.register(domain="wfp", count=2, private=False)
    mesh.copy_the_disk(domain="wfp")
    mesh.rotate_key(domain="wfp")
    mesh.register(domain="wfp", count=2, private=False)
    mesh.everything_is_healed_and_right()
    mesh.wipe_a_stream(domain="wfp", stream="FACTS")
    mesh.put_the_disk_back(domain="wfp")
    mesh.register(domain="wfp", count=1, private=False)


def test_a_hub_put_back_to_before_a_members_rotation_asks_for_what_it_lost(mesh: InMemory) -> None:
    """The member's head is signed under a key that the hub hears of only by the fact that it lacks."""
    mesh.register(domain="wfp", count=1, private=False)
    mesh.everything_is_healed_and_right()
    mesh.copy_the_disk(domain="hub")
    mesh.rotate_key(domain="wfp")
    mesh.everything_is_healed_and_right()
    mesh.put_the_disk_back(domain="hub")


def test_a_fact_that_only_a_member_holds_comes_back_although_no_head_told_of_it(mesh: InMemory) -> None:
    mesh.register(domain="hub", count=2, private=False)
    mesh.copy_the_disk(domain="hub")
    mesh.everything_is_healed_and_right()
    mesh.register(domain="hub", count=1, private=False)
    mesh.publish(domain="hub")
    mesh.exchange(domain="wfp", most=8, acknowledged=True)
    mesh.wipe_a_stream(domain="hub", stream="FACTS")
    mesh.put_the_disk_back(domain="hub")
    mesh.register(domain="hub", count=1, private=False)


def test_what_was_recorded_although_the_answer_was_lost_is_published_at_once(mesh: InMemory) -> None:
    mesh.lose_the_databases_answer(domain="wfp")
    mesh.register(domain="wfp", count=3, private=False)
    assert len(mesh.acknowledged) == 3
    mesh.publish(domain="wfp")
    assert mesh.world.held("wfp").published["FACTS", "wfp.registry"] == [(1, 1), (1, 2), (1, 3)]


def test_what_was_taken_in_although_the_answer_was_lost_is_gone_on_from(mesh: InMemory) -> None:
    mesh.rotate_key(domain="hub")
    mesh.attend(domain="fao")
    mesh.lose_the_databases_answer(domain="fao")
    mesh.attend(domain="fao")
    mesh.register(count=3, domain="hub", private=False)
    mesh.everything_is_healed_and_right()


LIES = {"altered": {"digest"}, "invented": {"signature"}, "of another mesh": {"mesh"}, "before its turn": set[str]()}


@pytest.mark.parametrize("lie", LIES)
def test_what_a_dishonest_hub_hands_out_stands_nowhere(mesh: InMemory, lie: str) -> None:
    mesh.register(domain="wfp", count=3, private=False)
    mesh.publish(domain="wfp")
    mesh.exchange(domain="hub", most=8, acknowledged=True)
    before = mesh.world.held("fao").facts
    mesh.hand_out_a_lie(domain="fao", member="fao", lie=lie, number=1)
    assert mesh.lies == {"fao"}
    held = mesh.world.held("fao")
    assert held.facts == before
    assert held.refused == LIES[lie]
