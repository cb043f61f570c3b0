"""What a process committed a moment ago is told from memory: in full, in order, or not at all."""

from __future__ import annotations

from shared.facts.fact import Fact
from shared.ledger import recent
from shared.ledger.recent import RecentFacts
from tests.unit.facts.chains import Chain

LEDGER = "wfp.registry"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def facts(count: int, **state: object) -> list[Fact]:
    chain = Chain(ledger=LEDGER)
    return [chain.add({"number": number, **state}) for number in range(count)]


def test_what_follows_a_place_is_told_in_order() -> None:
    made, held = facts(5), RecentFacts()
    held.put(made)
    assert held.after(LEDGER, (1, 0), 100) == made
    assert held.after(LEDGER, (1, 3), 100) == made[3:]
    assert held.after(LEDGER, (1, 1), 2) == made[1:3]


def test_nothing_is_told_of_what_is_not_held_to_the_end() -> None:
    made, held = facts(5), RecentFacts()
    held.put([made[1], made[2], made[4]])
    assert held.after(LEDGER, (1, 0), 100) is None
    assert held.after(LEDGER, (1, 1), 100) is None
    assert held.after(LEDGER, (1, 1), 2) == made[1:3], "as much as was asked for is held"
    assert held.after(LEDGER, (1, 5), 100) is None, "whether another process wrote more is for the store to say"
    assert held.after("fao.registry", (1, 0), 100) is None
    assert held.after(LEDGER, (2, 0), 100) is None


def test_what_is_a_while_ago_is_asked_of_the_store() -> None:
    clock = Clock()
    held, made = RecentFacts(clock), facts(2)
    held.put(made)
    assert held.those_held([made[0].hash, "another"]) == {made[0].hash}
    clock.now += recent.SECONDS + 0.1
    assert held.after(LEDGER, (1, 0), 100) is None
    assert held.those_held([made[0].hash]) == set()


def test_what_was_redacted_is_not_told_any_more() -> None:
    made, held = facts(3), RecentFacts()
    held.put(made)
    held.forget(LEDGER, 1, 2)
    assert held.after(LEDGER, (1, 0), 100) is None
    assert held.after(LEDGER, (1, 2), 100) == made[2:]
    held.clear()
    assert held.after(LEDGER, (1, 2), 100) is None


def test_memory_is_bounded_by_number_and_by_bytes() -> None:
    held = RecentFacts()
    many = facts(recent.MOST_FACTS + 10)
    held.put(many)
    assert held.after(LEDGER, (1, 9), 5000) is None
    assert held.after(LEDGER, (1, 10), 5000) == many[10:]
    large = facts(20, text="x" * (recent.MOST_BYTES // 10))
    held = RecentFacts()
    held.put(large)
    assert held.after(LEDGER, (1, 0), 100) is None
    assert held.after(LEDGER, (1, 12), 100) == large[12:]
