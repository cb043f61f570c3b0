"""A proposal's steps: made, released, superseded; each has one successor."""

from __future__ import annotations

from services.matching.domain import proposing
from services.matching.domain.binding import part_of
from services.matching.domain.standing import standings_of
from services.matching.lists import gaps_in
from shared.facts.fact import to_bytes
from shared.ledger.rows import Row, Track

from .scenes import NOW, State, answer, proposal


def test_a_proposal_has_one_successor() -> None:
    assert proposing.proposal_id("wfp", "pilot", None) == proposing.proposal_id("wfp", "pilot", None)
    assert len({proposing.proposal_id("wfp", "pilot", previous) for previous in (None, "p1", "p2")}) == 3


def test_invitations_go_to_who_has_room_and_the_others_wait() -> None:
    one = proposing.released(
        proposal(status="draft", invitations=[], deadline=None),
        now=NOW,
        days=21,
        free_slots={"fao": 1, "who": 0, "un-women": -2},
        offices={"fao": "office-1"},
    )
    assert [(i["agency"], i["status"], i["deadline"]) for i in one["invitations"]] == [
        ("fao", "invited", "2027-01-31T12:00:00.000000Z"),
        ("who", "waiting", None),
        ("un-women", "waiting", None),
    ]
    assert one["invitations"][0]["office"] == "office-1"
    assert (one["status"], one["released"], one["deadline"]) == ("open", True, "2027-01-31T12:00:00.000000Z")

    later = proposing.invited_further(one, ["who"], now=NOW.replace(day=20), days=21)
    assert [i["status"] for i in later["invitations"]] == ["invited", "invited", "waiting"]
    assert later["invitations"][1]["deadline"] == later["deadline"] == "2027-02-10T12:00:00.000000Z"
    assert later["invitations"][0] == one["invitations"][0]


def test_who_said_no_is_not_asked_again_and_why_is_kept() -> None:
    one = proposal(out=[{"agency": "itu", "why": "silent"}])
    standings = standings_of(one, [answer("fao", "decline", one), answer("who", "accept", one)], NOW)
    assert proposing.left_out(one, standings) == [
        {"agency": "fao", "why": "declined"},
        {"agency": "itu", "why": "silent"},
    ]


def test_only_a_plain_acceptance_is_carried_over() -> None:
    one = proposal()
    given = [answer("fao", "accept", one), answer("who", "accept_with_conditions", one)]
    (carried,) = proposing.to_carry(one, standings_of(one, given, NOW))
    assert (carried["agency"], carried["part"]) == ("fao", part_of(one, "fao"))


def test_what_is_not_released_stays_in_the_agency_and_nothing_of_a_private_pilot_leaves() -> None:
    assert proposing.audience_of({"status": "draft"}, "mesh") == "private"
    assert proposing.audience_of({"status": "open"}, "mesh") == "mesh"
    assert proposing.audience_of({"status": "no_partner"}, "mesh") == "mesh"
    assert proposing.audience_of({"status": "open"}, "private") == "private"


def row_of(state: State) -> Row:
    track = Track("wfp.matching", 1, 1, 1, "0" * 64, "made", NOW, to_bytes(state), full=1)
    return Row(("wfp", "matching", f"proposal/{state['id']}"), (track,))


def test_gaps_count_what_nobody_can_meet_and_not_what_the_team_did_without() -> None:
    def missing(pilot: str, code: str, essential: bool = False) -> State:
        return {
            "id": f"of-{pilot}",
            "pilot": pilot,
            "lead": "wfp",
            "countries": ["ZMB"],
            "needs": [{"id": "n1", "code": "infra.power", "country": None}],
            "uncovered": [
                {"need": "n1", "essential": essential, "why": {"code": code}, "suggestions": [{"code": "s"}]}
            ],
        }

    states = [missing("a", "nobody_offers"), missing("b", "wrong_place", True), missing("c", "not_worth_a_member")]
    (gap,) = gaps_in(map(row_of, states))
    assert (gap["code"], gap["country"], gap["pilots"], gap["essential"]) == ("infra.power", "ZMB", ["a", "b"], True)
    assert gap["suggestions"] == [{"code": "s"}]
