"""The strategy's measures, commitments, clusters, layers and principles."""

from __future__ import annotations

import pytest

from shared.vocabulary import strategy

MEASURES_PER_COMMITMENT = {"1": 4, "2": 1, "3": 4, "4": 3, "5": 3, "6": 3, "7": 5, "8": 2, "9": 5}


def test_the_road_map_has_nine_commitments_and_thirty_measures():
    assert list(strategy.COMMITMENTS) == list(MEASURES_PER_COMMITMENT)
    assert list(strategy.MEASURES) == [
        f"{commitment}.{number}"
        for commitment, count in MEASURES_PER_COMMITMENT.items()
        for number in range(1, count + 1)
    ]
    assert len(strategy.MEASURES) == 30


@pytest.mark.parametrize(
    ("measure", "cluster"),
    [
        ("1.1", "high_certainty"),
        ("3.3", "high_certainty"),
        ("4.1", "evolving_knowledge"),
        ("6.2", "evolving_knowledge"),
        ("7.1", "high_uncertainty"),
        ("9.5", "high_uncertainty"),
    ],
)
def test_the_cluster_of_a_measure_follows_from_its_commitment(measure, cluster):
    assert strategy.cluster_of(measure) == cluster


def test_a_measure_that_does_not_exist_has_no_cluster():
    with pytest.raises(KeyError):
        strategy.cluster_of("3.9")


def test_four_layers_and_ten_principles():
    assert list(strategy.LAYERS) == ["infra", "data", "human", "policy"]
    assert "".join(strategy.PRINCIPLES) == "abcdefghij"


def test_each_entry_names_its_paragraph():
    assert strategy.PRINCIPLES["f"].source == "CEB/2019/1/Add.3, para. 9 (f)"
    assert strategy.MEASURES["3.3"].source == "CEB/2019/1/Add.3, measure 3.3"
