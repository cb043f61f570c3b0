"""The hash people answer to: it moves with what they answered, and with nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from services.matching.domain.binding import hash_of, material_of, part_of

from .scenes import State, cover, proposal

PILOT: State = {
    "title": {"en": "A pilot"},
    "needs": [{"id": "n1", "code": "human.field_staff", "quantity": 1}, {"id": "n2", "code": "data.health"}],
    "sites": [{"id": "s1", "country": "ZMB"}],
    "countries": ["ZMB"],
    "target_groups": ["rural", ["women", "youth"]],
    "starts_on": "2027-01-01",
}


@pytest.mark.parametrize(
    "change",
    [
        {"needs": [{"id": "n1", "code": "human.field_staff", "quantity": 2}, {"id": "n2", "code": "data.health"}]},
        {"sites": [{"id": "s1", "country": "MWI"}]},
        {"starts_on": "2027-02-01"},
        {"target_groups": ["rural"]},
        {"ai": {"decides": "acts"}},
        {"exclusions": ["who"]},
    ],
)
def test_a_material_change_moves_the_digest(change: dict[str, Any]) -> None:
    assert material_of({**PILOT, **change}) != material_of(PILOT)


@pytest.mark.parametrize(
    "change",
    [
        {"title": {"en": "Another title"}, "summary": {"en": "New"}},
        {"needs": list(reversed(PILOT["needs"]))},
        {"life": "forming", "testbed": "t1", "version": 9},
        {"sources": [{"url": "https://example.org"}]},
    ],
)
def test_what_nobody_answered_to_does_not(change: dict[str, Any]) -> None:
    assert material_of({**PILOT, **change}) == material_of(PILOT)


def test_a_hash_depends_on_who_does_what_and_not_on_how_well_it_is_told() -> None:
    one = proposal()
    assert hash_of({**one, "sentences": {"en": ["x"]}, "priority": {"score": 1}, "coverage": 0.1}) == one["hash"]
    assert hash_of({**one, "team": list(reversed(one["team"]))}) == one["hash"]
    for team in (one["team"][:-1], [*one["team"][:-1], {**one["team"][-1], "covers": [cover("n3", "c3", 2)]}]):
        assert hash_of({**one, "team": team}) != one["hash"]


def test_a_members_part_is_its_own_alone() -> None:
    one = proposal()
    fewer = {**one, "team": one["team"][:2]}
    assert part_of(fewer, "fao") == part_of(one, "fao")
    assert part_of({**one, "material": "m2"}, "fao") != part_of(one, "fao")
    assert part_of(one, "fao") != part_of(one, "who")
    assert part_of(one, "ifad") is None
