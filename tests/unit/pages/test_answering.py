"""Saying something about a proposal: no link says it, the second click does, bound to what was read."""

from __future__ import annotations

import pytest

from tests.unit.pages import sample_records as sample
from tests.unit.pages.conftest import Reader
from tests.unit.pages.fake_node import FakeNode
from tests.unit.pages.reading import elements

PROPOSAL = f"/proposals/{sample.PROPOSAL}"
RESPONSES = f"/matching/v1/proposals/{sample.PROPOSAL}/responses"


def buttons(reader: Reader) -> set[str]:
    """What the page of the proposal offers to say."""
    targets = [e.attributes.get("href", "") for e in elements(reader.opens(PROPOSAL).text) if e.tag == "a"]
    return {t.removeprefix(PROPOSAL + "/").partition("?")[0] for t in targets if t.startswith(PROPOSAL + "/")}


def test_the_page_says_why_and_what_is_weakest(approver: Reader) -> None:
    page = approver.opens(PROPOSAL).text
    assert "FAO, WFP and WMO should do this together." in page
    assert '<p class="weak">The weakest point is weather data' in page
    assert "5 of 5" in page
    assert "to be asked" in page
    assert "Nobody has offered gender expertise." in page
    assert "41.2 of 60 points" in page
    assert "documented" in page


def test_an_approver_may_say_everything(approver: Reader) -> None:
    assert buttons(approver) == {"accept", "conditions", "decline", "interest", "ask"}


def test_an_officer_may_talk_and_ask_and_is_told_who_answers(reader: Reader) -> None:
    officer = reader.signed_in_as("officer")
    assert buttons(officer) == {"interest", "ask"}
    assert "rôle d’approbation" in officer.opens(PROPOSAL).text


def test_who_is_not_asked_has_nothing_to_press(reader: Reader) -> None:
    viewer = reader.signed_in_as("viewer")
    assert buttons(viewer) == set()
    assert "Your agency is not asked here" in viewer.opens(PROPOSAL).text


def test_accepting_takes_a_second_click_that_names_the_agency_and_the_proposal(
    approver: Reader, node: FakeNode
) -> None:
    page = approver.opens(f"{PROPOSAL}/accept?seen={sample.HASH}")
    assert "World Food Programme accepts the invitation" in page.text
    assert "Accept in the name of WFP" in page.text
    assert sample.HASH in page.text
    assert node.said == []
    answer = approver.sends(page, "/accept", confirmed="1")
    assert answer.headers["location"] == f"{PROPOSAL}?said=accept"
    assert node.said == [("POST", RESPONSES, {"agency": "wfp", "decision": "accept", "proposal_hash": sample.HASH})]
    assert node.headers[0]["idempotency-key"]


def test_two_clicks_on_one_button_are_one_command(approver: Reader, node: FakeNode) -> None:
    page = approver.opens(f"{PROPOSAL}/accept?seen={sample.HASH}")
    approver.sends(page, "/accept", confirmed="1")
    approver.sends(page, "/accept", confirmed="1")
    assert node.headers[0]["idempotency-key"] == node.headers[1]["idempotency-key"]


def test_a_proposal_that_changed_since_it_was_read_cannot_be_accepted(approver: Reader, node: FakeNode) -> None:
    page = approver.opens(f"{PROPOSAL}/accept?seen={'00' * 32}")
    assert "has changed since you read it" in page.text
    assert not [e for e in elements(page.text) if e.attributes.get("name") == "confirmed"]


def test_declining_needs_a_reason_and_shows_what_will_be_said(approver: Reader, node: FakeNode) -> None:
    page = approver.opens(f"{PROPOSAL}/decline?seen={sample.HASH}")
    without = approver.sends(page, "/decline", words="Too many at once")
    assert without.status_code == 422
    assert '<a href="#reason">Choose a reason.</a>' in without.text
    assert "Too many at once" in without.text
    review = approver.sends(without, "/decline", reason="no_capacity")
    assert "World Food Programme declines" in review.text
    assert "No capacity in these months" in review.text
    assert "Too many at once" in review.text
    assert node.said == []
    approver.sends(review, "/decline", confirmed="1")
    assert node.said[0][2] == {
        "agency": "wfp",
        "decision": "decline",
        "proposal_hash": sample.HASH,
        "reason": "no_capacity",
        "words": {"en": "Too many at once"},
    }


def test_words_can_be_changed_before_they_are_said(approver: Reader, node: FakeNode) -> None:
    page = approver.opens(f"{PROPOSAL}/ask?seen={sample.HASH}")
    review = approver.sends(page, "/ask", question="When?")
    changed = approver.sends(review, "/ask", change="1")
    assert "When?" in changed.text
    assert node.said == []


def test_conditions_may_offer_less_than_was_proposed(approver: Reader, node: FakeNode) -> None:
    node.proposals[0]["team"][1]["covers"][0]["units"] = 2
    page = approver.opens(f"{PROPOSAL}/conditions?seen={sample.HASH}")
    review = approver.sends(page, "/conditions", conditions="Only Eastern", **{"units-n1": "1,5"}, tongue="fr")
    assert "1.5 posts" in review.text
    approver.sends(review, "/conditions", confirmed="1")
    assert node.said[0][2]["units"] == {"n1": 1.5}
    assert node.said[0][2]["conditions"] == {"fr": "Only Eastern"}
    assert node.said[0][2]["decision"] == "accept_with_conditions"


def test_more_than_was_proposed_is_not_offered(approver: Reader) -> None:
    page = approver.opens(f"{PROPOSAL}/conditions?seen={sample.HASH}")
    answer = approver.sends(page, "/conditions", conditions="x", **{"units-n1": "7"})
    assert answer.status_code == 422
    assert 'href="#units-n1"' in answer.text


def test_a_replaced_proposal_leads_to_the_new_one(approver: Reader, node: FakeNode) -> None:
    page = approver.opens(f"{PROPOSAL}/accept?seen={sample.HASH}")
    node.proposals[0].update(status="superseded", superseded_by=sample.NOBODY)
    node.refuse[RESPONSES] = (409, {"type": "https://pilotmesh.org/problems/conflict", "detail": "superseded"})
    answer = approver.sends(page, "/accept", confirmed="1")
    assert answer.status_code == 409
    assert "replaced by a newer one" in answer.text
    assert f'href="/proposals/{sample.NOBODY}"' in answer.text


@pytest.mark.parametrize(
    ("status", "slug"), [(403, "forbidden"), (409, "conflict"), (412, "stale"), (503, "unavailable")]
)
def test_a_refusal_says_that_nothing_was_recorded_and_keeps_the_words(
    approver: Reader, node: FakeNode, status: int, slug: str
) -> None:
    page = approver.sends(approver.opens(f"{PROPOSAL}/interest?seen={sample.HASH}"), "/interest", words="About Eastern")
    node.refuse[RESPONSES] = (status, {"type": f"https://pilotmesh.org/problems/{slug}", "detail": "Because."})
    answer = approver.sends(page, "/interest", confirmed="1")
    assert answer.status_code == status
    assert "Nothing was recorded" in answer.text
    assert '<span lang="en">Because.</span>' in answer.text
    assert "About Eastern" in answer.text


def test_the_lead_releases_and_forms(reader: Reader, node: FakeNode) -> None:
    lead = reader.signed_in_as("lead")
    assert buttons(lead) == {"agree", "form"}
    node.proposals[0]["status"] = "draft"
    assert buttons(lead) == {"release"}
    page = lead.opens(f"{PROPOSAL}/release?seen={sample.HASH}")
    assert "WFP and WMO" in page.text
    lead.sends(page, "/release", confirmed="1")
    assert node.said[0] == ("POST", f"/matching/v1/proposals/{sample.PROPOSAL}/release", {"proposal_hash": sample.HASH})


def test_the_lead_answers_a_question(reader: Reader, node: FakeNode) -> None:
    node.proposals[0]["questions"][0]["answer"] = None
    lead = reader.signed_in_as("lead")
    assert "reply" in buttons(lead)
    page = lead.opens(f"{PROPOSAL}/reply?question=q1&seen={sample.HASH}")
    assert "Which district comes first?" in page.text
    lead.sends(lead.sends(page, "/reply", answer="Eastern"), "/reply", confirmed="1")
    assert node.said[0][2] == {"question": "q1", "answer": {"en": "Eastern"}}


def test_what_is_typed_is_never_read_as_markup(approver: Reader) -> None:
    page = approver.opens(f"{PROPOSAL}/ask?seen={sample.HASH}")
    review = approver.sends(page, "/ask", question="<script>alert(1)</script>")
    assert "<script>" not in review.text
    assert "&lt;script&gt;" in review.text


def test_an_unknown_act_is_no_page(approver: Reader) -> None:
    assert approver.opens(f"{PROPOSAL}/abolish").status_code == 404


def test_a_member_suspends_its_part_at_once(approver: Reader, node: FakeNode) -> None:
    path = f"/testbeds/{sample.TESTBED}/suspend"
    without = approver.sends(approver.opens(path), "/suspend")
    assert without.status_code == 422
    review = approver.sends(without, "/suspend", reason="Flood in the district")
    assert "suspends its part" in review.text
    assert node.said == []
    done = approver.sends(review, "/suspend", confirmed="1")
    assert done.headers["location"] == f"/testbeds/{sample.TESTBED}?said=suspend"
    assert node.said[0][2] == {"agency": "wfp", "reason": {"en": "Flood in the district"}}
