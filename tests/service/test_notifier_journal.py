"""The journal on a real database: positions without a gap, nothing twice, whatever is cut off in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from services.notifier.domain.entries import NewEntry
from services.notifier.domain.filters import Filters
from services.notifier.folds import JournalFold
from services.notifier.journal import Journal
from services.notifier.memory import CircleBook, Memory
from services.notifier.tail import Tail
from shared.facts.fact import Fact
from shared.facts.ids import new_id
from shared.ledger.drafts import Author, Draft
from shared.ledger.ledger import Ledger
from shared.settings import Settings
from tests.node.ledgers import LedgerNode, ledger_node, pilot

OFFICER = Author("0198c0de-0000-7000-8000-0000000000ac", "officer")
CIRCLE = "0198c0de-0000-7000-8000-00000000c1c1"


class Notifier:
    """Journal, fold and tail of one replica."""

    def __init__(self, node: LedgerNode, settings: Settings) -> None:
        self.database = node.client[settings.database("notifier")]
        self.now = datetime.now(UTC)
        self.journal = Journal(self.database, node.store, lambda: self.now)
        self.memory, self.circles = Memory(self.database), CircleBook(self.database)
        self.tail = Tail(self.journal)
        self.journal.open()
        self.memory.open()
        self.tail.last = self.journal.durable_head()
        self.fold = JournalFold(self.journal, self.memory, self.circles, self.tail)

    def events(self, agency: str = "wfp", **asked: set[str]) -> list[str]:
        """What an actor of the agency may see and asked for, oldest first."""
        filters = Filters(**{sort: frozenset(values) for sort, values in asked.items()})
        clauses = [self.circles.sight(agency).as_query(), *filters.as_query()]
        return [entry.new.event for entry in self.journal.page(0, 10_000, clauses)[0]]

    def positions(self) -> list[int]:
        return [entry.position for entry in self.journal.page(0, 10_000)[0]]


@pytest.fixture
def ledgers(database_settings: Settings) -> Iterator[LedgerNode]:
    with ledger_node(database_settings) as node:
        yield node.host("wfp", "fao", "itu")


@pytest.fixture
def notifier(ledgers: LedgerNode, database_settings: Settings) -> Notifier:
    return Notifier(ledgers, database_settings)


@pytest.fixture
def registry(ledgers: LedgerNode) -> Ledger:
    return ledgers.ledger("registry")


@pytest.fixture
def matching(ledgers: LedgerNode) -> Ledger:
    return ledgers.ledger("matching")


def registered(registry: Ledger, count: int, **state: Any) -> list[Fact]:
    return [registry.record(pilot(**state)).fact for _ in range(count)]


def proposal(lead: str = "wfp", audience: str = "mesh", verb: str = "released", **state: Any) -> Draft:
    return Draft(
        agency=lead,
        service="matching",
        kind="proposal",
        verb=verb,
        id=new_id(),
        version=1,
        state={"lead": lead, **state},
        author=OFFICER,
        audience=audience,
    )


def test_folding_the_same_facts_again_adds_nothing(notifier: Notifier, registry: Ledger) -> None:
    facts = registered(registry, 5)
    notifier.fold.fold(facts)
    notifier.fold.fold(facts)
    notifier.fold.fold(facts[3:] + registered(registry, 2))
    assert notifier.positions() == [1, 2, 3, 4, 5, 6, 7]
    assert len(set(notifier.events())) == 7


def test_a_batch_that_was_cut_off_half_way_is_completed_without_a_gap(
    notifier: Notifier, registry: Ledger, ledgers: LedgerNode, database_settings: Settings
) -> None:
    facts = registered(registry, 6)
    notifier.fold.fold([facts[0], facts[2]])  # what a crash left: not even a prefix of the batch to come
    after_restart = Notifier(ledgers, database_settings)
    after_restart.fold.fold(facts)
    assert after_restart.positions() == [1, 2, 3, 4, 5, 6]
    assert sorted(after_restart.events()) == [fact.place for fact in facts]
    assert after_restart.tail.last == 6


def test_an_insert_whose_answer_was_lost_is_not_done_twice(
    notifier: Notifier, registry: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = registered(registry, 3)
    insert = notifier.journal._entries.insert_many

    def cut(documents: Any, ordered: bool) -> None:
        insert(documents, ordered=ordered)
        raise AutoReconnect("the connection broke before the answer came")

    monkeypatch.setattr(notifier.journal._entries, "insert_many", cut, raising=False)
    with pytest.raises(AutoReconnect):
        notifier.fold.fold(facts)
    monkeypatch.setattr(notifier.journal._entries, "insert_many", insert, raising=False)
    notifier.fold.fold(facts + registered(registry, 1))
    assert notifier.positions() == [1, 2, 3, 4]
    assert notifier.tail.last == 4
    assert [told.entry.position for told in notifier.tail.after(0) or []] == [1, 2, 3, 4]


def test_two_replicas_that_append_at_once_never_take_one_position_twice_nor_leave_one_out(
    notifier: Notifier, registry: Ledger, ledgers: LedgerNode, database_settings: Settings
) -> None:
    facts = registered(registry, 40)
    other = Notifier(ledgers, database_settings)
    assert other.journal.epoch == notifier.journal.epoch

    def fold(one: Notifier, mine: list[Fact]) -> None:
        for fact in mine:
            one.fold.fold([fact])

    threads = [
        threading.Thread(target=fold, args=(notifier, facts[:30])),
        threading.Thread(target=fold, args=(other, facts[10:])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert notifier.positions() == list(range(1, 41))
    assert sorted(notifier.events(), key=lambda place: int(place.rsplit(":")[-1])) == [fact.place for fact in facts]
    for replica in (notifier, other):
        replica.tail.catch_up()
        assert replica.tail.last == 40


def test_private_facts_are_seen_by_their_agency_alone(notifier: Notifier, registry: Ledger) -> None:
    notifier.fold.fold(registered(registry, 1) + registered(registry, 1, audience="private"))
    assert len(notifier.events("wfp")) == 2
    assert len(notifier.events("fao")) == 1
    assert len(notifier.events("node")) == 1


def test_a_circles_facts_are_seen_by_its_members_alone(notifier: Notifier, registry: Ledger, matching: Ledger) -> None:
    facts = registered(registry, 1, audience=CIRCLE)
    notifier.fold.fold(facts)
    assert notifier.events("fao") == [], "a circle that nobody described means nobody"
    assert len(notifier.events("wfp")) == 1, "its own agency sees what it wrote"
    team = [{"agency": "wfp", "role": "lead"}, {"agency": "fao", "role": "partner"}]
    described = matching.record(proposal(circle=CIRCLE, team=team)).fact
    notifier.fold.fold([described])
    assert facts[0].place in notifier.events("fao")
    assert facts[0].place not in notifier.events("itu")


def test_nobody_is_let_into_a_circle_by_another_agencys_claim(
    notifier: Notifier, registry: Ledger, matching: Ledger
) -> None:
    facts = registered(registry, 1, audience=CIRCLE)
    members = [{"agency": "wfp", "role": "lead"}, {"agency": "fao", "role": "partner"}]
    forged = [{"agency": "itu", "role": "lead"}, {"agency": "wfp", "role": "partner"}]
    notifier.fold.fold(
        [
            *facts,
            matching.record(proposal(circle=CIRCLE, team=members)).fact,
            matching.record(proposal("itu", circle=CIRCLE, team=forged)).fact,
        ]
    )
    assert facts[0].place not in notifier.events("itu")


def test_a_proposal_passes_the_filters_of_its_pilots_country_and_goal_and_of_its_team(
    notifier: Notifier, registry: Ledger, matching: Ledger
) -> None:
    registration = registry.record(pilot(countries=["ZMB"], sdg_targets=["2.3"])).fact
    team = [{"agency": "wfp", "role": "lead"}, {"agency": "fao", "role": "partner"}]
    pilot_id = registration.header.subject.split("/")[1]
    proposed = matching.record(proposal(pilot=pilot_id, team=team)).fact
    notifier.fold.fold([registration, proposed])
    assert notifier.events(countries={"ZMB"}) == [registration.place, proposed.place]
    assert notifier.events(goals={"2"}, kinds={"proposal"}) == [proposed.place]
    assert notifier.events(agencies={"fao"}) == [proposed.place]
    assert notifier.events(countries={"MWI"}) == []


def test_an_event_about_a_pilot_that_is_not_known_yet_is_told_rather_than_missed(
    notifier: Notifier, matching: Ledger
) -> None:
    proposed = matching.record(proposal(pilot=new_id())).fact
    notifier.fold.fold([proposed])
    assert notifier.events(countries={"ZMB"}) == [proposed.place]


def test_whoever_follows_a_country_learns_that_a_pilot_left_it_or_was_withdrawn(
    notifier: Notifier, registry: Ledger
) -> None:
    first = registry.record(pilot(countries=["ZMB"])).fact
    pilot_id = first.header.subject.split("/")[1]
    moved = registry.record(pilot(id=pilot_id, version=2, countries=["MWI"])).fact
    again = registry.record(pilot(id=pilot_id, version=3, countries=["MWI"])).fact
    gone = registry.record(pilot(id=pilot_id, version=4, verb="withdrawn")).fact
    notifier.fold.fold([first, moved])
    notifier.fold.fold([again])
    notifier.fold.fold([gone])
    assert notifier.events(countries={"ZMB"}) == [first.place, moved.place]
    assert notifier.events(countries={"MWI"}) == [moved.place, again.place, gone.place]


def test_what_was_learned_in_private_opens_no_filter_for_the_mesh(
    notifier: Notifier, registry: Ledger, matching: Ledger
) -> None:
    hidden = registry.record(pilot(countries=["ZMB"], audience="private")).fact
    proposed = matching.record(proposal(pilot=hidden.header.subject.split("/")[1], countries=["MWI"])).fact
    notifier.fold.fold([hidden, proposed])
    assert proposed.place not in notifier.events("fao", countries={"ZMB"})


def redaction(registry: Ledger, fact: Fact) -> Fact:
    header = fact.header
    named = {"epoch": header.epoch, "sequence": header.sequence, "subject": header.subject}
    state = {"facts": [named], "reason": "personal_data"}
    draft = Draft(
        agency=header.agency,
        service="registry",
        kind="fact",
        verb="redacted",
        id=new_id(),
        version=1,
        state=state,
        author=OFFICER,
        audience=header.ledger.audience,
    )
    return registry.record(draft).fact


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "later"])
def test_a_redacted_event_loses_its_content_everywhere(
    notifier: Notifier, registry: Ledger, together: bool, ledgers: LedgerNode
) -> None:
    fact = registry.record(pilot(countries=["ZMB"], problem={"en": "call 0123 456789"})).fact
    redacted = redaction(registry, fact)
    for batch in [[fact, redacted]] if together else [[fact], [redacted]]:
        notifier.fold.fold(batch)
    entries, _ = notifier.journal.page(0, 10)
    (_, body), (_, told) = notifier.journal.bodies(entries)
    assert b"0123 456789" not in body
    assert b'"redacted":true' in body
    assert b'"data"' not in body
    assert b"org.pilotmesh.fact.redacted.v1" in told
    assert all(b"0123" not in held.frame for held in notifier.tail.after(0) or [])
    stored = notifier.database["journal"].find_one({"event": fact.place})
    assert stored is not None
    assert stored["countries"] == []
    assert notifier.database["memory"].count_documents({"subject": fact.header.subject}) == 0
    assert notifier.events(kinds={"pilot"}) == [fact.place, redacted.place], "followers of pilots learn of it"
    assert ledgers.store.at(str(fact.header.ledger), 1, fact.header.sequence) is not None


def test_a_rebuild_keeps_every_position_and_plans_nothing_that_it_finds(
    notifier: Notifier, registry: Ledger, ledgers: LedgerNode
) -> None:
    facts = registered(registry, 4, countries=["ZMB"])
    notifier.fold.fold(facts)
    before = notifier.events()
    notifier.database["journal"].update_many({}, {"$set": {"countries": ["XXX"]}})
    fresh = registered(registry, 2)
    done = notifier.fold.rebuild([("wfp.registry", [facts, fresh])])
    assert done["wfp.registry"].sequence == 6
    assert notifier.events()[:4] == before
    assert len(notifier.events(countries={"ZMB"})) == 4
    assert [entry.new.planned for entry in notifier.journal.page(0, 10)[0]] == [True] * 6
    notifier.database["journal"].delete_many({})
    notifier.journal._next = None
    notifier.fold.rebuild([("wfp.registry", [facts, fresh])])
    assert [entry.new.planned for entry in notifier.journal.page(0, 10)[0]] == [False] * 6


def test_readers_behind_the_memory_of_the_newest_events_read_the_journal(
    notifier: Notifier, registry: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.notifier.tail.MOST_EVENTS", 4)
    notifier.fold.fold(registered(registry, 10))
    assert notifier.tail.after(2) is None
    assert [told.entry.position for told in notifier.tail.after(7) or []] == [8, 9, 10]
    assert notifier.tail.after(10) == []


def test_what_comes_more_than_a_day_after_it_was_said_is_late(notifier: Notifier, registry: Ledger) -> None:
    fact = registered(registry, 1)[0]
    notifier.now = fact.header.time + timedelta(hours=25)
    notifier.fold.fold([fact])
    (entry,), _ = notifier.journal.page(0, 10)
    assert isinstance(entry.new, NewEntry)
    assert entry.is_late
