"""The lines of an event stream become events, as the standard has it."""

from __future__ import annotations

from deploy.cli.watching import Event, events_of


def test_an_event_carries_its_place_and_its_data() -> None:
    lines = ["id: j.1", 'data: {"type": "x"}', ""]
    assert list(events_of(lines)) == [Event("j.1", "message", '{"type": "x"}')]


def test_comments_and_unknown_fields_are_passed_over() -> None:
    lines = [": heartbeat", "", "retry: 1000", "colour: blue", "", "data: a", ""]
    assert list(events_of(lines)) == [Event(None, "message", "a")]


def test_data_on_several_lines_is_one_text() -> None:
    assert list(events_of(["data: a", "data:b", ""])) == [Event(None, "message", "a\nb")]


def test_the_place_stays_until_another_is_told() -> None:
    lines = ["id: j.1", "data: a", "", "data: b", ""]
    assert [event.id for event in events_of(lines)] == ["j.1", "j.1"]


def test_a_place_without_data_moves_on_and_tells_nothing() -> None:
    assert list(events_of([": heartbeat", "id: j.7", ""])) == [Event("j.7", "message", "")]


def test_an_event_that_a_break_cut_off_is_not_told() -> None:
    assert list(events_of(["id: j.1", "data: half"])) == []
