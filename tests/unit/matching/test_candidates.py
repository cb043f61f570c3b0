"""A capability suits a need by code, place, months, mode, qualifiers and capacity, and a refusal names the rule."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.matching.candidates import Index, Refusal, Suit, examine
from services.matching.model import Capability, Usage
from services.matching.records import pilot_of
from services.matching.weights import Rules

from .scenes import WORLD, need, offer, pilot


def ask(asked: dict[str, Any], capability: Capability, usage: Usage | None = None, **record: Any) -> Suit | Refusal:
    one = pilot_of(pilot([{**asked}], **record))
    return examine(one.needs[0], capability, one, WORLD, Rules(), usage or Usage())


STAFF = "human.field_staff"
EXPERT = "human.sector_expertise"


@pytest.mark.parametrize(
    ("asked", "offered", "rule"),
    [
        ({}, {"countries": ["NER"]}, "wrong_place"),
        ({}, {"countries": [], "covers": ["NER"]}, "about_elsewhere"),
        ({}, {"countries": [], "delivers_to": ["NER"], "mode": "on_site"}, "wrong_place"),
        ({"delivery": "on_site"}, {"countries": [], "delivers_to": ["NER"], "mode": "either"}, "wrong_place"),
        ({"delivery": "on_site"}, {"mode": "remote"}, "wrong_mode"),
        ({"delivery": "remote"}, {"mode": "on_site"}, "wrong_mode"),
        ({"code": EXPERT, "qualifiers": {"goal": "2"}}, {"code": EXPERT, "units": 1, "goals": ["3"]}, "wrong_goal"),
        ({"code": EXPERT, "qualifiers": {"goal": "2"}}, {"code": EXPERT, "units": 1}, "wrong_goal"),
        ({"qualifiers": {"language": "ny"}}, {"languages": ["en", "fr"]}, "wrong_language"),
        ({"code": STAFF}, {"code": STAFF, "units": 1, "available_from": "2027-03-01"}, "wrong_months"),
        ({"code": STAFF}, {"code": STAFF, "units": 1, "not_before": "2027-03-01"}, "wrong_months"),
        ({"code": STAFF}, {"code": STAFF, "units": 1, "available_to": "2027-06-30"}, "wrong_months"),
        ({}, {"available_from": "2027-08-01"}, "wrong_months"),
        ({}, {"available_to": "2027-01-14"}, "wrong_months"),
        ({}, {"through": {"organisation": "NGO", "screening": {"valid_until": "2027-01-14"}}}, "screening_expired"),
    ],
)
def test_the_first_broken_rule_is_named(asked: dict[str, Any], offered: dict[str, Any], rule: str) -> None:
    answer = ask(need("n1", **asked), offer("fao", **offered))
    assert isinstance(answer, Refusal)
    assert answer.code == rule


@pytest.mark.parametrize(
    ("asked", "offered"),
    [
        ({}, {}),
        ({}, {"countries": []}),
        ({"country": None}, {}),
        ({"delivery": "remote"}, {"countries": [], "delivers_to": ["NER"], "mode": "remote"}),
        ({"qualifiers": {"language": "en"}}, {"languages": ["en-GB", "fr"]}),
        ({"code": EXPERT, "qualifiers": {"goal": "2"}}, {"code": EXPERT, "units": 1, "goals": ["2", "3"]}),
        ({"code": STAFF, "months": ["2027-03"]}, {"code": STAFF, "units": 1, "available_from": "2027-03-31"}),
        ({}, {"available_from": "2027-07-01"}),
        ({}, {"through": {"organisation": "NGO", "screening": {"valid_until": "2027-01-15"}}}),
    ],
)
def test_what_breaks_no_rule_suits(asked: dict[str, Any], offered: dict[str, Any]) -> None:
    assert isinstance(ask(need("n1", **asked), offer("fao", **offered)), Suit)


@pytest.mark.parametrize(
    ("offered", "fit", "confidence"),
    [
        ({}, 1000, "confirmed"),
        ({"countries": []}, 800, "confirmed"),
        ({"confirmed_on": "2026-12-16"}, 1000, "confirmed"),
        ({"confirmed_on": "2026-12-15"}, 950, "likely"),
        ({"confirmed_on": "2026-07-19"}, 950, "likely"),
        ({"confirmed_on": "2026-07-18"}, 850, "to_be_asked"),
        ({"confirmed_on": None}, 850, "to_be_asked"),
        ({"cost": "paid"}, 900, "confirmed"),
        ({"countries": [], "confirmed_on": "2026-12-01", "cost": "recover_cost"}, 737, "likely"),
        ({"available_to": "2027-04-30"}, 850, "confirmed"),  # three of six months: 700 + 300 / 2
    ],
)
def test_fit_is_the_product_of_its_factors(offered: dict[str, Any], fit: int, confidence: str) -> None:
    answer = ask(need("n1"), offer("fao", **offered))
    assert isinstance(answer, Suit)
    assert (answer.fit, answer.confidence) == (fit, confidence)


def test_a_capability_takes_only_so_many_requests_a_month() -> None:
    asked = offer("fao", at_most_per_month=2)
    assert isinstance(ask(need("n1"), asked, Usage(requests={asked.key: 1})), Suit)
    answer = ask(need("n1"), asked, Usage(requests={asked.key: 2}))
    assert isinstance(answer, Refusal)
    assert answer.code == "requests_reached"


def test_capacity_by_kind() -> None:
    staff = offer("fao", STAFF, units=3)
    march = need("n1", STAFF, months=["2027-03", "2027-04"])
    busy = Usage(committed={staff.key: {"2027-04": 2000, "2027-09": 3000}})
    answer = ask(march, staff, busy)
    assert isinstance(answer, Suit)
    assert answer.free == 1000

    hours = offer("fao", "infra.gpu_compute", units=500)
    spent = Usage(committed={hours.key: {"2026-11": 200_000, "2027-09": 300_000}})
    assert isinstance(ask(need("n1", "infra.gpu_compute", quantity=10), hours, spent), Refusal)

    data = offer("fao")
    assert isinstance(ask(need("n1"), data, Usage(committed={data.key: {"2027-03": 10**9}})), Suit)


def test_person_days_and_posts_are_compared() -> None:
    asked = pilot_of(pilot([need("n1", STAFF, quantity=2), need("n2", STAFF, quantity=40, unit="person_days")]))
    assert asked.needs[0].quantity == asked.needs[1].quantity == 2000


CAPABILITIES = st.builds(
    lambda number, agency, code, countries, mode: offer(
        agency, code, id=f"c{number}", countries=countries, units=1, mode=mode
    ),
    st.integers(0, 6),
    st.sampled_from(["fao", "wfp"]),
    st.sampled_from(["data.earth_observation", STAFF]),
    st.lists(st.sampled_from(["ZMB", "NER"]), unique=True),
    st.sampled_from([None, "remote", "on_site"]),
)


@given(st.lists(st.tuples(st.booleans(), CAPABILITIES), max_size=20))
def test_an_index_kept_up_to_date_equals_one_made_anew(changes: list[tuple[bool, Capability]]) -> None:
    kept, held = Index(), {}
    for put, capability in changes:
        if put:
            kept.put(capability)
            held[capability.key] = capability
        else:
            kept.drop(capability.key)
            held.pop(capability.key, None)
    assert kept == Index.of(held.values())
    assert len(kept) == len(held)
    for code in ("data.earth_observation", STAFF):
        assert kept.of_code(code) == sorted((one for one in held.values() if one.code == code), key=lambda one: one.key)
        suiting = {one.key for one in held.values() if one.code == code and _suits(one)}
        assert suiting <= {one.key for one in kept.near(code, ["ZMB"])}


def _suits(capability: Capability) -> bool:
    return isinstance(ask(need("n1", capability.code), capability), Suit)
