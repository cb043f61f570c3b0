"""From journal to deliveries on a real database: each once, late ones together, whatever crashed in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import mongoengine
import pytest

from services.notifier import documents
from services.notifier.documents import DeliveryDocument
from services.notifier.domain.deliveries import Delivery
from services.notifier.domain.filters import Filters
from services.notifier.domain.subscriptions import Secret, Subscription, secret_of
from services.notifier.planning import LONGEST, QUIET, Planner
from services.notifier.records import Deliveries, Subscriptions
from shared.facts.fact import Fact
from shared.facts.ids import new_id
from shared.ledger.ledger import Ledger
from shared.service import use_database
from shared.settings import Settings
from tests.node.ledgers import LedgerNode, ledger_node

from .test_notifier_journal import Notifier, proposal, registered

MESH = "0198c0de-0000-7000-8000-00000000aaaa"


@dataclass
class Desk:
    """A planner beside its journal, with a clock that the test moves."""

    node: LedgerNode
    settings: Settings
    wakes: int = 0
    notifier: Notifier = field(init=False)
    subscriptions: Subscriptions = field(default_factory=Subscriptions)
    deliveries: Deliveries = field(default_factory=lambda: Deliveries("here"))
    planner: Planner = field(init=False)

    def __post_init__(self) -> None:
        self.notifier = Notifier(self.node, self.settings)
        self.restart()

    def restart(self) -> None:
        """As a process does that knows only what is on disk."""
        one = self.notifier
        self.planner = Planner(
            one.database, one.journal, one.tail, self.subscriptions, self.deliveries, one.circles, MESH, self._woken
        )
        self.planner._compiled_at = float("-inf")

    def _woken(self) -> None:
        self.wakes += 1

    def subscribe(self, agency: str = "wfp", **changed: Any) -> Subscription:
        fields: dict[str, Any] = {
            "id": new_id(),
            "agency": agency,
            "actor": "somebody",
            "url": "https://example.org/",
            "filters": Filters(),
            "secrets": (Secret(secret_of(b"s" * 32)),),
            "created_at": self.notifier.now,
            "begins_epoch": self.notifier.journal.epoch,
            "begins_after": self.notifier.journal.durable_head(),
        }
        made = Subscription(**{**fields, **changed})
        assert self.subscriptions.add(made)
        return made

    def plan(self) -> None:
        while self.planner.step():
            pass

    def planned(self, subscription: Subscription) -> list[Delivery]:
        found = [one for _, one in self.deliveries.of_agency(subscription.agency, 1000, None)]
        return [one for one in reversed(found) if one.subscription == subscription.id]

    def settle(self, wait: timedelta = QUIET) -> None:
        """Time passes, and digests that are due are compiled."""
        self.notifier.now += wait
        self.planner._compiled_at = float("-inf")
        self.plan()


@pytest.fixture
def desk(database_settings: Settings) -> Iterator[Desk]:
    use_database(database_settings, "notifier")
    documents.ensure_indexes()
    with ledger_node(database_settings) as node:
        yield Desk(node.host("wfp", "fao"), database_settings)
    mongoengine.disconnect("notifier")


@pytest.fixture
def registry(desk: Desk) -> Ledger:
    return desk.node.ledger("registry")


def places(facts: list[Fact]) -> list[str]:
    return [fact.place for fact in facts]


def test_every_event_is_planned_once_per_subscription_from_where_that_began(desk: Desk, registry: Ledger) -> None:
    desk.notifier.fold.fold(registered(registry, 3))
    first = desk.subscribe()
    facts = registered(registry, 300)
    desk.notifier.fold.fold(facts)
    second = desk.subscribe(filters=Filters(kinds=frozenset({"testbed"})))
    desk.plan()
    assert sorted(one.event for one in desk.planned(first)) == sorted(places(facts))
    assert desk.planned(second) == []
    assert desk.wakes >= 1


@pytest.mark.parametrize("forget", ["the place", "the place and half of what was planned"])
def test_planning_again_after_a_crash_adds_exactly_what_is_missing(desk: Desk, registry: Ledger, forget: str) -> None:
    subscription = desk.subscribe()
    facts = registered(registry, 20)
    desk.notifier.fold.fold(facts)
    desk.plan()
    desk.notifier.database["meta"].delete_one({"_id": "planned"})
    if "half" in forget:
        DeliveryDocument.objects(event__in=places(facts)[:10]).delete()
    desk.restart()
    desk.plan()
    assert sorted(one.event for one in desk.planned(subscription)) == sorted(places(facts))


def test_a_rebuild_plans_nothing(desk: Desk, registry: Ledger) -> None:
    subscription = desk.subscribe()
    facts = registered(registry, 5)
    desk.notifier.fold.fold(facts)
    desk.plan()
    desk.notifier.fold.rebuild([("wfp.registry", [facts])])
    desk.restart()
    desk.plan()
    assert len(desk.planned(subscription)) == 5


def test_what_arrives_more_than_a_day_late_makes_one_digest_once_it_is_quiet(desk: Desk, registry: Ledger) -> None:
    subscription = desk.subscribe()
    punctual = registered(registry, 1)
    desk.notifier.fold.fold(punctual)
    desk.notifier.now += timedelta(days=2)
    late = registered(registry, 6)
    desk.notifier.fold.fold(late[:4])
    desk.plan()
    assert [one.event for one in desk.planned(subscription)] == places(punctual), "nothing of it yet"
    desk.notifier.fold.fold(late[4:])
    desk.plan()
    desk.settle()
    _, digest = desk.planned(subscription)
    assert digest.type == "org.pilotmesh.digest.compiled.v1"
    assert digest.body is not None
    told = json.loads(digest.body)["data"]
    assert told["count"] == 6
    assert [one["id"] for one in told["events"]] == places(late)
    desk.settle()
    assert len(desk.planned(subscription)) == 2, "one digest, not two"


def test_a_digest_compiled_again_after_a_crash_is_the_same_and_loses_nothing_that_came_since(
    desk: Desk, registry: Ledger
) -> None:
    subscription = desk.subscribe()
    desk.notifier.now += timedelta(days=2)
    late = registered(registry, 3)
    desk.notifier.fold.fold(late[:2])
    desk.plan()
    before = desk.subscriptions.get(subscription.id)
    desk.settle()
    settled = {"late_since": before.late_since, "late_at": before.late_at}
    desk.subscriptions.change(subscription.id, "wfp", **settled)  # the crash came before the digest was settled
    desk.notifier.fold.fold(late[2:])
    desk.plan()
    desk.settle()
    desk.settle()
    told = [json.loads(one.body or "")["data"] for one in desk.planned(subscription)]
    assert [[one["id"] for one in digest["events"]] for digest in told] == [places(late[:2]), places(late[2:])]


def test_a_digest_does_not_wait_for_ever_while_late_events_trickle_in(desk: Desk, registry: Ledger) -> None:
    subscription = desk.subscribe()
    desk.notifier.now += timedelta(days=2)
    for fact in registered(registry, int(LONGEST / QUIET) * 2 + 2):
        desk.notifier.fold.fold([fact])
        desk.plan()
        desk.settle(QUIET / 2)
    assert len(desk.planned(subscription)) >= 1


def test_an_open_invitation_is_told_at_once_however_late(desk: Desk, registry: Ledger) -> None:
    subscription = desk.subscribe()
    matching = desk.node.ledger("matching")
    desk.notifier.now += timedelta(days=2)
    invited = {"agency": "fao", "status": "invited", "deadline": "2999-01-01T00:00:00Z"}
    fact = matching.record(proposal(status="open", invitations=[invited])).fact
    desk.notifier.fold.fold([fact])
    desk.plan()
    assert [one.event for one in desk.planned(subscription)] == [fact.place]


def test_one_attempt_is_made_by_one_process_and_a_dead_ones_claim_is_void(desk: Desk, registry: Ledger) -> None:
    subscription = desk.subscribe()
    desk.notifier.fold.fold(registered(registry, 1))
    desk.plan()
    now = desk.notifier.now
    (due,) = desk.deliveries.due(now, [subscription.id], 10)
    assert desk.deliveries.claim(due, now)
    assert not desk.deliveries.claim(due, now), "what is under way is not begun again"
    assert desk.deliveries.due(now, [subscription.id], 10) == []
    successor = Deliveries("there")
    (again,) = successor.due(now, [subscription.id], 10)
    assert again.attempts == 1
    assert successor.claim(again, now)
