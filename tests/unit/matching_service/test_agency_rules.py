"""Rules as data: read with care when posted, read with forbearance when another node wrote them."""

from __future__ import annotations

from typing import Any

import pytest

from services.matching.domain.agency_rules import AgencyRules, agency_rules_of, set_rules, solver_rules
from shared.problems import Invalid

DEFAULTS = AgencyRules("", 0, "lead", 21, 5)
PILOT = "0198c0de-0000-7000-8000-000000000001"


def test_rules_are_read_back_as_they_were_set() -> None:
    post = {
        "release": "auto",
        "invitation_days": 7,
        "load_cap": 3,
        "recusals": [PILOT],
        "substitutions": [{"pilot": PILOT, "need": "n1", "code": "data.base_maps"}],
        "weights": {"bottom_billion": 80, "para_9f": 10, "groups_at_risk": 10, "team_limit": 4},
    }
    change = set_rules(post, "wfp", 2, DEFAULTS)
    rules = agency_rules_of(change.state, change.version, DEFAULTS)
    assert (rules.release, rules.invitation_days, rules.open_invitations, rules.load_cap) == ("auto", 7, 5, 3)
    assert rules.label == "wfp-3"
    assert rules.as_state() == change.state


@pytest.mark.parametrize(
    ("post", "fields"),
    [
        ({"weights": {"bottom_billion": 90}}, {"weights.bottom_billion"}),
        ({"weights": {"work_limit": 10**9}}, {"weights.work_limit"}),
        ({"weights": {"poverty_by_income": {"low": 1e300}}}, {"weights.poverty_by_income"}),
        ({"weights": {"fits": {"charm": 1}, "team_limit": 2.5}}, {"weights.fits", "weights.team_limit"}),
        ({"weights": {"floor": True}}, {"weights.floor"}),
        (
            {"weights": [], "recusals": ["x"], "substitutions": [1], "release": "never"},
            {"weights", "recusals", "substitutions[0]", "release"},
        ),
        ({"invitation_days": "7", "load_cap": -1, "agency": "fao"}, {"invitation_days", "load_cap", "agency"}),
    ],
)
def test_all_faults_of_a_post_are_named_at_once(post: dict[str, Any], fields: set[str]) -> None:
    with pytest.raises(Invalid) as caught:
        set_rules(post, "wfp", 0, DEFAULTS)
    assert {fault.field for fault in caught.value.faults} == fields


@pytest.mark.parametrize("state", [{"agency": "fao", "release": 5}, {"agency": "fao", "weights": "x"}, {}])
def test_rules_of_another_node_that_cannot_be_read_are_the_defaults(state: dict[str, Any]) -> None:
    assert agency_rules_of(state, 4, DEFAULTS).release == "lead"


def test_for_one_pilot_the_leads_numbers_count_and_what_others_say_of_themselves() -> None:
    lead = AgencyRules("wfp", 3, weights={"team_limit": 3}, recusals=frozenset({"another"}))
    fao = AgencyRules("fao", 1, weights={"team_limit": 9}, recusals=frozenset({PILOT}), load_cap=2)
    rules = solver_rules(PILOT, lead, [lead, fao], without=["who"])
    assert rules.team_limit == 3
    assert rules.version == "wfp-3"
    assert rules.recusals == {("fao", PILOT), ("who", PILOT)}
    assert rules.cap_of("fao") == 2
