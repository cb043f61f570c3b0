"""What follows from facts: deadlines, crashes between two facts, facts in any order, records nobody can read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any

import pytest

from services.matching import documents
from services.matching.folds import audience_of
from services.matching.following import Following
from services.matching.memory import Memory
from shared.settings import Settings

from .quiet_matching import QuietMatching, quiet_matching, team

STAFF = {"code": "human.field_staff"}
EARTH = {"code": "data.earth_observation"}
GENDER = {"code": "human.gender_expertise", "essential": False}


@pytest.fixture
def matching(database_settings: Settings) -> Iterator[QuietMatching]:
    settings = database_settings.model_copy(update={"release": "auto", "invitation_days": 10})
    with quiet_matching(settings, "wfp", "fao", "who", "itu", "un-women") as made:
        yield made


def test_at_the_deadline_silence_is_a_no_and_the_pilot_is_proposed_without_the_silent(matching: QuietMatching) -> None:
    matching.offer("fao", confirmed_on="2026-11-30")
    matching.offer("who", cost="paid")
    pilot = matching.pilot()
    matching.settle()
    assert team(matching.chain(pilot)[0]) == ["wfp", "fao"]

    matching.wait(days=9)
    assert matching.statuses(pilot) == ["open"]
    matching.wait(days=2)

    newer, older = matching.chain(pilot)
    assert (newer["status"], older["status"]) == ("open", "superseded")
    assert team(newer) == ["wfp", "who"]
    assert newer["out"] == [{"agency": "fao", "why": "silent"}]


def test_silence_of_a_member_that_is_not_essential_does_not_hold_the_others_up(matching: QuietMatching) -> None:
    matching.offer("fao")
    matching.offer("un-women", "human.gender_expertise", units=2)
    pilot = matching.pilot("wfp", EARTH, GENDER)
    matching.settle()
    matching.says("fao", "accept", pilot)
    matching.says("wfp", "accept", pilot)
    matching.settle()
    assert matching.testbeds() == [], "an answer is still awaited"

    matching.wait(days=11)

    (testbed,) = matching.testbeds()
    assert testbed.state["agencies"] == ["wfp", "fao"]
    assert testbed.state["open_needs"] == ["n2"]
    assert matching.statuses(pilot) == ["formed"]


def test_when_only_the_leads_word_is_missing_those_who_accepted_wait_for_it(matching: QuietMatching) -> None:
    matching.offer("fao")
    pilot = matching.pilot()
    matching.settle()
    matching.says("fao", "accept", pilot)
    matching.wait(days=11)
    assert matching.statuses(pilot) == ["open"]
    matching.says("wfp", "accept", pilot)
    matching.settle()
    assert matching.statuses(pilot) == ["formed"]


def test_what_was_reserved_until_a_day_lapses_after_it(matching: QuietMatching) -> None:
    matching.offer("fao", **STAFF, units=1)
    one, other = matching.pilot("wfp", STAFF), matching.pilot("who", STAFF)
    matching.settle()
    matching.says("fao", "accept", one, reserved_until="2026-12-03")
    matching.settle()
    assert matching.statuses(other, "who") == ["no_partner", "superseded"]

    matching.wait(days=4)
    assert matching.memory.usage(other).committed == {}


def test_doing_it_again_changes_nothing(matching: QuietMatching) -> None:
    offer = matching.offer("fao")
    pilots = [matching.pilot("wfp"), matching.pilot("who", STAFF), matching.pilot("itu", audience="private")]
    matching.settle()
    matching.says("fao", "accept", pilots[0])
    matching.says("wfp", "accept", pilots[0])
    matching.settle()
    facts = matching.facts()

    keys = [f"pilot|{lead}|{pilot}" for lead, pilot in zip(("wfp", "who", "itu"), pilots, strict=True)]
    keys += [f"offer|data.earth_observation|fao|{offer}", "slots|fao", "rules|wfp", f"promise|fao|{offer}"]
    for _ in range(2):
        matching.work.touch(keys)
        matching.settle()

    assert matching.facts() == facts


class Crash(Exception):  # noqa: N818 - what is done, not an error
    pass


def test_wherever_it_is_interrupted_it_ends_as_if_it_had_not_been(
    matching: QuietMatching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fact of a decline's repair and of a formation is once the last before a crash."""
    matching.offer("fao", confirmed_on="2026-11-30")
    matching.offer("who", cost="paid")
    write = Following._write
    ends = []
    for at in range(8):
        written = 0

        def until_the_crash(self: Following, *args: Any, crash_at: int = at) -> bool:
            nonlocal written
            done = write(self, *args)
            written += 1
            if written == crash_at:
                raise Crash
            return done

        pilot = matching.pilot("wfp", title={"en": f"Pilot {at}"})
        monkeypatch.setattr(Following, "_write", until_the_crash)
        follow = matching.reactions.following
        assert follow is not None
        for said in ((), ("fao", "decline"), ("who", "accept"), ("wfp", "accept")):
            if said:
                matching.says(*said, pilot)
            try:
                follow.follow("wfp", pilot)
            except Crash:
                follow.follow("wfp", pilot)
        monkeypatch.setattr(Following, "_write", write)
        matching.settle()
        ends.append([(one["status"], team(one), one["round"]) for one in matching.chain(pilot)])
    assert ends == [[("formed", ["wfp", "who"], 2), ("superseded", ["wfp", "fao"], 1)]] * 8
    assert len(matching.testbeds()) == 8


@pytest.mark.parametrize("order", list(permutations(("pilot", "offer", "other", "rules")))[::4])
def test_in_whatever_order_pilot_offers_and_rules_come_the_team_is_the_same(
    matching: QuietMatching, order: tuple[str, ...]
) -> None:
    does: dict[str, Callable[[], object]] = {
        "offer": lambda: matching.offer("fao", confirmed_on="2026-11-30"),
        "other": lambda: matching.offer("who", cost="paid"),
        "rules": lambda: matching.rules("wfp", release="lead"),
        "pilot": lambda: matching.pilot("wfp"),
    }
    done: dict[str, Any] = {}
    for step in order[: 1 + order.index("pilot")]:
        done[step] = does[step]()
        if matching.ledger.newest("wfp", "rules", "wfp") is None:
            continue  # without rules the proposal releases itself, which is for ever
        matching.settle()
    for step in order[1 + order.index("pilot") :]:
        does[step]()
    matching.settle()
    (only,) = matching.chain(done["pilot"])
    assert (only["status"], team(only)) == ("draft", ["wfp", "fao"])


def test_what_only_the_lead_can_close_waits_for_it(matching: QuietMatching) -> None:
    matching.offer("fao")
    pilot = matching.pilot("wfp", EARTH, {"code": "infra.power"})
    matching.settle()
    matching.says("fao", "accept", pilot)
    matching.says("wfp", "accept", pilot)
    matching.wait(days=11)
    assert matching.statuses(pilot) == ["open"], "an essential need is covered by nobody"
    matching.says("wfp", "accept", pilot, close=True)
    matching.settle()
    (testbed,) = matching.testbeds()
    assert testbed.state["open_needs"] == ["n2"]


def test_a_private_pilot_is_matched_and_not_a_word_of_it_leaves(matching: QuietMatching) -> None:
    matching.offer("fao")
    pilot = matching.pilot("wfp", audience="private")
    matching.settle()
    (row,) = documents.proposals_of(pilot, "wfp")
    assert row.state["status"] == "draft"
    assert audience_of(row) == "private"
    assert [ledger for ledger in matching.node.store.ledgers() if ledger.startswith("wfp.matching")] == [
        "wfp.matching.private"
    ]


def test_a_private_offer_is_proposed_to_nobody(matching: QuietMatching) -> None:
    state = {"id": "c1", "agency": "fao", "code": "data.earth_observation", "countries": ["ZMB"]}
    matching.registry("capability", "c1", "fao", state, audience="private")
    pilot = matching.pilot()
    matching.settle()
    assert matching.statuses(pilot) == ["no_partner"]


def test_records_that_nobody_can_read_leave_the_others_alone(matching: QuietMatching) -> None:
    matching.offer("fao")
    matching.registry("capability", "c2", "who", {"id": "c2", "agency": "who", "code": 7, "units": "many"})
    matching.registry(
        "capability", "c3", "who", {"id": "c3", "agency": "who", "code": "data.earth_observation", "units": "x"}
    )
    matching.registry("agency", "who", "who", {"slug": "who", "kind": [], "name": 3})
    matching.registry("office", "o1", "fao", {"id": "o1", "countries": 4})
    matching.rules("who", release=5, weights="none", recusals={"a": 1})
    pilot = matching.pilot()
    matching.settle()
    assert team(matching.chain(pilot)[0]) == ["wfp", "fao"]


def test_a_proposal_for_anothers_pilot_counts_for_nothing(matching: QuietMatching) -> None:
    matching.offer("fao")
    pilot = matching.pilot()
    matching.settle()
    state = matching.chain(pilot)[0]
    matching.ledger.react(
        "forged", "itu", "proposal", "made", state["id"], {**state, "lead": "itu", "round": 9}, version=1
    )
    while matching.reactions.step():
        pass
    assert matching.statuses(pilot) == ["open"]
    assert [row.key[0] for row in documents.claims_to("proposal", state["id"])] == ["itu", "wfp"]


def test_one_open_data_set_serves_forty_pilots_without_a_word_about_capacity(matching: QuietMatching) -> None:
    matching.offer("fao")
    matching.rules("fao", load_cap=1000)
    pilots = [matching.pilot("wfp", title={"en": str(number)}) for number in range(40)]
    matching.settle()
    chains = [matching.chain(pilot) for pilot in pilots]
    assert [(len(chain), team(chain[0])) for chain in chains] == [(1, ["wfp", "fao"])] * 40
    assert "capacity" not in str(chains)
    invited = [one["status"] for chain in chains for one in chain[0]["invitations"]]
    assert (invited.count("invited"), invited.count("waiting")) == (5, 35)


def test_a_process_that_does_not_follow_reads_again_before_it_promises(matching: QuietMatching) -> None:
    settings = Settings(home=matching.node.settings.home)
    beside = Memory(settings, leads=lambda: False, now=matching.now)
    assert len(beside.fresh().index) == 0
    matching.offer("fao")
    assert len(beside.fresh().index) == 0, "it was read a moment ago"
    assert len(beside.fresh(0.0).index) == 1
