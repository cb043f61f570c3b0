"""What a posted pilot may be, and how a faulty one is refused: all faults at once, each saying what to do."""

from __future__ import annotations

import pytest

from services.registry.domain import register_pilot
from shared.problems import Forbidden, Invalid

from .examples import NOW, OFFICER, PILOT, SHORT, Person, codes_of, faults_of, notices_of, register, short


def test_the_shortest_useful_post_opens_at_once_and_is_kept_as_it_was_posted():
    change = register()
    assert (change.type, change.subject, change.version) == ("org.pilotmesh.pilot.registered.v1", f"pilot/{PILOT}", 1)
    assert (change.state["life"], change.audience, change.notices) == ("open", "mesh", ())
    for name, value in SHORT.items():
        if name != "needs":
            assert change.state[name] == value


def test_countries_post_one_site_each_and_needs_get_ids():
    state = register(countries=["ZMB", "MWI"]).state
    assert state["sites"] == [{"id": "s1", "country": "ZMB"}, {"id": "s2", "country": "MWI"}]
    assert [need["id"] for need in state["needs"]] == ["n1", "n2"]


def test_sites_with_more_than_a_country_complete_the_countries():
    change = register(sites=[{"country": "MWI", "sector": "irrigation"}])
    assert change.state["countries"] == ["MWI", "ZMB"]
    assert notices_of(change) == {"countries": "completed"}


def test_all_faults_are_told_at_once_with_their_paths():
    assert codes_of(
        title="Crop loss",
        sdg_targets=["2", "99.9"],
        countries=["ZMB", "Zambia", 3],
        needs=[{"code": "earth_observation"}, 5, {"code": "data.earth_observation", "quantity": 0}],
        ends_on="2026-12-31",
        target_groups=["rural", ["women", "womans"]],
    ) == {
        "title": "wrong-type",
        "sdg_targets[0]": "unknown-code",
        "sdg_targets[1]": "unknown-code",
        "countries[1]": "unknown-code",
        "countries[2]": "wrong-type",
        "needs[0].code": "unknown-code",
        "needs[1]": "wrong-type",
        "needs[2].quantity": "out-of-range",
        "ends_on": "bad-dates",
        "target_groups[1][1]": "unknown-code",
    }


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"needs": [{"code": "earth_observation"}]}, "needs[0].code", "did you mean data.earth_observation?"),
        ({"needs": [{"code": "human.field_stuff"}]}, "needs[0].code", "did you mean human.field_staff?"),
        ({"countries": ["ZM"]}, "countries[0]", "did you mean ZMB?"),
        ({"countries": ["Zambie"]}, "countries[0]", "did you mean ZMB?"),
        ({"countries": ["zmb"]}, "countries[0]", "did you mean ZMB?"),
        ({"sdg_targets": ["2"]}, "sdg_targets[0]", "2 is a goal: name its targets, such as 2.1."),
        ({"sdg_targets": ["2.3.1"]}, "sdg_targets[0]", "its target is 2.3."),
        ({"sdg_targets": ["٢.٣"]}, "sdg_targets[0]", 'other digits than 0–9: write "2.3".'),
        ({"roadmap_measures": ["3"]}, "roadmap_measures[0]", "3 is a commitment"),
        ({"title": "Crop loss"}, "title", 'names its language, as in {"en": "…"}.'),
        ({"title": {"EN": "Crop loss"}}, "title.EN", "did you mean en?"),
        ({"title": {"sw": "Mazao"}}, "title.sw", "use ar, en, es, fr, ru, zh."),
        ({"uncertainty": "hihg"}, "uncertainty", "did you mean high?"),
        ({"starts_on": "2027-02-30"}, "starts_on", "write it as 2027-01-31."),
        ({"starts_on": "1089-02-03"}, "starts_on", "lies outside 1990–2100"),
        ({"starts_on": "01/02/2027"}, "starts_on", "write it as 2027-01-31."),
        ({"people_reached": 1200.5}, "people_reached", "a whole number belongs here."),
        ({"people_reached": "1200"}, "people_reached", "a whole number belongs here."),
        ({"people_reached": True}, "people_reached", "a whole number belongs here."),
    ],
)
def test_a_fault_says_what_was_found_and_what_to_do(changes: dict[str, object], field: str, says: str):
    assert says in faults_of(**changes)[field].detail


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"title": {"en": "  "}}, {"title.en": "empty"}),
        ({"title": {}}, {"title": "empty"}),
        ({"title": {"en": "x" * 201}}, {"title.en": "too-long"}),
        ({"needs": [{"id": "a", "code": "funding"}, {"id": "a", "code": "funding"}]}, {"needs[1].id": "duplicate"}),
        ({"needs": [{"code": "funding", "site": "s9"}]}, {"needs[0].site": "unknown-site"}),
        ({"needs": [{"code": "funding", "country": "MWI"}]}, {"needs[0].country": "bad-place"}),
        ({"needs": [{"code": "human.data_science", "months": ["2028-01"]}]}, {"needs[0].months[0]": "bad-dates"}),
        ({"needs": [{"code": "human.data_science", "months": ["2027-13"]}]}, {"needs[0].months[0]": "bad-date"}),
        ({"needs": [{"code": "human.data_science", "unit": "kilos"}]}, {"needs[0].unit": "unknown-unit"}),
        ({"needs": [{"code": "human.sector_expertise"}]}, {"needs[0].qualifiers.goal": "missing"}),
        ({"needs": [{"code": "other"}]}, {"needs[0].words": "missing"}),
        ({"needs": [{}]}, {"needs[0].code": "missing"}),
        ({"target_groups": [["women"]]}, {"target_groups[0]": "bad-intersection"}),
        ({"target_groups": [["women", ["rural"]]]}, {"target_groups[0][1]": "wrong-type"}),
        ({"target_groups": [["women", "women"]]}, {"target_groups[0][1]": "duplicate"}),
        ({"co_leads": ["wfp"]}, {"co_leads[0]": "duplicate"}),
        ({"co_leads": ["World Food"]}, {"co_leads[0]": "unknown-agency"}),
        ({"exclusions": ["fao", "wfp"]}, {"exclusions[1]": "bad-exclusion"}),
        ({"exclusions": ["fao"], "co_leads": ["fao"]}, {"exclusions[0]": "bad-exclusion"}),
        ({"group_actions": [{"group": ["women", "rual"]}]}, {"group_actions[0].group[1]": "unknown-code"}),
        ({"partners_declared": [{}]}, {"partners_declared[0]": "missing"}),
        ({"phases": [{"phase": "test", "starts_on": "2030-01-01"}]}, {"phases[0].starts_on": "bad-dates"}),
        ({"sites": [{"sector": "health"}]}, {"sites[0].country": "missing"}),
        ({"sites": [{"country": "ZMB", "state": "running"}]}, {"sites[0].consent.status": "consent-missing"}),
        (
            {"sites": [{"country": "ZMB", "admin_area": {"name": "Mongu"}}], "target_groups": ["minorities"]},
            {"sites[0].admin_area": "too-precise"},
        ),
        ({"countries": ["ZMB"] * 301}, {"countries": "too-many"}),
        ({"lead_agency": 5}, {"lead_agency": "wrong-type"}),
        ({"cluster": "cloudy"}, {"cluster": "unknown-code"}),
        ({"anything": float("nan")}, {"anything": "out-of-range"}),
        ({"anything": 2**80}, {"anything": "out-of-range"}),
        ({"anything": "a\x00b"}, {"anything": "bad-text"}),
        ({"anything": "\ud800"}, {"anything": "bad-text"}),
        ({"$where": "1"}, {'["$where"]': "bad-name"}),
    ],
)
def test_what_cannot_be_is_refused_in_its_place(changes: dict[str, object], expected: dict[str, str]):
    assert codes_of(**changes) == expected


def test_what_a_complete_pilot_lacks_is_listed_and_a_draft_may_lack_it():
    assert codes_of(
        title=None, problem=None, countries=None, starts_on=None, ends_on=None, needs=None
    ) == dict.fromkeys(("title", "problem", "countries", "starts_on", "ends_on"), "missing")
    draft = register_pilot({"draft": True}, id=PILOT, now=NOW, actor=OFFICER)
    assert (draft.state["life"], draft.audience) == ("draft", "private")


def test_a_draft_is_still_checked_where_it_is_filled():
    with pytest.raises(Invalid) as refusal:
        register_pilot({"draft": True, "countries": ["ZZZ"]}, id=PILOT, now=NOW, actor=OFFICER)
    assert [fault.field for fault in refusal.value.faults] == ["countries[0]"]


def test_a_complete_pilot_without_a_need_stays_a_draft_and_says_why():
    change = register(needs=None)
    assert (change.state["life"], notices_of(change)) == ("draft", {"needs": "not-open-yet"})


def test_a_need_in_plain_words_is_taken_as_other():
    change = register(needs=[{"words": {"en": "Somebody who knows radio towers"}}])
    assert change.state["needs"][0]["code"] == "other"
    assert change.state["life"] == "open"
    assert notices_of(change) == {"needs[0].code": "not-matched"}


def test_funding_is_accepted_and_said_to_be_never_matched():
    assert notices_of(register(needs=[{"code": "funding", "quantity": 50000}])) == {"needs[0].code": "not-matched"}


def test_a_posted_cluster_is_read_as_uncertainty():
    change = register(uncertainty=None, cluster="high_uncertainty")
    assert change.state["uncertainty"] == "high"
    assert "cluster" not in change.state
    assert notices_of(change) == {"cluster": "read-as-uncertainty"}


def test_unknown_fields_are_kept_at_every_level_and_likely_slips_are_noticed():
    change = register(sumary={"en": "x"}, colour="blue", needs=[{"code": "funding", "esential": True}])
    assert (change.state["sumary"], change.state["colour"]) == ({"en": "x"}, "blue")
    assert change.state["needs"][0]["esential"] is True
    notices = notices_of(change)
    assert (notices["sumary"], notices["needs[0].esential"]) == ("unknown-field", "unknown-field")
    assert "colour" not in notices


def test_a_refusal_carries_the_notices_because_a_slip_may_explain_a_fault():
    with pytest.raises(Invalid) as refusal:
        register(title=None, titel={"en": "x"})
    assert refusal.value.more["notices"][0]["detail"].endswith("did you mean title?")  # type: ignore[index]


def test_what_the_registry_sets_itself_cannot_be_posted():
    change = register(screening={"status": "passed"}, life="running", id="mine", assessment={"status": "passed"})
    assert (change.state["id"], change.state["screening"], change.state["life"]) == (PILOT, {"status": "none"}, "open")
    assert "assessment" not in change.state
    assert set(notices_of(change)) == {"screening", "life", "id", "assessment"}


def test_a_running_pilot_can_be_entered_in_retrospect():
    change = register(entry="retrospective", life="running", starts_on="2026-01-01", needs=None)
    assert (change.state["life"], change.audience) == ("running", "mesh")
    assert change.state["assessment_due_on"] == "2026-08-02"


def test_entry_in_retrospect_says_where_it_stands_and_began_in_the_past():
    assert codes_of(entry="retrospective", needs=None) == {"life": "missing", "starts_on": "bad-dates"}
    assert codes_of(entry="retrospective", life="closed", starts_on="2025-01-01") == {"outcome": "missing"}


def test_an_agency_may_screen_before_its_pilots_open():
    change = register_pilot(short(), id=PILOT, now=NOW, actor=OFFICER, screening_before="open")
    assert (change.state["life"], change.audience, notices_of(change)) == ("draft", "private", {"life": "not-open-yet"})


def test_nobody_registers_for_another_agency_whatever_the_role():
    other = Person(agency="fao", roles=("admin", "officer", "approver", "coordinator"))
    with pytest.raises(Forbidden, match="Nobody writes for another agency"):
        register(other)


def test_a_viewer_is_told_which_role_registering_needs():
    with pytest.raises(Forbidden, match="role officer or coordinator at wfp; yours: viewer"):
        register(Person(roles=("viewer",)))


@pytest.mark.parametrize("post", [[], None, 3, "text", True])
def test_what_is_no_object_is_refused(post: object):
    with pytest.raises(Invalid, match="post a JSON object"):
        register_pilot(post, id=PILOT, now=NOW, actor=OFFICER)


def test_a_post_nested_too_deep_is_refused():
    post: dict[str, object] = {}
    inner = post
    for _ in range(500):
        inner["a"] = {}
        inner = inner["a"]  # type: ignore[assignment]
    with pytest.raises(Invalid, match="levels"):
        register_pilot(post, id=PILOT, now=NOW, actor=OFFICER)


def test_a_post_full_of_faults_is_answered_with_the_first_two_hundred():
    hostile = [{"code": f"dat.eart{number}", "country": f"Zamb{number}"} for number in range(300)]
    with pytest.raises(Invalid) as refusal:
        register(needs=hostile)
    assert len(refusal.value.faults) == 200
    assert "did you mean" in refusal.value.faults[0].detail
    assert "did you mean" not in refusal.value.faults[-1].detail
