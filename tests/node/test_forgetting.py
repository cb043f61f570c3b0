"""Redactions on three nodes: what is overwritten, who confirms it under which key, whose word does not count."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from services.mesh.answering import Answering
from services.mesh.confirming import Confirming, Redacted
from services.mesh.folds import RedactionFold, place_of_task
from services.mesh.forgetting import Completing
from shared.facts.fact import Fact
from shared.facts.keys import SigningKey
from shared.facts.names import ANCHOR
from shared.ledger.confirmation import Confirmation
from shared.ledger.cutting import Cutting, Forks
from shared.ledger.drafts import Author, Draft
from shared.ledger.identity import HubAddress, Identity, Member, Revocation, roster_state
from shared.ledger.quarantine import Quarantine
from shared.ledger.witness import foreign_heads
from shared.ledger.work import Work
from shared.settings import Settings
from tests.node.ledgers import LedgerNode, pilot
from tests.unit.facts.chains import Chain, key_of

MESH = "0198c0de-0000-7000-8000-00000000f00d"
OPERATOR = Author("operator", "admin")
LEDGER = "wfp.registry"
AT = "2026-11-22T10:00:00.000000Z"
SECRET = "Chief Mwansa of Kasama"


@dataclass
class Node:
    """One node's store and what it says of redactions; no servers but the database."""

    domain: str
    ledgers: LedgerNode
    work: Work = field(init=False)
    confirming: Confirming = field(init=False)
    answering: Answering = field(init=False)
    completing: Completing = field(init=False)

    def __post_init__(self) -> None:
        one = self.ledgers
        database = one.client[one.settings.database("mesh")]
        self.database = database
        self.quarantine = Quarantine(one.client[one.settings.database("node")]["quarantine"])
        self.work = Work(database["redactions"])
        self.confirming = Confirming(
            one.store, one.keyring, one.identity, one.roster, self.domain, database, self.quarantine
        )
        self.answering = Answering(
            one.store,
            one.keyring,
            one.identity,
            one.roster,
            Forks(one.store),
            foreign_heads(one.store),
            self.confirming,
        )
        self.cursors = one.client[one.settings.database("registry")]["cursors"]
        self.completing = Completing(self.confirming, one.store, self.work, database["waiting"], [self.cursors])

    @property
    def key(self) -> SigningKey:
        return self.ledgers.keyring.key(self.domain)

    def folds(self, *facts: Fact) -> None:
        """As the follower has it folded; the streams' part is done with."""
        RedactionFold(self.ledgers.store, self.work, self.confirming.confirmations, self.database["waiting"]).fold(
            facts
        )

    def finishes(self) -> None:
        for task in self.work.due():
            assert place_of_task(task.key)
            self.work.done(task)
        self.completing.step()

    def takes(self, *facts: Fact) -> None:
        self.ledgers.store.insert(list(facts), [None] * len(facts), own=False)

    def asks(self, other: Node, *more: Confirmation) -> int:
        """One question, and its answer; `more` is what the other one slips in. How much was believed."""
        book = self.ledgers.roster.book()
        asked = self.confirming.missing(other.domain, book)
        of = [{"redaction": redaction, "nodes": nodes} for redaction, nodes in asked]
        answer = json.loads(
            other.answering.answer(self.domain, json.dumps({"ask": "confirmations", "of": of}).encode())
        )
        told = [*answer["confirmations"], *(one.as_json() for one in more)]
        return self.confirming.take(other.domain, asked, told, book)

    def entry(self) -> Redacted:
        (one,) = self.confirming.confirmations.of_agencies(["wfp"])
        return one

    def confirmed(self) -> set[str]:
        return set(self.confirming.confirmed(self.entry(), self.ledgers.roster.book()))

    def codes(self) -> set[str]:
        return {entry["code"] for entry in self.quarantine.entries()}


@dataclass
class Scene:
    hub: Node
    wfp: Node
    fao: Node
    facts: list[Fact]
    redaction: Fact
    members: list[Member]
    anchor: SigningKey

    def issue(self, version: int) -> None:
        chain = Chain(ledger="hub.mesh", key=self.anchor, mesh=MESH, head=self.hub.ledgers.store.head("hub.mesh"))
        roster = chain.add(
            roster_state(self.members), subject="roster/mesh", kind="roster", verb="issued", version=version
        )
        for node in (self.hub, self.wfp, self.fao):
            node.takes(roster)


@pytest.fixture
def scene(database_settings: Settings) -> Iterator[Scene]:
    anchor = SigningKey.make()
    nodes: dict[str, Node] = {}
    members: list[Member] = []
    for domain in ("hub", "wfp", "fao"):
        home = database_settings.home / domain
        (home / "keys").mkdir(parents=True)
        hub = None if domain == "hub" else HubAddress("hub", "http://hub", ())
        (home / "mesh.json").write_text(json.dumps(Identity(MESH, anchor.public, hub, domain).as_json()))
        prefix = f"{database_settings.database_prefix}_{domain}"
        settings = database_settings.model_copy(update={"home": home, "database_prefix": prefix})
        ledgers = LedgerNode(settings, settings.mongodb_uri or "")
        if domain == "hub":
            (home / "keys" / f"{ANCHOR}.key").write_text(anchor.secret().hex())
        else:
            key = ledgers.keyring.make(domain)
            members.append(Member(domain, key.public, key_of(f"{domain} recovery").public, domain=domain))
        nodes[domain] = Node(domain, ledgers)
    hub_node, wfp, fao = nodes["hub"], nodes["wfp"], nodes["fao"]
    made = Scene(hub_node, wfp, fao, [], None, members, anchor)  # type: ignore[arg-type]
    made.issue(1)
    appender = wfp.ledgers.appender()
    made.facts = [appender.record(pilot(title=title)).fact for title in (SECRET, "Another")]
    named = [{"epoch": 1, "sequence": 1, "subject": made.facts[0].header.subject}]
    state = {"facts": named, "reason": "personal_data"}
    made.redaction = appender.record(Draft("wfp", "registry", "fact", "redacted", "r-1", 1, state, OPERATOR)).fact
    for node in (hub_node, fao):
        node.takes(*made.facts, made.redaction)
    for node in (hub_node, wfp, fao):
        node.folds(made.redaction)
        node.completing.step()
    yield made
    for node in nodes.values():
        node.ledgers.close()


def test_a_node_confirms_only_once_its_streams_are_clean(scene: Scene) -> None:
    assert scene.wfp.entry().expected == {"hub": (), "wfp": ("wfp",), "fao": ("fao",)}
    assert scene.wfp.confirmed() == set()
    scene.wfp.finishes()
    assert scene.wfp.confirmed() == {"wfp"}


def test_a_node_confirms_only_once_every_service_that_held_the_content_has_folded_it_away(scene: Scene) -> None:
    wfp = scene.wfp
    place = {"_id": LEDGER, "epoch": 1, "sequence": 2, "hash": scene.facts[1].hash}
    wfp.cursors.insert_one(place)
    wfp.finishes()
    assert wfp.confirmed() == set()
    wfp.cursors.update_one({"_id": LEDGER}, {"$set": {"sequence": 3}})
    wfp.finishes()
    assert wfp.confirmed() == {"wfp"}


def test_what_was_given_up_and_what_waits_is_overwritten_as_well(scene: Scene) -> None:
    fao = scene.fao
    branch = Chain(ledger=LEDGER, key=scene.wfp.key, mesh=MESH).add({"title": {"en": SECRET}, "lead_agency": "wfp"})
    aside = fao.ledgers.store.database["given_up"]
    aside.insert_one({**_document(fao, branch), "_id": branch.hash})
    fao.database["waiting"].insert_one(
        {"_id": "x", "ledger": LEDGER, "epoch": 1, "sequence": 1, "wire": SECRET.encode()}
    )
    for task in fao.work.due():
        fao.work.done(task)
    fao.completing.step()
    assert fao.confirming.confirmations.told([scene.redaction.hash]) == {}
    fao.folds(scene.redaction)
    fao.finishes()
    assert Cutting(fao.ledgers.store).at(LEDGER, 1, 1)[0].payload is None
    assert fao.database["waiting"].count_documents({}) == 0
    assert "fao" in fao.confirming.confirmations.told([scene.redaction.hash])[scene.redaction.hash]


def _document(node: Node, fact: Fact) -> dict[str, Any]:
    found = node.ledgers.store.facts.find_one({"ledger": LEDGER, "sequence": 1})
    assert found is not None
    return {**found, "payload": fact.payload, "salt": fact.salt, "protected": fact.protected}


def test_the_owner_hears_through_the_hub_who_has_confirmed_whenever_that_is(scene: Scene) -> None:
    hub, wfp, fao = scene.hub, scene.wfp, scene.fao
    wfp.finishes()
    hub.finishes()
    assert hub.asks(fao) == 0
    assert wfp.asks(hub) == 1
    assert wfp.confirmed() == {"wfp", "hub"}
    fao.finishes()
    assert hub.asks(fao) == 1
    assert wfp.asks(hub) == 1
    assert wfp.asks(hub) == 0
    assert wfp.confirmed() == {"wfp", "hub", "fao"}
    assert wfp.confirming.missing("hub", wfp.ledgers.roster.book()) == []
    told = wfp.confirming.confirmations.told([scene.redaction.hash])[scene.redaction.hash]
    assert (told["fao"].agency, told["hub"].agency) == ("fao", None)
    assert wfp.codes() == hub.codes() == set()


def test_nobody_confirms_for_another_node(scene: Scene) -> None:
    hub, wfp, fao = scene.hub, scene.wfp, scene.fao
    said = Confirmation(scene.redaction.hash, "fao", AT)
    mine = said.signed(MESH, "fao", fao.key)
    forged = [
        said,  # the hub's own word for a node that could sign
        said.signed(MESH, "wfp", wfp.key),  # an agency that the node does not host
        said.signed(MESH, "fao", wfp.key),  # another agency's key under its name
        replace(said.signed(MESH, "fao", wfp.key), keyid=fao.key.keyid),
        said.signed("0198c0de-0000-7000-8000-00000000beef", "fao", fao.key),  # said in another mesh
        replace(mine, at="2026-11-23T10:00:00.000000Z"),  # altered on the way
        replace(Confirmation("ab" * 32, "fao", AT).signed(MESH, "fao", fao.key), redaction=scene.redaction.hash),
        replace(mine, signature="no base64"),
    ]
    for one in forged:
        assert wfp.asks(hub, one) == 0, one
    assert wfp.confirmed() == set()
    assert wfp.codes() == {"confirmation", "key"}
    assert wfp.asks(hub, mine) == 1
    assert wfp.confirmed() == {"fao"}


def test_an_answer_that_is_no_confirmation_or_was_not_asked_for_changes_nothing(scene: Scene) -> None:
    wfp, book = scene.wfp, scene.wfp.ledgers.roster.book()
    asked = wfp.confirming.missing("hub", book)
    good = Confirmation(scene.redaction.hash, "fao", AT).signed(MESH, "fao", scene.fao.key).as_json()
    nonsense: list[object] = [None, 3, [], {}, {**good, "redaction": "x"}, {**good, "at": "9" * 1000}]
    nonsense += [{**good, "agency": 7}, {**good, "agency": "../wfp"}, {**good, "domain": "unicef"}]
    assert wfp.confirming.take("hub", asked, nonsense, book) == 0
    assert wfp.codes() == set()


def test_a_node_tells_only_who_may_read_the_ledger(scene: Scene) -> None:
    scene.hub.finishes()
    of = [{"redaction": scene.redaction.hash, "nodes": ["hub"]}]
    question = json.dumps({"ask": "confirmations", "of": of}).encode()
    assert len(json.loads(scene.hub.answering.answer("wfp", question))["confirmations"]) == 1
    assert json.loads(scene.hub.answering.answer("stranger", question)) == {"confirmations": []}
    for wrong in (
        {"ask": "confirmations"},
        {"ask": "confirmations", "of": [1]},
        {"ask": "confirmations", "of": of * 65},
    ):
        assert (
            "confirmations: expected"
            in json.loads(scene.hub.answering.answer("wfp", json.dumps(wrong).encode()))["error"]
        )


def test_a_confirmation_under_a_key_that_is_revoked_later_is_asked_for_again(scene: Scene) -> None:
    hub, wfp, fao = scene.hub, scene.wfp, scene.fao
    for node in (hub, wfp, fao):
        node.finishes()
    hub.asks(fao)
    wfp.asks(hub)
    assert wfp.confirmed() == {"wfp", "hub", "fao"}
    assert wfp.confirming.missing("hub", wfp.ledgers.roster.book()) == []
    following = SigningKey.make()
    revocation = Revocation(fao.key.keyid, {}, following.public)
    scene.members = [
        replace(one, revocations=(revocation,), public=following.public) if one.agency == "fao" else one
        for one in scene.members
    ]
    scene.issue(2)
    assert wfp.confirmed() == {"wfp", "hub"}
    assert wfp.asks(hub) == 0
    (fao.ledgers.keyring.folder / "fao.key").write_text(following.secret().hex())
    assert hub.asks(fao) == 1
    assert wfp.asks(hub) == 1
    assert wfp.confirmed() == {"wfp", "hub", "fao"}
