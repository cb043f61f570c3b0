"""When a testbed forms: lead, one other UN entity and the owners of all essential needs have said yes."""

from __future__ import annotations

from services.matching.domain import formation
from services.matching.domain.standing import Answer, standings_of

from .scenes import LATER, NOW, State, answer, is_un, proposal


def lacks(one: State, *answers: Answer) -> set[str]:
    return {fault.code for fault in formation.lacking(one, standings_of(one, answers, NOW), answers, is_un)}


def test_everybodys_yes_is_enough_and_one_essential_yes_less_is_not() -> None:
    one = proposal()
    lead, fao, who = (answer(agency, "accept", one) for agency in ("wfp", "fao", "who"))
    assert lacks(one, lead, fao, who) == set()
    assert lacks(one, lead, fao) == {"essential-not-accepted"}
    assert lacks(one, fao, who) == {"lead-has-not-accepted"}
    assert lacks(one, lead) == {"essential-not-accepted", "one-more-un-entity"}


def test_two_that_are_no_un_entities_are_not_enough() -> None:
    one = proposal(
        team=[
            {"agency": "wfp", "role": "lead", "covers": []},
            {"agency": "university", "role": "partner", "covers": [{"need": "n1", "capability": "c1", "units": 1}]},
        ],
        invitations=[{"agency": "university", "status": "invited", "deadline": None}],
    )
    assert lacks(one, answer("wfp", "accept", one), answer("university", "accept", one)) == {"one-more-un-entity"}


def test_conditions_count_once_the_lead_has_said_yes_after_reading_them() -> None:
    one = proposal()
    who = answer("who", "accept", one)
    conditional = answer("fao", "accept_with_conditions", one, at=12)
    assert lacks(one, answer("wfp", "accept", one, at=11), conditional, who) == {"essential-not-accepted"}
    assert lacks(one, answer("wfp", "accept", one, at=13), conditional, who) == set()


def test_an_essential_need_that_nobody_covers_is_left_open_by_the_lead_or_not_at_all() -> None:
    one = proposal(uncovered=[{"need": "n4", "essential": True}, {"need": "n5", "essential": False}])
    fao, who = (answer(agency, "accept", one) for agency in ("fao", "who"))
    assert lacks(one, answer("wfp", "accept", one), fao, who) == {"essential-open"}
    assert lacks(one, answer("wfp", "accept", one, close=True), fao, who) == set()


def test_the_closing_fact_names_what_it_counted_and_what_each_brings() -> None:
    one = proposal()
    answers = [
        answer("wfp", "accept", one, at=14),
        answer("fao", "accept", one, at=11),
        answer("who", "accept_with_conditions", one, at=12, units={"n2": 1}),
        answer("un-women", "decline", one, at=13),
    ]
    change = formation.form(one, {"title": {"en": "A pilot"}}, standings_of(one, answers, NOW), answers, NOW)
    assert change.agency == "wfp"
    assert [rest.ledger for rest in change.rests_on] == ["wfp.matching", "fao.matching", "who.matching"]
    assert change.state["rests_on"] == [rest.as_json() for rest in change.rests_on]
    brings = {
        member["agency"]: [(b["need"], b["units"]) for b in member["brings"]] for member in change.state["members"]
    }
    assert brings == {"wfp": [], "fao": [("n1", 1)], "who": [("n2", 1)]}
    assert change.state["open_needs"] == ["n3"]


def test_hope_ends_with_the_last_owner_of_an_essential_need() -> None:
    one = proposal()
    assert formation.can_still_form(one, standings_of(one, [answer("un-women", "decline", one)], NOW), is_un)
    assert not formation.can_still_form(one, standings_of(one, [answer("fao", "decline", one)], NOW), is_un)
    assert not formation.can_still_form(one, standings_of(one, [], LATER), is_un)


def formed() -> State:
    one = proposal()
    answers = [answer(agency, "accept", one) for agency in ("wfp", "fao", "who", "un-women")]
    return formation.form(one, {}, standings_of(one, answers, NOW), answers, NOW).state


def test_a_testbed_goes_on_without_a_member_it_can_do_without_and_dissolves_without_an_essential_one() -> None:
    after = formation.after_leaving(formed(), ["un-women"], is_un, NOW)
    assert after is not None
    assert (after["status"], after["agencies"]) == ("formed", ["wfp", "fao", "who"])
    assert formation.after_leaving(after, ["un-women"], is_un, NOW) is None

    essential = formation.after_leaving(formed(), ["fao"], is_un, NOW)
    assert essential is not None
    assert essential["status"] == "dissolved"


def test_nobody_leaving_changes_nothing() -> None:
    assert formation.after_leaving(formed(), [], is_un, NOW) is None
