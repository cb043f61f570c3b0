"""Where an agency stands: its invitation is the lead's word, its answer its own."""

from __future__ import annotations

import pytest

from services.matching.domain.standing import leads_word, standings_of

from .scenes import LATER, NOW, answer, proposal


@pytest.mark.parametrize(
    ("decision", "status"),
    [
        ("accept", "accepted"),
        ("accept_with_conditions", "conditional"),
        ("decline", "declined"),
        ("withdraw", "withdrawn"),
        ("interest", "interest"),
    ],
)
def test_an_answer_to_this_hash_counts(decision: str, status: str) -> None:
    one = proposal()
    assert standings_of(one, [answer("fao", decision, one)], NOW)[0].status == status


def test_an_answer_to_another_hash_or_proposal_does_not_count() -> None:
    one = proposal()
    for other in (proposal(material="m2"), proposal(id="p0")):
        assert standings_of(one, [answer("fao", "accept", other)], NOW)[0].status == "invited"


def test_silence_is_a_no_after_the_deadline_and_talking_first_is_silence_too() -> None:
    one = proposal()
    assert [s.status for s in standings_of(one, [answer("who", "interest", one)], LATER)] == ["silent"] * 3


def test_who_waits_its_turn_has_no_deadline_to_miss() -> None:
    one = proposal(invitations=[{"agency": "fao", "status": "waiting", "deadline": None}])
    assert standings_of(one, [], LATER)[0].status == "waiting"


def test_an_acceptance_is_carried_over_until_its_agency_thinks_better_of_it() -> None:
    old = proposal(id="p0")
    given = answer("fao", "accept", old)
    entry = {"agency": "fao", "response": given.id, "proposal": "p0", "proposal_hash": old["hash"], "part": "x"}
    one = proposal(carried=[entry])

    standing = standings_of(one, [given], NOW)[0]
    assert (standing.status, standing.carried, standing.as_json()["carried"]) == ("accepted", True, True)

    assert standings_of(one, [answer("fao", "decline", old)], NOW)[0].status == "invited"
    taken_back = answer("fao", "withdraw", one)
    assert standings_of(one, [given, taken_back], NOW)[0].status == "withdrawn"


def test_a_reservation_that_lapsed_is_a_no_while_the_proposal_is_open_and_stands_once_the_testbed_has_formed() -> None:
    one = proposal()
    given = answer("fao", "accept", one, reserved_until="2027-02-15")
    assert standings_of(one, [given], NOW)[0].status == "accepted"
    assert standings_of(one, [given], LATER)[0].status == "silent"
    assert standings_of({**one, "status": "formed"}, [given], LATER)[0].status == "accepted"


def test_the_leads_own_word_is_its_approvers_and_may_be_taken_back() -> None:
    one = proposal()
    assert leads_word(one, []) is None
    assert leads_word(one, [answer("wfp", "accept", one)]) is not None
    assert leads_word(one, [answer("wfp", "withdraw", one)]) is None
