"""A stolen key: the anchor names the last good facts; what lies beyond is given up and folded away, and the owner goes
on under a new key, in the same places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from services.mesh.keys import KeyCare
from services.mesh.members import RosterWriter
from shared.facts.keys import SigningKey, key_id
from shared.facts.names import ANCHOR
from shared.ledger.cutting import Cutting
from shared.ledger.drafts import Author, Draft
from shared.ledger.identity import Member, members_of, roster_state
from shared.ledger.rekeying import Rekeying
from shared.ledger.verification import verify_node
from shared.problems import Conflict, Invalid, NotFound
from shared.settings import Settings
from tests.node.following import Following, following_in
from tests.node.ledgers import LedgerNode, pilot, until
from tests.unit.facts.chains import Chain, key_of

OPERATOR = Author("operator", "admin")
RECOVERY = key_of("wfp recovery")
LEDGER = "wfp.registry"


@dataclass
class Scene:
    """A node that holds the anchor, with an agency whose ledger has three pilots, and a follower of it."""

    following: Following

    @property
    def node(self) -> LedgerNode:
        return self.following.node

    def care(self) -> KeyCare:
        node = self.node
        writer = RosterWriter(node.ledger("mesh"), node.keyring, node.identity)
        return KeyCare(
            node.store, node.identity, node.roster, node.keyring, writer, leads=lambda: True, reviews=lambda: False
        )

    def rekeying(self) -> Rekeying:
        node = self.node
        return Rekeying(node.store, node.identity, node.keyring, OPERATOR, lambda: datetime.now(UTC))

    def faults(self) -> dict[str, str]:
        reports = verify_node(self.node.store, self.node.identity)
        return {report.ledger: report.fault for report in reports if report.fault}

    def titles(self) -> set[str]:
        return {row.state.get("title", "") for row in self.following.rows.all() if row.is_live}

    def member(self) -> Member:
        return self.node.roster.members()[0]

    def at(self, sequence: int) -> dict[str, Any]:
        fact = self.node.store.at(LEDGER, 1, sequence)
        assert fact is not None
        return {"epoch": 1, "sequence": sequence, "hash": fact.hash}


@pytest.fixture
def scene(database_settings: Settings) -> Iterator[Scene]:
    with following_in(database_settings) as following:
        node = following.node
        node.keyring.make("wfp")
        state = roster_state([Member("wfp", node.keyring.key("wfp").public, RECOVERY.public)])
        node.appender().record(Draft(ANCHOR, "mesh", "roster", "issued", "mesh", 1, state, OPERATOR))
        appender = node.appender()
        for number in range(3):
            appender.record(pilot(title=f"good {number}"))
        yield Scene(following)


def stolen(scene: Scene, *, after: int = 3, ledger: str = LEDGER, **more: Any) -> Chain:
    """What whoever stole the key writes from there on, properly signed."""
    node = scene.node
    chain = Chain(ledger=ledger, key=node.keyring.key("wfp"), mesh=node.identity.mesh)
    chain.facts = list(node.store.after(ledger, (1, 0), after)) if after else []
    if chain.facts:
        last = chain.facts[-1]
        chain.head = type(chain.head)(*last.header.position, last.hash)
    subject = "pilot/0198c0de-0000-7000-8000-00000000bad"
    new = [chain.add({"lead_agency": "wfp", "title": "bad"}, subject=f"{subject}{n}", **more) for n in range(2)]
    node.store.insert(new, [None] * len(new), own=False)
    return chain


def test_what_lies_beyond_the_last_good_fact_is_given_up_and_folded_away(scene: Scene) -> None:
    follower = scene.following.started()
    before = scene.following.digest()
    changed = scene.at(3)
    stolen(scene)
    follower.nudge([LEDGER])
    until(lambda: "bad" in scene.titles(), "the forged pilots are folded")
    care = scene.care()
    care.revoke("wfp", {"last_good": {LEDGER: changed}}, OPERATOR)
    care.step()
    assert scene.node.store.head(LEDGER).hash == changed["hash"]
    assert Cutting(scene.node.store).count() == 2
    assert scene.faults() == {}
    until(lambda: scene.titles() == {"good 0", "good 1", "good 2"}, "the forged pilots are folded away")
    assert scene.following.digest() == before == scene.following.digest_of_rebuild()


def test_a_pilot_that_the_thief_changed_shows_its_last_good_state_again(scene: Scene) -> None:
    scene.following.started()
    node = scene.node
    first = node.store.at(LEDGER, 1, 1)
    assert first is not None
    good = scene.at(3)
    node.appender().record(pilot(id=first.header.subject.split("/")[1], version=2, title="bad"))
    until(lambda: "bad" in scene.titles(), "the change is folded")
    care = scene.care()
    care.revoke("wfp", {"last_good": {LEDGER: good}}, OPERATOR)
    care.step()
    until(lambda: "good 0" in scene.titles(), "the change is folded away")
    assert scene.following.digest() == scene.following.digest_of_rebuild()


def test_a_fact_dated_back_is_refused_like_any_other(scene: Scene) -> None:
    good = scene.at(3)
    stolen(scene, time="2020-01-01T00:00:00.000000Z")
    care = scene.care()
    care.revoke("wfp", {"last_good": {LEDGER: good}}, OPERATOR)
    assert "does not hold" in scene.faults()[LEDGER]
    care.step()
    assert scene.faults() == {}


def test_what_the_thief_had_redacted_is_gone_and_the_ledger_is_proven_all_the_same(scene: Scene) -> None:
    node, care, good = scene.node, scene.care(), scene.at(3)
    first = node.store.at(LEDGER, 1, 1)
    assert first is not None
    named = [{"epoch": 1, "sequence": 1, "subject": first.header.subject}]
    state = {"facts": named, "reason": "error"}
    node.appender().record(Draft("wfp", "registry", "fact", "redacted", "r-1", 1, state, OPERATOR))
    node.store.forget(LEDGER, 1, 1)
    care.revoke("wfp", {"last_good": {LEDGER: good}}, OPERATOR)
    care.step()
    assert node.store.head(LEDGER).position == (1, 3)
    assert scene.faults() == {}


def test_a_ledger_that_only_the_thief_began_is_given_up_altogether(scene: Scene) -> None:
    heads = {LEDGER: scene.at(3)}
    forged = stolen(scene, after=0, ledger="wfp.matching.0198c0de-0000-7000-8000-00000000c1c1", kind="pilot").ledger
    care = scene.care()
    care.revoke("wfp", {"last_good": {**heads, forged: {"epoch": 1, "sequence": 0}}}, OPERATOR)
    care.step()
    assert scene.node.store.head(forged).sequence == 0


def test_the_agency_goes_on_in_the_same_place_by_its_recovery_key(scene: Scene) -> None:
    scene.following.started()
    node, care = scene.node, scene.care()
    appender = node.appender()
    appender.record(pilot(title="good 3"))  # it remembers the ledger's head
    good = scene.at(4)
    stolen(scene, after=4)
    care.revoke("wfp", {"last_good": {LEDGER: good}}, OPERATOR)
    care.step()
    with pytest.raises(Conflict, match="keys recover wfp"):
        appender.record(pilot())
    done = scene.rekeying().rotate("wfp", RECOVERY)
    assert done.places == {LEDGER: f"{LEDGER}:1:5"}
    after = appender.record(pilot(title="after")).fact
    assert (after.header.position, after.header.keyid) == ((1, 6), done.keyid)
    assert scene.faults() == {}
    care.step()
    assert scene.member().public == node.keyring.key("wfp").public
    assert scene.faults() == {}
    until(lambda: "after" in scene.titles() and "bad" not in scene.titles(), "what came after is folded")
    assert scene.following.digest() == scene.following.digest_of_rebuild()


def test_what_the_thief_rekeyed_counts_no_more(scene: Scene) -> None:
    """The thief was quicker: it put a key of its own into force, and the anchor took that into the roster."""
    node, care, good = scene.node, scene.care(), scene.at(3)
    honest = node.keyring.key("wfp")
    scene.rekeying().rotate("wfp")  # with the stolen key: the thief's node does what ours would
    thief = node.keyring.key("wfp")
    node.appender().record(pilot(title="bad"))
    care.take_up()
    assert scene.member().public == thief.public
    care.revoke("wfp", {"keyid": honest.keyid, "last_good": {LEDGER: good}}, OPERATOR)
    assert scene.member().public == honest.public
    care.step()
    assert node.store.head(LEDGER).hash == good["hash"]
    assert scene.faults() == {}
    (node.keyring.folder / "wfp.key").unlink()  # it was the thief's; ours is what the recovery key makes
    for leftover in node.keyring.folder.glob("wfp.*.old"):
        leftover.unlink()
    done = scene.rekeying().rotate("wfp", RECOVERY)
    assert done.before == honest.keyid
    node.appender().record(pilot(title="after"))
    care.step()
    assert scene.faults() == {}
    assert [key_id(one.public) for one in scene.member().earlier] == [honest.keyid]


def test_a_successor_that_the_anchor_names_signs_from_there_on(scene: Scene) -> None:
    node, care, successor = scene.node, scene.care(), key_of("successor")
    good = scene.at(3)
    stolen(scene)
    care.revoke("wfp", {"last_good": {LEDGER: good}, "successor": successor.public.hex()}, OPERATOR)
    care.step()
    chain = stolen_free(scene, successor)
    node.store.insert([chain.add({"lead_agency": "wfp"}, version=7)], [None], own=False)
    other = Chain(ledger="wfp.matching", key=successor, mesh=node.identity.mesh)
    node.store.insert([other.add({"agency": "wfp"}, kind="response")], [None], own=False)
    assert scene.faults() == {}


def stolen_free(scene: Scene, key: SigningKey) -> Chain:
    head = scene.node.store.head(LEDGER)
    return Chain(ledger=LEDGER, key=key, mesh=scene.node.identity.mesh, head=head)


def test_a_key_is_taken_over_by_the_anchor_once_it_is_announced(scene: Scene) -> None:
    care, old = scene.care(), scene.node.keyring.key("wfp")
    scene.rekeying().rotate("wfp")
    care.step()
    care.step()
    member = scene.member()
    assert member.public == scene.node.keyring.key("wfp").public
    assert [one.public for one in member.earlier] == [old.public]
    newest = scene.node.store.newest(ANCHOR, "mesh", "roster/mesh")
    assert newest is not None
    assert newest.header.version == 2
    assert members_of(newest.state or {}) == [member]
    assert scene.faults() == {}


def test_a_revocation_with_faults_names_all_of_them(scene: Scene) -> None:
    care = scene.care()
    with pytest.raises(Invalid) as refused:
        care.revoke(
            "wfp",
            {
                "last_good": {
                    "fao.registry": {"epoch": 1, "sequence": 1},
                    LEDGER: {"epoch": 1, "sequence": 2, "hash": "ab" * 32},
                    "wfp.matching": {"epoch": 1, "sequence": 9},
                    "nonsense": {},
                },
                "successor": "zz",
            },
            OPERATOR,
        )
    assert [fault.code for fault in refused.value.faults] == ["agency", "hash", "hash", "place", "key"]
    with pytest.raises(NotFound):
        care.revoke("fao", {}, OPERATOR)
    with pytest.raises(Conflict):
        care.revoke(ANCHOR, {}, OPERATOR)
