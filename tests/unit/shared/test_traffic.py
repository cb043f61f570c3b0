"""What can wait gives way to commands, and is done all the same."""

from __future__ import annotations

from shared.traffic import AT_ONCE, JUST_NOW_SECONDS, MANY, WITHIN_SECONDS, Traffic


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def test_nothing_waits_where_nobody_asks() -> None:
    clock = Clock()
    Traffic(clock).give_way(2.0, clock.wait)
    assert clock.now == 100.0


def test_a_command_just_answered_is_told_first() -> None:
    clock = Clock()
    traffic = Traffic(clock)
    with traffic.passing():
        assert not traffic.is_quiet
    assert not traffic.is_quiet
    traffic.give_way(2.0, clock.wait)
    assert JUST_NOW_SECONDS < clock.now - 100.0 < 2 * JUST_NOW_SECONDS
    assert traffic.is_quiet


def test_what_gives_way_has_its_turn_however_long_the_rush_lasts() -> None:
    clock = Clock()
    traffic = Traffic(clock)
    with traffic.passing():
        traffic.give_way(2.0, clock.wait)
    assert 2.0 <= clock.now - 100.0 < 2.2


def test_many_commands_in_a_moment_are_a_rush_and_a_moment_later_no_more() -> None:
    clock = Clock()
    traffic = Traffic(clock)
    for number in range(MANY):
        assert not traffic.is_rushing, number
        with traffic.passing():
            clock.wait(WITHIN_SECONDS / MANY / 2)
    assert traffic.is_rushing
    clock.wait(WITHIN_SECONDS)
    assert not traffic.is_rushing


def test_who_only_waits_for_what_gives_way_holds_it_up_no_longer() -> None:
    traffic = Traffic(Clock())
    with traffic.passing(), traffic.passing(), traffic.passing():
        assert AT_ONCE == 3
        assert traffic.is_rushing
        with traffic.standing_aside():
            assert not traffic.is_rushing
        assert traffic.is_rushing
