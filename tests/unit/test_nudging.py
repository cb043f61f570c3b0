"""Who is told of news first, and that nobody is told twice."""

from __future__ import annotations

from shared.bus.nudging import Neighbours, Nudges

A, B = frozenset({"wfp.registry"}), frozenset({"fao.registry"})


async def nobody_else(message: bytes, subject: str) -> None:
    raise AssertionError("there is no loop to publish in")


def test_whoever_carries_facts_on_is_told_before_they_are_folded_and_once() -> None:
    neighbours = Neighbours()
    nudges = Nudges("registry", neighbours, nobody_else)
    carriers: list[frozenset[str]] = []
    followers: list[frozenset[str]] = []
    with neighbours.listening_ahead(carriers.append), neighbours.listening(followers.append):
        nudges.tell_ahead(A)
        assert (carriers, followers) == ([A], [])
        nudges.tell(A, None, told_ahead=True)
        assert (carriers, followers) == ([A], [A])
        nudges.tell(B, None)  # what came from elsewhere, or was appended without a fold
        assert (carriers, followers) == ([A, B], [A, B])
    nudges.tell(A, None)
    nudges.tell_ahead(A)
    assert (carriers, followers) == ([A, B], [A, B])
