"""Who hears what: filters, and the audience of ledgers. The query on the journal says the same as the rule."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.domain.attributes import about, asks_for_action, joined, references
from services.notifier.domain.entries import About
from services.notifier.domain.filters import Filters, read_filters
from services.notifier.domain.visibility import Claim, Sight, circles_of, claims_in, sight_of
from services.notifier.journal import raw_of
from shared.facts.fact import rfc3339
from shared.facts.ids import circle_of
from shared.problems import Fault

from .examples import CIRCLE, NOW, entry, fact

OTHER_CIRCLE = CIRCLE.replace("c1c1", "c2c2")


def fulfils(document: dict[str, Any], clause: dict[str, Any]) -> bool:
    """As MongoDB reads the few operators that the clauses use."""
    for name, wanted in clause.items():
        if name == "$or":
            if not any(fulfils(document, one) for one in wanted):
                return False
            continue
        value = document[name]
        values = value if isinstance(value, list) else [value]
        if isinstance(wanted, dict):
            if not set(wanted["$in"]) & set(values):
                return False
        elif wanted not in (value, *values):
            return False
    return True


def some(*values: str) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(values))


def told(*values: str) -> st.SearchStrategy[tuple[str, ...] | None]:
    return st.none() | st.lists(st.sampled_from(values), unique=True).map(tuple)


@given(
    filters=st.builds(Filters, some("pilot", "proposal"), some("wfp", "fao"), some("ZMB", "MWI"), some("2", "13")),
    said=st.builds(
        About,
        st.lists(st.sampled_from(("pilot", "proposal")), min_size=1, unique=True).map(tuple),
        told("ZMB", "MWI"),
        told("2", "13"),
        told("wfp", "fao"),
    ),
    agency=st.sampled_from(("wfp", "fao")),
    audience=st.sampled_from(("mesh", "private", CIRCLE, OTHER_CIRCLE)),
    sight=st.builds(Sight, st.sampled_from(("wfp", "fao", "itu")), some(CIRCLE, OTHER_CIRCLE)),
)
def test_the_journals_query_finds_exactly_what_the_rule_lets_through(
    filters: Filters, said: About, agency: str, audience: str, sight: Sight
) -> None:
    one = entry(about=said, agency=agency, audience=audience)
    by_rule = filters.admit(said) and sight.sees(agency, audience)
    document = raw_of(one)
    by_query = all(fulfils(document, clause) for clause in [sight.as_query(), *filters.as_query()])
    assert by_query == by_rule


def test_private_is_for_the_agency_and_a_circle_for_its_members() -> None:
    circles = circles_of([Claim("wfp", CIRCLE, frozenset({"wfp", "fao"}))])
    assert sight_of("fao", circles).sees("wfp", CIRCLE)
    assert not sight_of("itu", circles).sees("wfp", CIRCLE)
    assert not sight_of("fao", circles).sees("wfp", "private")
    assert not sight_of("fao", circles).sees("wfp", OTHER_CIRCLE), "nobody said who is in it: nobody"
    assert sight_of("wfp", {}).sees("wfp", OTHER_CIRCLE), "what it wrote itself"


def test_the_roster_decides_who_is_in_a_circle_and_rival_claims_only_narrow_it() -> None:
    lead = Claim("wfp", CIRCLE, frozenset({"wfp", "fao"}))
    rival = Claim("itu", CIRCLE, frozenset({"itu", "wfp"}))
    roster = Claim("hub", CIRCLE, frozenset({"who", "wfp"}))
    assert circles_of([lead, rival])[CIRCLE] == {"wfp"}
    assert circles_of([rival, lead]) == circles_of([lead, rival]), "whatever came first"
    assert circles_of([lead, roster, rival])[CIRCLE] == {"who", "wfp"}
    assert circles_of([Claim("hub", CIRCLE, frozenset())])[CIRCLE] == frozenset()


def test_circles_are_described_by_proposals_testbeds_and_the_roster_but_never_in_private() -> None:
    team = {"circle": CIRCLE, "lead": "wfp", "team": [{"agency": "fao"}], "agencies": ["wfp", "fao"]}
    shared = fact("proposal", "released", team, ledger="wfp.matching")
    assert [claim.members for claim in claims_in(shared)] == [{"wfp", "fao"}]
    assert claims_in(fact("proposal", "made", team, ledger="wfp.matching.private")) == []
    assert claims_in(fact("pilot", "registered", team)) == []
    roster = {"circles": [{"id": CIRCLE, "members": ["wfp"]}, {"id": "no uuid", "members": ["fao"]}, "broken"]}
    named = claims_in(fact("roster", "issued", roster, ledger="hub.mesh", subject="roster/mesh"))
    assert [(claim.circle, claim.members) for claim in named] == [(CIRCLE, {"wfp"})]


def test_what_a_pilot_is_about_is_read_from_its_state() -> None:
    state = {
        "lead_agency": "wfp",
        "co_leads": ["unicef"],
        "partners_declared": [{"agency": "fao"}, {"organisation": "Ministry"}],
        "countries": ["ZMB", "XXX"],
        "sites": [{"country": "MWI"}],
        "sdg_targets": ["2.3", "13.1", "99.9"],
    }
    said = about(fact(state=state), NOW)
    assert said == About(("pilot",), ("MWI", "ZMB"), ("2", "13"), ("fao", "unicef", "wfp"))


@given(
    state=st.dictionaries(
        st.sampled_from(
            ("countries", "sites", "team", "sdg_targets", "pilot", "circle", "invitations", "status", "lead")
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
            max_leaves=6,
        ),
    ),
    kind=st.sampled_from(("pilot", "proposal", "testbed")),
)
def test_no_state_of_whatever_shape_stops_the_journal(state: dict[str, Any], kind: str) -> None:
    one = fact(kind, "made", state, ledger="wfp.matching")
    assert about(one, NOW).kinds == (kind,)
    assert isinstance(references(one), frozenset)
    assert all(claim.owner == "wfp" for claim in claims_in(one))


def test_what_is_not_known_passes_every_filter_and_what_is_known_to_be_nothing_passes_none() -> None:
    asked = Filters(countries=frozenset({"ZMB"}))
    assert asked.admit(About(("proposal",), None, None, None))
    assert not asked.admit(About(("proposal",), (), (), ()))
    unknown = joined(About(("proposal",)), [], unknown=True)
    assert unknown.countries is None
    assert joined(About(("proposal",), ("MWI",)), [], unknown=True).countries == ("MWI",)


@pytest.mark.parametrize(
    ("changed", "asks"),
    [
        ({}, True),
        ({"status": "draft"}, False),
        ({"invitations": []}, False),
        ({"invitations": [{"agency": "fao", "status": "waiting"}]}, False),
        (
            {"invitations": [{"agency": "fao", "status": "invited", "deadline": rfc3339(NOW - timedelta(days=1))}]},
            False,
        ),
    ],
)
def test_an_open_invitation_asks_for_an_action_until_its_deadline(changed: dict[str, Any], asks: bool) -> None:
    invitation = {"agency": "fao", "status": "invited", "deadline": rfc3339(NOW + timedelta(days=1))}
    state = {"status": "open", "invitations": [invitation], **changed}
    assert asks_for_action("proposal", state, NOW) is asks
    assert not asks_for_action("testbed", state, NOW)


def test_every_bad_value_of_a_filter_is_named() -> None:
    faults: list[Fault] = []
    asked = {"kinds": ["pilot", "pilt"], "agencies": ["W!"], "countries": ["zm", "894", "XX"], "goals": ["2", "18"]}
    read = read_filters(asked, faults)
    assert [fault.field for fault in faults] == ["kinds[1]", "agencies[0]", "countries[2]", "goals[1]"]
    assert read.countries == {"ZMB"}, "places are taken as people write them"


def test_the_lead_alone_says_who_is_in_its_proposals_circle() -> None:
    """Also where another names the circle in a record of its own, with the same id, or was heard of first."""
    proposal = "0198c0de-0000-7000-8000-0000000000bb"
    circle = circle_of("wfp", proposal)
    state = {"circle": circle, "team": [{"agency": "wfp"}, {"agency": "fao"}]}
    about = f"proposal/{proposal}"
    own = fact("proposal", "released", {**state, "lead": "wfp"}, ledger="wfp.matching", subject=about)
    copy = fact("proposal", "released", {**state, "lead": "itu", "team": []}, ledger="itu.matching", subject=about)
    formed = {"circle": circle, "proposal": proposal, "agencies": ["wfp", "who"]}
    testbed = fact("testbed", "formed", formed, ledger="wfp.matching")
    for order in ([own, copy, testbed], [copy, testbed, own]):
        claims = [claim for one in order for claim in claims_in(one)]
        assert circles_of(claims)[circle] == {"wfp", "fao", "who"}
