"""A deadline passes while an agency's node is cut off: what it answered in time arrives late, and is not lost.

Time is the test's here. Both agencies' ledgers are in one store; that an answer arrives later than it was given is what
counts, and that is played by writing it down later with the time at which it was given.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from services.matching import documents
from services.matching.domain import responding
from services.matching.domain.standing import standings_of
from shared.settings import Settings

from .quiet_matching import APPROVER, QuietMatching, quiet_matching, team

STAFF = {"code": "human.field_staff"}
EARTH = {"code": "data.earth_observation"}
GENDER = {"code": "human.gender_expertise", "essential": False}


@pytest.fixture
def matching(database_settings: Settings) -> Iterator[QuietMatching]:
    settings = database_settings.model_copy(update={"release": "auto", "invitation_days": 10})
    with quiet_matching(settings, "wfp", "fao", "who", "un-women") as made:
        yield made


class OnItsWay:
    """An agency's word, given now on its own node, that arrives when the test says."""

    def __init__(self, matching: QuietMatching, agency: str, decision: str, pilot: str, **more: Any) -> None:
        row = documents.proposals_of(pilot, "wfp")[0]
        answers = documents.answers_to([row])
        own_id = responding.response_id("wfp", row.id, agency)
        previous = next((one for one in answers if one.id == own_id), None)
        newest = matching.ledger.newest(agency, "response", own_id)
        self._matching = matching
        self._change = responding.responded(
            row.state,
            agency,
            {"decision": decision, "proposal_hash": row.state["hash"], **more},
            standing=next(one for one in standings_of(row.state, answers, matching.time) if one.agency == agency),
            previous=previous,
            version=0 if newest is None else newest.header.version,
            actor=APPROVER.actor,
            role=APPROVER.role,
            now=matching.time,
        )

    def arrives(self) -> None:
        self._matching.write(self._change)
        self._matching.settle()


def test_an_answer_given_in_time_counts_as_long_as_the_lead_has_not_closed(matching: QuietMatching) -> None:
    matching.offer("fao")
    matching.offer("un-women", "human.gender_expertise", units=2)
    pilot = matching.pilot("wfp", EARTH, GENDER)
    matching.settle()
    matching.says("fao", "accept", pilot)
    matching.settle()
    given = OnItsWay(matching, "un-women", "accept", pilot)
    matching.wait(days=12)
    given.arrives()
    matching.says("wfp", "accept", pilot)
    matching.settle()
    (testbed,) = matching.testbeds()
    assert testbed.state["agencies"] == ["wfp", "fao", "un-women"], "the closing fact's list settles it, not a clock"


def test_who_was_taken_for_silent_reads_that_its_answer_came_too_late(matching: QuietMatching) -> None:
    matching.offer("fao", confirmed_on="2026-11-30")
    matching.offer("who", cost="paid")
    pilot = matching.pilot()
    matching.settle()
    given = OnItsWay(matching, "fao", "accept", pilot)
    matching.wait(days=11)
    newer, older = matching.chain(pilot)
    assert (team(newer), older["status"]) == (["wfp", "who"], "superseded")

    given.arrives()

    newer, older = matching.chain(pilot)
    (aside,) = older["set_aside"]
    assert (aside["agency"], aside["why"], aside["read_instead"]) == ("fao", "superseded", newer["id"])
    assert newer["status"] == "open", "who is asked now stays asked"


def test_who_was_silenced_by_the_link_is_asked_again_when_somebody_is_needed(matching: QuietMatching) -> None:
    matching.offer("fao")
    pilot = matching.pilot()
    matching.settle()
    given = OnItsWay(matching, "fao", "accept", pilot)
    matching.wait(days=11)
    assert matching.statuses(pilot) == ["no_partner", "superseded"]

    given.arrives()

    newer, older = matching.chain(pilot)
    assert older["set_aside"]
    assert (newer["status"], team(newer)) == ("open", ["wfp", "fao"])


def test_an_agency_that_is_silent_again_after_it_was_asked_again_is_left_in_peace(matching: QuietMatching) -> None:
    matching.offer("fao")
    pilot = matching.pilot()
    matching.settle()
    given = OnItsWay(matching, "fao", "accept", pilot)
    matching.wait(days=11)
    given.arrives()
    matching.wait(days=11)
    assert matching.statuses(pilot)[0] == "no_partner"
    matching.wait(days=30)
    assert matching.statuses(pilot)[0] == "no_partner"


def test_a_late_answer_is_set_aside_once(matching: QuietMatching) -> None:
    matching.offer("fao", confirmed_on="2026-11-30")
    matching.offer("who", cost="paid")
    pilot = matching.pilot()
    matching.settle()
    given = OnItsWay(matching, "fao", "accept", pilot)
    matching.wait(days=11)
    given.arrives()
    facts = matching.facts()
    matching.work.touch([f"pilot|wfp|{pilot}"])
    matching.settle()
    assert matching.facts() == facts


def test_what_had_been_heard_when_a_proposal_was_replaced_is_not_late(matching: QuietMatching) -> None:
    matching.offer("fao")
    matching.offer("who", "human.field_staff", units=2)
    pilot = matching.pilot("wfp", EARTH, STAFF)
    matching.settle()
    matching.says("fao", "accept_with_conditions", pilot, conditions={"en": "In June."})
    matching.settle()
    matching.wait(days=11)
    older = matching.chain(pilot)[-1]
    assert older["status"] == "superseded"
    assert "set_aside" not in older


def test_a_decline_that_arrives_late_needs_no_word(matching: QuietMatching) -> None:
    matching.offer("fao", confirmed_on="2026-11-30")
    matching.offer("who", cost="paid")
    pilot = matching.pilot()
    matching.settle()
    given = OnItsWay(matching, "fao", "decline", pilot)
    matching.wait(days=11)
    given.arrives()
    assert "set_aside" not in matching.chain(pilot)[-1]


@pytest.mark.parametrize("changed_mind", ["withdraw", "decline", "interest"])
def test_a_member_that_changed_its_mind_before_it_heard_of_the_testbed_is_out(
    matching: QuietMatching, changed_mind: str
) -> None:
    matching.offer("fao")
    pilot = matching.pilot()
    matching.settle()
    matching.says("fao", "accept", pilot)
    matching.settle()
    second = OnItsWay(matching, "fao", changed_mind, pilot)
    matching.wait(hours=1)
    matching.says("wfp", "accept", pilot)
    matching.settle()
    assert [row.state["status"] for row in matching.testbeds()] == ["formed"]

    second.arrives()

    assert [row.state["status"] for row in matching.testbeds()] == ["dissolved"]


def test_a_private_pilots_draft_stays_private_when_it_is_closed(matching: QuietMatching) -> None:
    matching.offer("fao")
    pilot = matching.pilot("wfp", EARTH, audience="private")
    matching.settle()
    assert matching.statuses(pilot) == ["draft"]
    state = next(row.state for row in documents.matching_rows().all() if row.kind == "pilot" and row.id == pilot)
    matching.registry("pilot", pilot, "wfp", {**state, "life": "closed"}, version=2, audience="private")
    matching.settle()
    (row,) = documents.proposals_of(pilot, "wfp")
    assert (row.state["status"], row.shown.ledger) == ("closed", "wfp.matching.private")
    assert {track.ledger for track in row.tracks} == {"wfp.matching.private"}
