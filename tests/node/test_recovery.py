"""A disk that was put back: own facts come home before the first command, and no sequence is ever given twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Binary

from services.mesh.heads import head_is_signed, signed_heads
from services.mesh.streams import delete_from_streams
from shared.bus.subjects import headers_of, subject_of
from shared.facts.fact import Fact, to_wire
from shared.facts.keys import SigningKey
from shared.facts.names import ANCHOR
from shared.ledger.drafts import Author, Draft
from shared.ledger.identity import Member, roster_state
from shared.ledger.reopening import reopen
from shared.ledger.store import LedgerStore
from shared.ledger.verification import verify_node
from shared.ledger.witness import Witness
from shared.problems import Conflict, Forbidden
from shared.settings import Settings
from tests.node.ledgers import LedgerNode, ledger_node, pilot
from tests.node.streams import Bus, tell
from tests.unit.facts.chains import Chain, key_of

LEDGER, PRIVATE = "wfp.registry", "wfp.registry.private"
CIRCLE = "0198c0de-0000-7000-8000-00000000c1c1"
ADMIN = Author("admin", "admin")


@pytest.fixture
def node(settings: Settings) -> Iterator[LedgerNode]:
    with ledger_node(settings) as made:
        yield made.host("wfp", "fao")


def written(node: LedgerNode, count: int, **more: Any) -> list[Fact]:
    appender = node.appender()
    facts = [done.result(60).fact for done in [appender.submit(pilot(**more)) for _ in range(count)]]
    appender.stop()
    return facts


class Backup:
    """A copy of the ledger's database, and the act of putting it back."""

    def __init__(self, node: LedgerNode) -> None:
        database = node.store.database
        self._kept = {name: list(database[name].find()) for name in database.list_collection_names()}

    def put_back(self, node: LedgerNode) -> None:
        for name in ("facts", "ledgers", "barriers"):
            node.store.database[name].delete_many({})
            if self._kept.get(name):
                node.store.database[name].insert_many(self._kept[name])
        node.store = LedgerStore(node.client, node.settings.database("ledger"))


def faults(node: LedgerNode) -> dict[str, str]:
    return {report.ledger: report.fault for report in verify_node(node.store, node.identity) if report.fault}


def test_facts_that_the_store_lost_come_back_before_the_first_command(node: LedgerNode) -> None:
    written(node, 3)
    backup = Backup(node)
    lost = [*written(node, 200), *written(node, 2, audience="private"), *written(node, 2, audience=CIRCLE)]

    async def story(bus: Bus) -> None:
        await bus.published(LEDGER, PRIVATE, f"{LEDGER}.{CIRCLE}", "hub.mesh")
        backup.put_back(node)
        assert (await bus.recover()).taken == len(lost)
        assert (await bus.recover()).taken == 0

    tell(node, story)
    assert node.store.hashes_present([fact.hash for fact in lost]) == {fact.hash for fact in lost}
    (after,) = written(node, 1)
    assert after.header.sequence == 204
    assert faults(node) == {}


def test_the_roster_too_comes_back_and_nobody_has_to_wait_for_it(node: LedgerNode) -> None:
    before = Backup(node)
    node.host("who")
    written(node, 2, agency="who")

    async def story(bus: Bus) -> None:
        await bus.published("hub.mesh", "who.registry")
        before.put_back(node)
        registry, mesh = await bus.recover("registry"), await bus.recover("mesh")
        assert (registry.taken, mesh.taken) == (2, 1)
        assert registry.frozen == mesh.frozen == {}

    tell(node, story)
    assert [member.agency for member in node.roster.members()] == ["fao", "wfp", "who"]
    assert faults(node) == {}


def test_a_database_lost_altogether_comes_back_whole(node: LedgerNode) -> None:
    facts = written(node, 5)

    async def story(bus: Bus) -> None:
        await bus.published(LEDGER, "hub.mesh")
        for name in ("facts", "ledgers", "barriers"):
            node.store.database[name].delete_many({})
        node.store = LedgerStore(node.client, node.settings.database("ledger"))
        assert (await bus.recover("mesh")).taken == 1
        assert (await bus.recover("registry")).taken == 5

    tell(node, story)
    assert node.store.after(LEDGER, (1, 0)) == facts
    assert faults(node) == {}


def test_what_was_forgotten_in_between_leaves_no_gap_in_what_comes_back(node: LedgerNode) -> None:
    written(node, 2)
    backup = Backup(node)
    facts = written(node, 3)
    named = [{"epoch": 1, "sequence": 4, "subject": facts[1].header.subject}]
    state = {"facts": named, "reason": "personal_data"}
    node.appender().record(Draft("wfp", "registry", "fact", "redacted", "r-1", 1, state, ADMIN))

    async def story(bus: Bus) -> None:
        await bus.published(LEDGER)
        await asyncio.to_thread(node.store.forget, LEDGER, 1, 4)
        await delete_from_streams(node.settings, LEDGER, 1, 4)
        await bus.relay().fill(LEDGER, (1, 4))
        backup.put_back(node)
        assert (await bus.recover()).taken == 4

    tell(node, story)
    again = node.store.at(LEDGER, 1, 4)
    assert again is not None
    assert again.payload is None
    assert faults(node) == {}


def test_what_forgers_put_into_the_stream_is_quarantined_and_not_taken(node: LedgerNode) -> None:
    written(node, 1)
    backup = Backup(node)
    lost = written(node, 3)
    forger = Chain(key=key_of("mallory"), mesh=node.identity.mesh, head=node.store.head(LEDGER))
    forged = forger.add()

    async def story(bus: Bus) -> None:
        await bus.published(LEDGER)
        js = bus.mesh.jetstream()
        await js.publish(subject_of(forged), to_wire(forged), headers=headers_of(forged))
        await js.publish(subject_of(forged), b"rubbish", headers=headers_of(forged))
        await js.publish(subject_of(lost[0]), to_wire(lost[1]), headers=headers_of(lost[0]))
        await js.publish("facts.wfp.registry.pilot.registered", b"rubbish")
        backup.put_back(node)
        recovered = await bus.recover()
        assert recovered.taken == 3
        assert recovered.frozen == {}

    tell(node, story)
    assert node.store.head(LEDGER).hash == lost[-1].hash
    codes = {
        entry["code"]
        for entry in Bus(node, None, None).quarantine.entries()  # type: ignore[arg-type]
    }
    assert codes == {"key", "unreadable"}
    assert faults(node) == {}


def test_a_start_without_anything_to_take_back_reads_one_message_a_ledger(node: LedgerNode) -> None:
    written(node, 3)

    async def story(bus: Bus) -> None:
        await bus.published(LEDGER)
        sent = bus.mesh.stats["out_msgs"]
        await bus.recover()
        assert bus.mesh.stats["out_msgs"] - sent <= 12

    tell(node, story)


def test_a_store_that_went_on_after_it_was_put_back_is_frozen_and_other_ledgers_go_on(node: LedgerNode) -> None:
    """Two histories of one ledger: which of them others have seen is not for this node to decide."""
    written(node, 2)
    backup = Backup(node)
    written(node, 2)

    async def story(bus: Bus) -> None:
        await bus.published(LEDGER)
        backup.put_back(node)
        await asyncio.to_thread(written, node, 3)
        recovered = await bus.recover()
        assert recovered.taken == 0
        assert set(recovered.frozen) == {LEDGER}
        appender = node.appender()
        appender.frozen.update(recovered.frozen)
        with pytest.raises(Conflict, match="frozen"):
            appender.submit(pilot())
        assert (await asyncio.to_thread(appender.record, pilot(agency="fao"))).fact.header.sequence == 1
        shown = [entry for entry in bus.quarantine.entries() if entry["code"] == "frozen"]
        assert LEDGER in shown[0]["source"]
        assert "recovery key" in shown[0]["remedy"]

    tell(node, story)


def test_a_gap_in_the_stream_freezes_rather_than_gives_sequences_twice(node: LedgerNode) -> None:
    written(node, 1)
    backup = Backup(node)
    facts = written(node, 4)

    async def story(bus: Bus) -> None:
        await bus.published(LEDGER)
        number = next(m.number for m in await bus.messages() if m.headers["Pilotmesh-Hash"] == facts[1].hash)
        await bus.provisioner.jetstream().delete_msg("FACTS", number)
        backup.put_back(node)
        recovered = await bus.recover()
        assert recovered.taken == 1
        assert "not all of them" in recovered.frozen[LEDGER]

    tell(node, story)


def test_two_histories_in_the_streams_themselves_freeze(node: LedgerNode) -> None:
    written(node, 1)
    backup = Backup(node)
    (first,) = written(node, 1)

    async def story(bus: Bus) -> None:
        await bus.published(LEDGER)
        backup.put_back(node)
        (second,) = await asyncio.to_thread(written, node, 1)
        js = bus.mesh.jetstream()
        await js.publish(subject_of(second), to_wire(second), headers=headers_of(second))
        backup.put_back(node)
        recovered = await bus.recover()
        assert recovered.taken == 0
        assert first.hash in recovered.frozen[LEDGER]
        assert second.hash in recovered.frozen[LEDGER]

    tell(node, story)


def heads_of(node: LedgerNode) -> list[dict[str, Any]]:
    return signed_heads(node.store, node.keyring, node.identity.mesh)


def test_a_witnessed_head_that_store_and_streams_lost_is_missed_and_freezes(node: LedgerNode) -> None:
    written(node, 2)
    backup = Backup(node)
    witness = Witness(node.settings.home)
    written(node, 3)
    witness.remember(heads_of(node))

    async def story(bus: Bus) -> None:
        backup.put_back(node)
        (missing,) = witness.missing(node.store)
        assert missing.startswith(f"{LEDGER}:1:5 was witnessed")
        assert missing.endswith("is missing")
        assert faults(node) == {}
        recovered = await bus.recover()
        assert set(recovered.frozen) == {LEDGER}
        assert (await bus.recover("matching")).frozen == {}

    tell(node, story)


def recovery_key(node: LedgerNode, agency: str) -> SigningKey:
    """A recovery key that the roster binds to the agency; the tests' roster binds one that nobody kept."""
    key = SigningKey.make()
    newest = node.store.newest(ANCHOR, "mesh", "roster/mesh")
    assert newest is not None
    members = [
        Member(one.agency, one.public, key.public if one.agency == agency else one.recovery)
        for one in node.roster.members()
    ]
    state = roster_state(members)
    node.appender().record(Draft(ANCHOR, "mesh", "roster", "issued", "mesh", newest.header.version + 1, state, ADMIN))
    return key


def test_a_frozen_ledger_goes_on_in_the_next_epoch_by_the_recovery_key_alone(node: LedgerNode) -> None:
    recovery = recovery_key(node, "wfp")
    written(node, 2)
    backup = Backup(node)
    witness = Witness(node.settings.home)
    written(node, 2)
    witness.remember(heads_of(node))
    backup.put_back(node)
    now = datetime(2026, 3, 1, tzinfo=UTC)
    with pytest.raises(Forbidden):
        reopen(node.store, node.identity, LEDGER, node.keyring.key("wfp"), ADMIN, "restored", now)
    with pytest.raises(Conflict):
        reopen(node.store, node.identity, PRIVATE, recovery, ADMIN, "restored", now)
    reopened = reopen(node.store, node.identity, LEDGER, recovery, ADMIN, "restored", now)
    assert reopened.header.position == (2, 1)

    async def story(bus: Bus) -> None:
        assert (await bus.recover()).frozen == {}
        (after,) = await asyncio.to_thread(written, node, 1)
        assert after.header.position == (2, 2)
        assert witness.missing(node.store) == []
        assert faults(node) == {}
        await bus.published(LEDGER)
        assert await bus.sequences(LEDGER) == [1, 2, 1, 2]
        later = Backup(node)
        (lost,) = await asyncio.to_thread(written, node, 1)
        await bus.published(LEDGER)
        later.put_back(node)
        assert (await bus.recover()).taken == 1
        assert node.store.head(LEDGER).hash == lost.hash

    tell(node, story)


def test_heads_are_signed_by_their_agency(node: LedgerNode) -> None:
    written(node, 1)
    heads = {head["ledger"]: head for head in heads_of(node)}
    assert set(heads) == {"hub.mesh", LEDGER}
    wfp = node.keyring.key("wfp").public
    assert head_is_signed(node.identity.mesh, wfp, heads[LEDGER])
    assert not head_is_signed("another mesh", wfp, heads[LEDGER])
    assert not head_is_signed(node.identity.mesh, wfp, {**heads[LEDGER], "sequence": 2})
    assert not head_is_signed(node.identity.mesh, node.keyring.key("fao").public, heads[LEDGER])


def test_a_head_that_was_witnessed_with_another_hash_is_named(node: LedgerNode) -> None:
    (fact,) = written(node, 1)
    witness = Witness(node.settings.home)
    witness.remember(heads_of(node))
    node.store.facts.delete_one({"_id": fact.hash})
    (other,) = written(node, 1)
    (missing,) = witness.missing(node.store)
    assert missing.endswith(f"has hash {other.hash}")


def test_the_witness_survives_a_line_cut_off_by_a_crash(node: LedgerNode) -> None:
    written(node, 1)
    witness = Witness(node.settings.home)
    assert witness.remember(heads_of(node)) == 2
    assert witness.remember(heads_of(node)) == 0
    with witness.path.open("ab") as file:
        file.write(b'{"ledger": "wfp.reg\xff')
    written(node, 1)
    again = Witness(node.settings.home)
    again.remember(heads_of(node))
    assert [head["sequence"] for head in again.all() if head["ledger"] == LEDGER] == [1, 2]
    assert again.missing(node.store) == []


def test_a_quiet_ledgers_head_is_kept_however_much_others_write(
    node: LedgerNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.ledger.witness.KEPT", 20)
    written(node, 1)
    witness = Witness(node.settings.home)
    quiet = next(head for head in heads_of(node) if head["ledger"] == LEDGER)
    witness.remember([quiet])
    for number in range(100):
        witness.remember([{**quiet, "ledger": "fao.registry", "sequence": number, "hash": f"{number:064}"}])
    kept = witness.all()
    assert len(kept) < 50
    assert quiet in kept


def test_a_damaged_fact_in_the_store_is_not_hidden_by_recovery(node: LedgerNode) -> None:
    facts = written(node, 3)
    node.store.facts.update_one({"_id": facts[1].hash}, {"$set": {"payload": Binary(b"{}")}})

    async def story(bus: Bus) -> None:
        await bus.recover()

    tell(node, story)
    assert "digest" in faults(node)[LEDGER]
