"""An agency may use another's id in its own ledger; nobody is misled by it, whichever record was heard of first.

Facts of several nodes are carried by hand into one node's matching, in every order that matters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path

import pytest

from services.matching import documents
from shared.facts.fact import Fact
from shared.ledger.rows import digest_of_rows
from shared.settings import Settings

from .quiet_matching import QuietMatching, State, quiet_matching, team

STAFF = {"code": "human.field_staff"}
COPYIST = "itu"
LEDGERS = ("wfp.registry", "wfp.matching", f"{COPYIST}.matching")
"""The agency that uses others' ids."""


class World:
    """Nodes on one server, each with agencies of its own; only one is at work at a time, because the database of a
    service is bound to the process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.made: dict[str, Settings] = {}

    @contextmanager
    def at(self, name: str, *agencies: str) -> Iterator[QuietMatching]:
        if name not in self.made:
            home = Path(self.settings.home) / name
            home.mkdir()
            changed = {"home": home, "database_prefix": f"{self.settings.database_prefix}_{name}", "release": "auto"}
            self.made[name] = self.settings.model_copy(update=changed)
        with quiet_matching(self.made[name], *agencies) as matching:
            yield matching


@pytest.fixture
def world(database_settings: Settings) -> World:
    return World(database_settings)


def facts_of(matching: QuietMatching, *agencies: str) -> list[list[Fact]]:
    """What these agencies have shared, ledger by ledger."""
    ledgers = sorted(one for one in matching.node.store.ledgers() if one.split(".")[0] in agencies)
    return [matching.node.store.after(one, (1, 0), 1000) for one in ledgers if not one.endswith(".private")]


def hears(matching: QuietMatching, *ledgers: Sequence[Fact]) -> None:
    for facts in ledgers:
        new = [one for one in facts if one.header.position > matching.node.store.head(str(one.header.ledger)).position]
        if new:
            matching.node.store.insert(new, [None] * len(new), own=False)
            matching.fold.fold(new)
        matching.settle()


def everything() -> str:
    return digest_of_rows(documents.matching_rows().all())


def copied_offer(matching: QuietMatching, capability: str) -> None:
    state = {"agency": COPYIST, **STAFF, "title": {"en": "A copy"}, "countries": ["ZMB"], "units": 9}
    matching.registry("capability", capability, COPYIST, {"id": capability, **state})
    matching.registry("capability", capability, COPYIST, {"id": capability, **state, "countries": ["FJI"]}, version=2)


@pytest.mark.parametrize("first", ["owner", "copyist"])
def test_a_team_is_made_of_the_agency_that_offers_and_not_of_who_copied_its_offers_id(world: World, first: str) -> None:
    with world.at("elsewhere", "fao", COPYIST) as elsewhere:
        offer = elsewhere.offer("fao", **STAFF, units=1)
        copied_offer(elsewhere, offer)
        ledgers = {"owner": facts_of(elsewhere, "fao"), "copyist": facts_of(elsewhere, COPYIST)}
    order = sorted(ledgers, key=lambda one: one != first)
    with world.at("here", "wfp") as here:
        hears(here, *ledgers[order[0]], *ledgers[order[1]])
        pilot = here.pilot("wfp", STAFF)
        here.settle()
        proposal = here.chain(pilot)[0]
        assert team(proposal) == ["wfp", "fao"]
        assert proposal["team"][1]["covers"][0]["capability"] == offer
        assert [row.key[0] for row in documents.claims_to("capability", offer)] == ["fao", COPYIST]


def test_a_copy_that_is_withdrawn_takes_nothing_of_the_owner_with_it(world: World) -> None:
    with world.at("here", "wfp", "fao", COPYIST) as here:
        offer = here.offer("fao", **STAFF, units=1)
        pilot = here.pilot("wfp", STAFF)
        here.settle()
        copied_offer(here, offer)
        here.settle()
        assert here.statuses(pilot) == ["open"]
        here.says("fao", "accept", pilot)
        here.settle()
        other = here.pilot("wfp", STAFF, title={"en": "Another"})
        here.settle()
        assert here.statuses(other) == ["no_partner"], "the only unit is promised, whatever the copy offers elsewhere"


def forged_proposal(matching: QuietMatching, proposal: State, **changes: object) -> State:
    """The copyist's own proposal with another's id, hash and team; its own pilot has the other pilot's id."""
    forged: State = {**proposal, "lead": COPYIST, "round": 9, **changes}
    pilot = {"id": proposal["pilot"], "lead_agency": COPYIST, "title": {"en": "A copy"}, "life": "draft", "needs": []}
    matching.registry("pilot", str(proposal["pilot"]), COPYIST, pilot)
    matching.ledger.react("copied", COPYIST, "proposal", "made", str(proposal["id"]), forged, version=1)
    return forged


@pytest.mark.parametrize("order", list(permutations(LEDGERS))[::2], ids=" ".join)
def test_an_answer_goes_to_the_proposal_of_the_lead_that_was_answered(world: World, order: tuple[str, ...]) -> None:
    with world.at("lead", "wfp") as lead:
        pilot = lead.pilot("wfp", STAFF)
        lead.settle()
    with world.at("partner", "fao") as partner:
        offer = partner.offer("fao", **STAFF, units=1)
        offered = facts_of(partner, "fao")
    with world.at("lead", "wfp") as lead:
        hears(lead, *offered)
        proposal = lead.chain(pilot)[0]
        assert (proposal["status"], team(proposal)) == ("open", ["wfp", "fao"])
        assert proposal["team"][1]["covers"][0]["capability"] == offer
        shared = facts_of(lead, "wfp")
    with world.at("copyist", COPYIST) as copyist:
        forged_proposal(copyist, proposal)
        copies = facts_of(copyist, COPYIST)
    by_ledger = {str(facts[0].header.ledger): facts for facts in [*shared, *copies]}
    with world.at("partner", "fao") as partner:
        hears(partner, *(by_ledger[ledger] for ledger in order))
        hears(partner, *by_ledger.values())
        partner.says("fao", "accept", pilot, lead="wfp")
        partner.says("fao", "decline", pilot, lead=COPYIST)
        partner.settle()
        said = {
            row.state["lead"]: row.state["decision"]
            for row in documents.matching_rows().all()
            if row.kind == "response"
        }
        assert said == {"wfp": "accept", COPYIST: "decline"}
        answers = facts_of(partner, "fao")
    with world.at("lead", "wfp") as lead:
        hears(lead, *copies, *answers)
        lead.says("wfp", "accept", pilot)
        lead.settle()
        assert lead.statuses(pilot) == ["formed"]
        assert [(row.key[0], row.state["agencies"]) for row in lead.testbeds()] == [("wfp", ["wfp", "fao"])]


def test_whatever_order_two_owners_of_one_id_are_heard_in_all_nodes_hold_the_same(world: World) -> None:
    with world.at("elsewhere", "wfp", "fao", COPYIST) as elsewhere:
        offer = elsewhere.offer("fao", **STAFF, units=1)
        pilot = elsewhere.pilot("wfp", STAFF)
        elsewhere.settle()
        copied_offer(elsewhere, offer)
        forged_proposal(elsewhere, elsewhere.chain(pilot)[0])
        while elsewhere.reactions.step():
            pass
        ledgers = facts_of(elsewhere, "wfp", "fao", COPYIST)
    digests = set()
    for number, order in enumerate((ledgers, ledgers[::-1], [*ledgers[3:], *ledgers[:3]])):
        with world.at(f"reader{number}", "who") as reader:
            hears(reader, *order)
            digests.add(everything())
    assert len(digests) == 1
