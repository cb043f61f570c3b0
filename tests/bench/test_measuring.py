"""What the bench says can be believed: its client reads answers whole, its figures are what they are called."""

from __future__ import annotations

import pytest

from tests.bench.load import Answers
from tests.bench.measures import Goal, Measure, percentile
from tests.bench.samples import MARK, numbered_request, observations

ANSWER = b'HTTP/1.1 201 Created\r\nserver: x\r\nContent-Length: 9\r\netag: "1"\r\n\r\n{"id": 1}'


@pytest.mark.parametrize("size", [1, 2, 7, 20, 33, 1000])
def test_an_answer_is_taken_once_it_is_whole_however_it_is_cut(size: int) -> None:
    answers = Answers()
    sent = ANSWER * 3
    found = []
    for at in range(0, len(sent), size):
        found += answers.feed(sent[at : at + size])
    assert found == [(201, b'{"id": 1}')] * 3


def test_an_answer_of_unknown_length_is_an_error() -> None:
    with pytest.raises(AssertionError, match="without Content-Length"):
        Answers().feed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")


def test_every_numbered_request_is_as_long_as_it_says() -> None:
    template = numbered_request("/v1/pilots", "token", {"title": f"Pilot {MARK}", "id": f"X-{MARK}"})
    for number in (1, 123_456_789):
        head, body = template.numbered(number).split(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        assert b"%09d" % number in body


def test_no_two_observations_of_an_indicator_are_about_the_same() -> None:
    listed = [row for first in range(0, 2_400, 800) for row in observations("i" * 36, "p", "ZMB", 800, first)]
    assert len({(row["period"]["start"], row["disaggregation"]["SEX"]) for row in listed}) == 2_400
    assert len({row["id"] for row in listed}) == 2_400


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([5, 1, 4, 2, 3], 0.5) == 3
    assert percentile([5, 1, 4, 2, 3], 0.99) == 5
    assert percentile([7], 0) == 7
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_a_ratio_compares_within_rounds_so_that_a_slow_round_does_not_count_for_one_side() -> None:
    measure = Measure("x", "1/s", Goal("at least", 0.5), node=[60, 6, 58], bare=[100, 10, 100])
    assert measure.ratio == 0.6
    assert measure.is_reached


def test_what_has_no_counterpart_is_held_against_its_own_value() -> None:
    assert Measure("memory", "MB", Goal("at most", 500), node=[300]).is_reached
    assert not Measure("start", "s", Goal("at most", 5), node=[6.1]).is_reached
    assert Measure("rebuild", "facts/s", node=[100]).is_reached is None
