"""What may be said about a proposal, and what is said back to who may not."""

from __future__ import annotations

from typing import Any

import pytest

from services.matching.domain import in_circle, responding
from services.matching.domain.change import Change
from services.matching.domain.standing import Answer, standings_of
from shared.problems import Conflict, Forbidden, Invalid

from .scenes import LATER, NOW, State, answer, proposal


def say(one: State, agency: str, decision: str, *answers: Answer, now: Any = NOW, **more: Any) -> Change:
    standing = next((s for s in standings_of(one, answers, now) if s.agency == agency), None)
    return responding.responded(
        one,
        agency,
        {"agency": agency, "decision": decision, "proposal_hash": one["hash"], **more},
        standing=standing,
        previous=next((a for a in answers if a.agency == agency), None),
        version=0,
        actor="a1",
        role="approver",
        now=now,
    )


def test_an_acceptance_reserves_what_was_proposed_until_a_stated_day() -> None:
    change = say(proposal(), "who", "accept", reserved_until="2027-04-30")
    assert change.state["reserves"] == [
        {"need": "n2", "code": "human.field_staff", "capability": "c2", "units": 2, "months": ["2027-02"]}
    ]
    assert change.state["reserved_until"] == "2027-04-30"
    assert change.audience == "mesh"
    assert say(proposal(), "who", "accept").state["reserved_until"] == "2027-05-01", "90 days after the deadline"


def test_a_decline_reserves_nothing() -> None:
    assert "reserves" not in say(proposal(), "who", "decline", reason="timing").state


def test_fewer_units_are_a_condition() -> None:
    assert say(proposal(), "who", "accept_with_conditions", units={"n2": 1}).state["reserves"][0]["units"] == 1
    with pytest.raises(Invalid, match="accept_with_conditions"):
        say(proposal(), "who", "accept", units={"n2": 1})
    with pytest.raises(Invalid, match="conditions"):
        say(proposal(), "who", "accept_with_conditions")


def test_words_go_to_the_circle_and_the_meshs_copy_has_none() -> None:
    one = proposal()
    change = say(one, "who", "decline", words="We are already there.")
    assert change.audience == one["circle"]
    assert change.state["words"] == {"en": "We are already there."}
    copy = responding.mesh_copy(change.state)
    assert "words" not in copy
    assert copy["decision"] == "decline"


def test_all_faults_come_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        say(
            proposal(),
            "who",
            "accept",
            reason="mood",
            units={"n1": 1, "n2": 3},
            reserved_until="2026-01-01",
            words={"en": "x" * 2001, "tlh": "Qapla'"},
        )
    assert [fault.field for fault in caught.value.faults] == [
        "reason",
        "words.en",
        "words.tlh",
        "units.n1",
        "units.n2",
        "reserved_until",
        "units",
    ]


@pytest.mark.parametrize(
    "words",
    ["Write to amina@example.org", "Her number is +260 97 123 4567", "passport no. AB123456", "ring 0044 20 7946 0958"],
)
def test_personal_data_does_not_leave(words: str) -> None:
    with pytest.raises(Invalid) as caught:
        say(proposal(), "who", "decline", words=words)
    assert [fault.code for fault in caught.value.faults] == ["personal-data"]


@pytest.mark.parametrize(
    "words", ["From 2027-01-01 to 2027-12-31", "Section 4.2, 1,250,000 people", "See https://example.org/a/12345678"]
)
def test_dates_amounts_and_addresses_are_no_personal_data(words: str) -> None:
    assert say(proposal(), "who", "decline", words=words)


def test_who_is_not_in_the_team_is_not_asked() -> None:
    with pytest.raises(Forbidden, match="not in this team"):
        say(proposal(), "ifad", "accept")


@pytest.mark.parametrize("status", ["draft", "superseded", "closed", "no_partner", "formed"])
def test_only_an_open_proposal_is_answered(status: str) -> None:
    with pytest.raises(Conflict):
        say(proposal(status=status, superseded_by="p2"), "fao", "accept")


def test_after_the_testbed_has_formed_an_acceptance_may_still_be_taken_back() -> None:
    one = proposal(status="formed")
    assert say(one, "fao", "withdraw", answer("fao", "accept", one)).state["decision"] == "withdraw"


def test_after_the_deadline_it_is_too_late_and_before_its_turn_too_early() -> None:
    with pytest.raises(Conflict, match="deadline"):
        say(proposal(), "fao", "accept", now=LATER)
    waiting = proposal(invitations=[{"agency": "fao", "status": "waiting", "deadline": None}])
    with pytest.raises(Conflict, match="waits its turn"):
        say(waiting, "fao", "accept")


def test_the_lead_says_yes_or_takes_it_back_and_does_not_decline_itself() -> None:
    one = proposal()
    assert say(one, "wfp", "accept").state["decision"] == "accept"
    with pytest.raises(Conflict, match="lead does not decline"):
        say(one, "wfp", "decline")


def test_a_suspension_tells_the_circle_why_and_everybody_that() -> None:
    testbed = {"id": "t1", "agencies": ["wfp", "fao"], "pilots": ["p"], "circle": proposal()["circle"]}
    change = in_circle.suspended(testbed, "fao", {"reason": "Flood"}, version=0, actor="a", role="officer", now=NOW)
    assert change.audience == testbed["circle"]
    assert "reason" not in responding.mesh_copy(change.state, ("reason",))
    with pytest.raises(Forbidden):
        in_circle.suspended(testbed, "who", {"reason": "x"}, version=0, actor="a", role="officer", now=NOW)
