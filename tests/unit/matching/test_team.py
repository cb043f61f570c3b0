"""What matching proposes for one pilot: who, what stays open, what else could be, and when nobody should be asked."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import Any

import pytest

from services.matching.candidates import Index
from services.matching.model import Offered, Usage
from services.matching.records import pilot_of
from services.matching.team import propose
from services.matching.weights import Rules

from .scenes import AGENCIES, CODES, WORLD, covers, match, need, offer, pilot

STAFF = "human.field_staff"
GENDER = "human.gender_expertise"
MAPS = "data.base_maps"
SCIENCE = "human.data_science"
GPU = "infra.gpu_compute"


def test_each_partner_brings_something_exactly_and_the_lead_may_bring_things_itself() -> None:
    one = match(
        pilot([need("n1", essential=True), need("n2", STAFF), need("n3", GENDER)]),
        [offer("wfp", STAFF, units=1), offer("fao"), offer("un-women", GENDER, units=1), offer("who", MAPS)],
    )
    assert covers(one) == {"wfp": ["n2"], "fao": ["n1"], "un-women": ["n3"]}
    assert one.proposal.status == "proposed"
    assert one.proposal.coverage == 1
    assert (one.proposal.essential_covered, one.proposal.essential_total) == (1, 1)
    assert one.proposal.bound.proven
    assert [member.role for member in one.proposal.team] == ["lead", "partner", "partner"]


def test_one_open_data_set_serves_40_pilots_without_a_word_about_capacity() -> None:
    data = offer("fao", units=1)
    index = Index.of([data])
    committed: dict[Offered, dict[str, int]] = {data.key: {}}
    for number in range(40):
        record = pilot([need("n1", essential=True, quantity=3)], id=f"p{number}")
        usage = Usage(committed=committed, load={"fao": number})
        proposal = propose(pilot_of(record), index, WORLD, replace(Rules(), load_cap=1000), usage)
        assert proposal.partners == ("fao",)
        assert proposal.coverage == 1
        for month in ("2027-02", "2027-03"):
            committed[data.key][month] = committed[data.key].get(month, 0) + 3000
        said = str(proposal.as_state()["team"]) + str(proposal.as_state()["uncovered"]) + str(proposal.sentences)
        assert "capacity" not in said
        assert "promised" not in said


def test_nobody_who_covers_anything_exactly_means_no_meaningful_partner_and_says_what_is_missing() -> None:
    one = match(pilot([need("n1", essential=True)]), [offer("fao", MAPS), offer("who", STAFF, units=2)])
    assert one.proposal.status == "no_meaningful_partner"
    assert one.proposal.partners == ()
    assert one.proposal.sentences["en"].startswith("No meaningful partner found: earth observation (Zambia).")
    gap = one.proposal.uncovered[0]
    assert (gap.need, gap.essential, gap.why.code) == ("n1", True, "nobody_offers")
    assert [(hint.code, hint.as_state()["agency"]) for hint in gap.suggestions] == [("sibling", "fao")]


def test_a_partner_that_is_no_un_entity_does_not_make_the_team_multi_agency() -> None:
    record = pilot([need("n1"), need("n2", STAFF)])
    alone = match(record, [offer("university")])
    assert alone.proposal.status == "no_meaningful_partner"
    both = match(record, [offer("university"), offer("fao", STAFF, units=1)])
    assert both.proposal.partners == ("fao", "university")


def test_a_sibling_covers_only_after_the_lead_confirmed_it() -> None:
    record = pilot([need("n1", essential=True)])
    assert match(record, [offer("fao", MAPS)]).proposal.status == "no_meaningful_partner"
    confirmed = match(record, [offer("fao", MAPS)], substitutions=frozenset({("p1", "n1", MAPS)}))
    assert covers(confirmed) == {"wfp": [], "fao": ["n1"]}
    assert "substitute" in confirmed.proposal.team[1].covers[0].factors


def test_essential_needs_come_before_everything_else() -> None:
    optional = [need(f"n{number}", code) for number, code in enumerate([MAPS, GENDER, SCIENCE])]
    record = pilot([need("e1", essential=True), *optional])
    offers = [offer("fao", confirmed_on=None, countries=[], cost="paid")]
    offers += [offer("who", code, units=1) for code in (MAPS, GENDER, SCIENCE)]
    assert match(record, offers, team_limit=2).proposal.partners == ("fao",)
    assert match(record, offers, team_limit=3).proposal.partners == ("fao", "who")


def test_what_is_not_covered_says_why() -> None:
    def why(offers: list[Any], asked: dict[str, Any] | None = None, **rules: Any) -> str:
        record = pilot([need("n0", MAPS, essential=True), asked or need("n1", STAFF, quantity=4)])
        one = match(record, [offer("itu", MAPS), *offers], **rules)
        return next(gap.why.code for gap in one.proposal.uncovered if gap.need == "n1")

    staff = offer("fao", STAFF, units=4)
    assert why([]) == "nobody_offers"
    assert why([offer("fao", STAFF, units=4, countries=["NER"])]) == "wrong_place"
    assert why([offer("fao", STAFF, units=3)]) == "not_enough"
    assert why([offer("fao", STAFF, units=0.5)]) == "too_small"
    assert why([staff], team_limit=2) == "team_full"
    assert why([staff], member_cost=0.9) == "not_worth_a_member"
    assert why([staff], recusals=frozenset({("fao", "p1")})) == "all_barred"
    assert why([staff], load_caps={"fao": 0}) == "all_barred"
    assert why([], need("n1", "funding")) == "met_by_funders"


def test_what_is_already_met_is_left_alone() -> None:
    record = pilot([need("n1", already_met_by={"agency": "who"}), need("n2", MAPS)])
    one = match(record, [offer("fao"), offer("itu", MAPS)])
    assert one.proposal.already_met == ("n1",)
    assert one.proposal.partners == ("itu",)


def test_a_pilot_that_asks_for_nothing_gets_no_team_and_no_invitation() -> None:
    for needs in ([], [need("n1", "funding")], [need("n1", already_met_by={"agency": "who"})]):
        one = match(pilot(needs), [offer("fao")])
        assert one.proposal.status == "nothing_to_match"
        assert one.proposal.partners == ()


def test_one_data_scientist_serves_two_needs_in_different_quarters_and_one_in_the_same_month() -> None:
    scientist = offer("fao", SCIENCE, units=1)
    first = need("n1", SCIENCE, months=["2027-02", "2027-03", "2027-04"])
    later = need("n2", SCIENCE, months=["2027-05", "2027-06", "2027-07"])
    overlapping = need("n2", SCIENCE, months=["2027-04", "2027-05"])
    assert match(pilot([first, later]), [scientist]).proposal.coverage == 1
    same = match(pilot([first, overlapping]), [scientist]).proposal
    assert same.coverage == 0.5
    assert same.uncovered[0].why.code == "used_elsewhere"


def test_what_is_used_up_is_shared_by_needs_whatever_their_months() -> None:
    needs = [need("n1", GPU, quantity=60, months=["2027-02"]), need("n2", GPU, quantity=60, months=["2027-07"])]
    proposal = match(pilot(needs), [offer("itu", GPU, units=100)]).proposal
    assert sum(cover.units for member in proposal.team for cover in member.covers) == 100_000
    assert match(pilot(needs), [offer("itu", GPU, units=120)]).proposal.coverage == 1


def test_work_promised_to_others_counts_month_by_month() -> None:
    staff = offer("fao", STAFF, units=2)
    busy = Usage(committed={staff.key: {"2027-05": 1000}})
    asked = pilot([need("n1", STAFF, quantity=2), need("n2", MAPS)])
    one = match(asked, [staff, offer("itu", MAPS)], usage=busy)
    assert [gap.share for gap in one.proposal.uncovered] == [0.5]
    early = pilot([need("n1", STAFF, quantity=2, months=["2027-02", "2027-04"]), need("n2", MAPS)])
    assert match(early, [staff, offer("itu", MAPS)], usage=busy).proposal.coverage == 1


def test_declared_partners_and_co_leads_are_in_the_team_whatever_they_bring() -> None:
    record = pilot([need("n1")], co_leads=["itu"], partners_declared=[{"agency": "who"}, {"organisation": "An NGO"}])
    one = match(record, [offer("fao"), offer("who", MAPS)])
    assert set(covers(one)) == {"wfp", "itu", "who", "fao"}
    members = {member.agency: member for member in one.proposal.team}
    assert members["itu"].fixed
    assert not members["fao"].fixed
    assert "covers_nothing" in [reason.code for reason in members["itu"].reasons]


def test_more_declared_partners_than_the_limit_adds_nobody_and_says_so() -> None:
    record = pilot([need("n1")], partners_declared=[{"agency": "who"}, {"agency": "itu"}, {"agency": "ilo"}])
    one = match(record, [offer("fao")], team_limit=3)
    assert set(covers(one)) == {"wfp", "who", "itu", "ilo"}
    assert "more_named_than_limit" in [note.code for note in one.proposal.notes]


def test_a_recused_declared_partner_is_left_out_and_named() -> None:
    record = pilot([need("n1")], partners_declared=[{"agency": "who"}])
    one = match(record, [offer("fao"), offer("who")], recusals=frozenset({("who", "p1")}))
    assert set(covers(one)) == {"wfp", "fao"}
    assert [note.code for note in one.proposal.notes] == ["named_but_recused"]


def test_nobody_is_invited_for_crumbs() -> None:
    record = pilot([need("n1", STAFF, quantity=20), need("n2", MAPS)])
    one = match(record, [offer("fao", STAFF, units=4), offer("who", STAFF, units=5), offer("itu", MAPS)])
    assert one.proposal.partners == ("itu", "who")
    assert one.why_not("fao").rule == "too_small"


def test_where_the_lead_can_do_everything_a_partner_gets_a_real_part() -> None:
    record = pilot([need("n1", STAFF, quantity=4, essential=True)])
    one = match(record, [offer("wfp", STAFF, units=4), offer("fao", STAFF, units=4, cost="paid")])
    assert one.proposal.status == "proposed"
    parts = {member.agency: [cover.units for cover in member.covers] for member in one.proposal.team}
    assert parts == {"wfp": [3000], "fao": [1000]}


def test_among_equals_who_carries_less_is_asked() -> None:
    record = pilot([need("n1")])
    offers = [offer("fao"), offer("itu")]
    assert match(record, offers, usage=Usage(load={"fao": 3})).proposal.partners == ("itu",)
    assert match(record, offers, usage=Usage(load={"itu": 3})).proposal.partners == ("fao",)


def test_alternatives_are_different_teams_and_say_what_they_lack() -> None:
    record = pilot([need("n1", essential=True), need("n2", STAFF)])
    one = match(record, [offer("fao"), offer("itu", cost="paid"), offer("who", STAFF, units=1)])
    proposal = one.proposal
    teams = [alternative.team for alternative in proposal.alternatives]
    assert ("wfp", "itu", "who") in teams
    assert len(set(teams)) == len(teams) <= 3
    assert proposal.team[1].agency == "fao"
    assert tuple(member.agency for member in proposal.team) not in teams
    lacks = {one.team: [lack.code for lack in one.lacks] for one in proposal.alternatives}
    assert lacks["wfp", "itu", "who"] == ["fits_less"]
    assert lacks["wfp", "fao"] == ["lacks_need"]


def test_why_not_names_the_exact_rule_or_the_better_candidate() -> None:
    offers = [
        offer("fao"),
        offer("itu", cost="paid"),
        offer("who", countries=["NER"]),
        offer("ilo", MAPS),
        offer("undp"),
        offer("un-women"),
        offer("unicef"),
    ]
    record = pilot([need("n1")], exclusions=["undp"])
    one = match(record, offers, recusals=frozenset({("un-women", "p1")}), load_caps={"unicef": 0})
    rules = {agency: one.why_not(agency).rule for agency in [*AGENCIES, "unheard-of"]}
    assert rules == {
        "wfp": "in_team",
        "fao": "in_team",
        "itu": "better_team_without",
        "who": "wrong_place",
        "ilo": "only_akin",
        "undp": "excluded",
        "un-women": "recused",
        "unicef": "load_cap",
        "university": "offers_nothing_needed",
        "unheard-of": "offers_nothing_needed",
    }
    answer = one.why_not("itu")
    assert [reason.code for reason in answer.reasons] == ["better_team_without", "fits_better"]
    assert answer.reasons[1].about is not None
    assert answer.reasons[1].about["preferred"] == "fao"
    assert answer.objective is not None
    assert answer.proposed is not None
    assert answer.objective < answer.proposed


def test_the_weakest_point_names_what_to_look_at_first() -> None:
    def weakest(needs: list[Any], offers: list[Any]) -> str:
        return match(pilot(needs), offers).proposal.weakest_point.code

    both = [need("n1", essential=True), need("n2", MAPS)]
    assert weakest(both, [offer("fao", MAPS)]) == "essential_uncovered"
    assert weakest(both, [offer("fao")]) == "uncovered"
    assert weakest(both, [offer("fao", confirmed_on=None)]) == "to_be_asked"
    assert weakest(both, [offer("fao"), offer("itu", MAPS, confirmed_on=None)]) == "to_be_asked"
    assert weakest(both, [offer("fao"), offer("itu", MAPS)]) == "rests_on_one"
    everybody = [offer(agency, code) for agency in ("fao", "itu") for code in ("data.earth_observation", MAPS)]
    assert weakest(both, everybody) == "lowest_fit"


@pytest.mark.parametrize(
    "offers",
    [
        [],
        [offer("fao")],
        [offer("fao"), offer("itu", MAPS, confirmed_on=None)],
        [offer("wfp"), offer("fao", STAFF, units=3), offer("itu", MAPS)],
    ],
)
@pytest.mark.parametrize("places", [["ZMB"], ["NER"], ["SGP"], ["SOM"], ["VEN"]])
def test_the_explanation_is_four_sentences_one_of_which_names_the_weakest_point(
    offers: list[Any], places: list[str]
) -> None:
    needs = [need("n1", essential=True), need("n2", STAFF, quantity=3), need("n3", MAPS)]
    said = match(pilot(needs, countries=places, people_reached=12_345), offers).proposal.sentences
    for language, start in (("en", "The weakest point is"), ("fr", "Le point le plus faible est")):
        assert said[language].endswith(".")
        sentences = said[language].removesuffix(".").split(". ")
        assert len(sentences) == 4
        assert sum(sentence.startswith(start) for sentence in sentences) == 1
        assert "{" not in said[language]


def test_the_proposal_does_not_depend_on_the_order_of_anything() -> None:
    rng = random.Random(7)
    codes = [code for code, facts in CODES.items() if facts.matchable]
    for _ in range(30):
        needs = [
            need(f"n{number}", code, essential=rng.random() < 0.4, quantity=rng.randint(1, 3))
            for number, code in enumerate(rng.sample(codes, 4))
        ]
        offers = [
            offer(agency, code, units=rng.randint(1, 3), cost=rng.choice(["free", "paid"]))
            for agency, code in itertools.product(AGENCIES, codes)
            if rng.random() < 0.5
        ]
        states = []
        for _ in range(3):
            rng.shuffle(needs)
            rng.shuffle(offers)
            world = replace(WORLD, agencies=dict(rng.sample(sorted(AGENCIES.items()), len(AGENCIES))))
            states.append(match(pilot(needs), offers, world=world).proposal.as_state())
        assert states[0] == states[1] == states[2]


def test_a_search_that_runs_out_of_work_says_so_and_keeps_a_valid_bound() -> None:
    rng = random.Random(3)
    codes = [code for code, facts in CODES.items() if facts.matchable]
    needs = [need(f"n{number}", code, quantity=3, essential=True) for number, code in enumerate(codes)]
    offers = [
        offer(agency, code, id=f"{agency}{code}", units=rng.randint(1, 2), goals=["1"])
        for agency, code in itertools.product(AGENCIES, codes)
        if rng.random() < 0.6
    ]
    full = match(pilot(needs), offers, team_limit=4).proposal.bound
    cut = match(pilot(needs), offers, team_limit=4, work_limit=1).proposal
    assert full.proven
    assert not cut.bound.proven
    assert "work_limit" in [note.code for note in cut.notes]
    assert (cut.bound.essential_bound, cut.bound.objective_bound) >= (full.essential, full.objective)
    assert "no better team was found" in cut.sentences["en"]
