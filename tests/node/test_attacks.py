"""Attacks against real servers: each ends in the right kind of trouble, nothing of it is folded, others go on."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.mesh import answering
from services.mesh.accepting import Accepting
from services.mesh.heads import signed_heads
from shared.bus.asking import Asking, Unanswered
from shared.bus.peers import connect_intake
from shared.bus.subjects import HASH
from shared.facts.fact import Fact, to_bytes, to_wire
from shared.facts.keys import Place, SigningKey
from shared.facts.verify import Head
from shared.ledger.identity import Revocation
from shared.ledger.quarantine import KEPT_PER_SOURCE
from shared.ledger.reopening import reopen
from shared.ledger.verification import verify_node
from shared.ledger.witness import foreign_heads
from shared.problems import Conflict
from tests.node.exchanging import Federation, Side, eventually, federation
from tests.node.ledgers import pilot
from tests.node.test_intake import ADMIN, faults, leaves_sockets, stored, write
from tests.unit.facts.chains import Chain, resigned

LEDGER = "wfp.registry"
pytestmark = leaves_sockets


@pytest.fixture
def mesh(tmp_path: Path, mongodb_uri: str) -> Iterator[Federation]:
    with federation(tmp_path, mongodb_uri, "wfp", "fao") as made:
        yield made
    gc.collect()  # the sockets that nats-py left are this test's, not the next one's


def accepting_at(side: Side) -> Accepting:
    """The intake's judgement alone, on this node's store."""
    node = side.ledgers
    made = Accepting(
        node.store,
        node.identity,
        node.roster,
        node.keyring,
        side.quarantine,
        node.client[node.settings.database("mesh")],
    )
    made.begin()
    return made


async def others_go_on(mesh: Federation) -> None:
    """Facts of everybody else still arrive everywhere, and every node still proves."""
    theirs = await write(mesh["wfp"], 2) + await write(mesh.hub, 2, agency="unicc")
    await eventually(lambda: mesh["fao"].holds(theirs) and mesh.hub.holds(theirs), "others go on")
    for side in mesh.sides.values():
        assert await asyncio.to_thread(faults, side) == {}


def test_a_leaf_that_stores_another_agencys_subject_is_not_believed(mesh: Federation) -> None:
    """fao puts facts of wfp into its own stream, under wfp's subject: one signed by itself, and a real one."""

    async def story() -> None:
        async with mesh.running():
            (real,) = await write(mesh["wfp"], 1)
            await mesh.level()
            forged = Chain(ledger=LEDGER, key=mesh["fao"].ledgers.keyring.key("fao"), mesh=real.header.mesh)
            forged.head = Head(1, 1, real.hash)
            await mesh["fao"].publish(forged.add({"lead_agency": "wfp"}))
            await mesh["fao"].publish(real)
            await eventually(lambda: "sender" in mesh.hub.codes(), "it is refused")
            assert mesh.hub.head(LEDGER) == Head(1, 1, real.hash)
            # The same by way of an answer, where whose fact it is says nothing: the key decides.
            taken = await mesh.hub.exchange.intake.take_facts("fao", [forged.facts[0]], [])
            assert (taken.refused, taken.accepted) == (1, 0)
            assert "signature" in mesh.hub.codes()
            await others_go_on(mesh)

    asyncio.run(story())


def test_a_valid_fact_about_anothers_record_has_no_right_to_be_there(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running("hub", "wfp"):
            chain = mesh["fao"].chain()
            await mesh["fao"].publish(chain.add({"lead_agency": "wfp"}))
            await eventually(lambda: "owner" in mesh.hub.codes(), "it is refused")
            assert mesh.hub.head("fao.registry").sequence == 0
            assert "fao.registry" not in mesh["wfp"].store.ledgers()

    asyncio.run(story())


def test_raw_observations_and_private_facts_are_not_let_in_even_if_their_owner_sends_them(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running("hub"):
            observed = mesh["fao"].chain("fao.metrics")
            await mesh["fao"].publish(observed.add({"agency": "fao"}, kind="observations", verb="recorded"))
            private = mesh["fao"].chain("fao.registry.private").add({"lead_agency": "fao"})
            taken = await mesh.hub.exchange.intake.take_facts("fao", [private], [])
            assert taken.refused == 1
            await eventually(lambda: mesh.hub.codes() == {"audience"}, "it is refused")
            assert mesh.hub.store.ledgers() == ["hub.mesh"]

    asyncio.run(story())


def test_a_fact_of_another_mesh_does_not_count(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running("hub"):
            chain = mesh["fao"].chain()
            chain.mesh = "0198c0de-0000-7000-8000-00000000beef"
            await mesh["fao"].publish(chain.add({"lead_agency": "fao"}))
            await eventually(lambda: mesh.hub.codes() == {"mesh"}, "it is refused")
            assert mesh.hub.head("fao.registry").sequence == 0

    asyncio.run(story())


def test_messages_whose_headers_or_subjects_say_something_else_are_refused_and_the_facts_asked_for(
    mesh: Federation,
) -> None:
    async def story() -> None:
        chain = mesh["wfp"].chain()
        first, second, third = (chain.add({"lead_agency": "wfp"}, version=n) for n in (1, 2, 3))
        await mesh["wfp"].publish(first, **{HASH: second.hash})
        await mesh["wfp"].publish(second, subject="facts.wfp.matching.pilot.registered")
        await mesh["wfp"].publish(third, data=b"rubbish")
        await asyncio.to_thread(mesh["wfp"].put, first, second, third)
        async with mesh.running():
            await mesh.level()
            assert {"envelope", "unreadable"} <= mesh.hub.codes()
            assert mesh.hub.store.after(LEDGER, (1, 0)) == [first, second, third]

    asyncio.run(story())


def test_a_roster_by_somebody_else_or_an_older_one_changes_nothing(mesh: Federation) -> None:
    first = mesh.hub.store.at("hub.mesh", 1, 1)
    mesh.issue(wfp={"node": "https://wfp.example"})

    async def story() -> None:
        async with mesh.running():
            await mesh.level()
            mallory = SigningKey.make()
            head = mesh["wfp"].head("hub.mesh")
            taker = Chain(ledger="hub.mesh", key=mallory, mesh=first.header.mesh, head=head)
            forged = taker.add(dict(first.state), kind="roster", verb="issued", subject="roster/mesh", version=3)
            by_fao = resigned(forged, mesh["fao"].ledgers.keyring.key("fao"))
            intake = mesh["wfp"].exchange.intake
            taken = await intake.take_facts("hub", [forged, by_fao, first], [])
            assert (taken.accepted, taken.refused, taken.waiting, taken.known) == (0, 1, 1, 1)
            assert mesh["wfp"].head("hub.mesh") == head
            assert mesh["wfp"].ledgers.roster.members()[-1].node == "https://wfp.example"
            assert {"key", "signature"} <= mesh["wfp"].codes()
            await others_go_on(mesh)

    asyncio.run(story())


def two_histories(mesh: Federation, common: int, first: int, second: int) -> tuple[list[Fact], list[Fact], list[Fact]]:
    """Facts that all share, and what follows them in each of two histories of wfp's, all properly signed."""
    chain = mesh["wfp"].chain()
    shared = [chain.add({"lead_agency": "wfp", "title": "shared"}, subject=f"pilot/s{n}") for n in range(common)]
    at = chain.head
    one = [chain.add({"lead_agency": "wfp", "title": "one"}, subject=f"pilot/a{n}") for n in range(first)]
    other = Chain(ledger=LEDGER, key=chain.key, mesh=chain.mesh, head=at)
    two = [other.add({"lead_agency": "wfp", "title": "two"}, subject=f"pilot/b{n}") for n in range(second)]
    return shared, one, two


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "fact by fact"])
def test_a_fork_freezes_the_ledger_at_the_last_common_fact_whichever_came_first(
    mesh: Federation, at_once: bool
) -> None:
    shared, one, two = two_histories(mesh, 3, 4, 2)
    stores = {}
    for domain, order in (("hub", (one, two)), ("fao", (two, one))):
        side = mesh[domain]
        if domain == "fao":
            roster = mesh.hub.store.after("hub.mesh", (1, 0))
            accepting_at(side).take("peer hub", roster)
        accepting = accepting_at(side)
        accepting.take("peer", shared)
        for history in order:
            for batch in [history] if at_once else [[fact] for fact in history]:
                accepting.take("peer", batch)
        stores[domain] = (side.head(LEDGER), side.digest(), side.frozen())
        assert "fork" in side.codes()
        assert faults(side) == {}
    assert stores["hub"] == stores["fao"]
    assert stores["hub"][0] == Head(1, 3, shared[-1].hash)
    assert stores["hub"][2] == {LEDGER: (1, 3)}


def test_a_fork_that_two_nodes_saw_from_two_sides_is_one_fork_everywhere(mesh: Federation) -> None:
    """Each holds another history, and neither is behind: the evidence travels, down to the last common fact."""
    shared, one, two = two_histories(mesh, 2, 5, 4)

    async def story() -> None:
        accepting_at(mesh.hub).take("peer wfp", [*shared, *one])
        accepting_at(mesh["fao"]).take("peer hub", mesh.hub.store.after("hub.mesh", (1, 0)))
        accepting_at(mesh["fao"]).take("peer hub", [*shared, *two])
        assert mesh.hub.digest() != mesh["fao"].digest()
        async with mesh.running("hub", "fao"):
            await mesh.hub.exchange.intake.take_facts("fao", [two[2]], [])  # one fact from the middle is enough
            await mesh["fao"].exchange.intake.take_facts("hub", [one[-1]], [])
            both = (mesh.hub, mesh["fao"])
            await eventually(lambda: [side.frozen() for side in both] == [{LEDGER: (1, 2)}] * 2, "frozen on both")
            await eventually(lambda: [side.head(LEDGER).sequence for side in both] == [2, 2], "given up on both")
            assert mesh.hub.digest() == mesh["fao"].digest()
            theirs = await write(mesh["fao"], 2)
            await eventually(lambda: mesh.hub.holds(theirs), "others go on")

    asyncio.run(story())


def test_a_node_whose_own_ledger_forked_writes_no_more_until_it_is_reopened_and_then_all_go_on(
    mesh: Federation,
) -> None:
    """Somebody signs with the agency's key elsewhere: both histories are known in the end, on every node."""

    async def story() -> None:
        async with mesh.running():
            await write(mesh["wfp"], 3)
            await mesh.level()
            stolen = Chain(
                ledger=LEDGER,
                key=mesh["wfp"].ledgers.keyring.key("wfp"),
                mesh=mesh["wfp"].ledgers.identity.mesh,
                head=mesh["wfp"].head(LEDGER),
            )
            other = stolen.add({"lead_agency": "wfp", "title": "not ours"}, subject="pilot/x")
            await write(mesh["wfp"], 2)
            await mesh.level()
            await mesh.hub.exchange.intake.take_facts("fao", [other], [])
            sides = list(mesh.sides.values())
            await eventually(lambda: [side.frozen() for side in sides] == [{LEDGER: (1, 3)}] * 3, "frozen everywhere")
            await eventually(lambda: {side.head(LEDGER).sequence for side in sides} == {3}, "given up everywhere")
            assert len({side.digest() for side in sides}) == 1
            appender = mesh["wfp"].ledgers.appender()
            with pytest.raises(Conflict, match="frozen"):
                appender.submit(pilot())
            node = mesh["wfp"].ledgers
            now = datetime(2026, 3, 1, tzinfo=UTC)
            await asyncio.to_thread(
                reopen, node.store, node.identity, LEDGER, mesh["wfp"].recovery, ADMIN, "forked", now
            )
            mesh["wfp"].nudge({LEDGER})
            await mesh.level()
            assert mesh["wfp"].frozen() == {}
            await write(mesh["wfp"], 2)
            await mesh.level()
            assert {side.head(LEDGER).position for side in sides} == {(2, 3)}
            assert len({side.digest() for side in sides}) == 1
            assert [faults(side) for side in sides] == [{}] * 3

    asyncio.run(story())


def test_a_node_that_never_heard_of_the_fork_follows_the_reopening_all_the_same(mesh: Federation) -> None:
    shared, one, _ = two_histories(mesh, 3, 4, 1)
    hub = accepting_at(mesh.hub)
    hub.take("peer wfp", [*shared, *one])
    reopened = Chain(ledger=LEDGER, key=mesh["wfp"].recovery, mesh=shared[0].header.mesh)
    reopened.head = Head(1, 3, shared[-1].hash)
    again = reopened.add({}, kind="ledger", verb="reopened", subject="ledger/x", epoch=2)
    after = reopened.add({"lead_agency": "wfp"}, subject="pilot/c", key=mesh["wfp"].ledgers.keyring.key("wfp"))
    hub.take("peer wfp", [after, again])
    assert mesh.hub.store.after(LEDGER, (1, 0)) == shared
    assert mesh.hub.head(LEDGER) == Head(2, 2, after.hash)
    assert faults(mesh.hub) == {}
    assert hub.take("peer wfp", one).known == 4  # what was given up does not come back


def test_a_reopening_may_go_on_from_the_branch_that_was_given_up(mesh: Federation) -> None:
    shared, one, two = two_histories(mesh, 2, 3, 2)
    hub = accepting_at(mesh.hub)
    hub.take("peer wfp", [*shared, *one])
    hub.take("peer wfp", two)
    assert mesh.hub.head(LEDGER).sequence == 2
    reopened = Chain(ledger=LEDGER, key=mesh["wfp"].recovery, mesh=shared[0].header.mesh)
    reopened.head = Head(1, 5, one[-1].hash)
    hub.take("peer wfp", [reopened.add({}, kind="ledger", verb="reopened", subject="ledger/x", epoch=2)])
    assert mesh.hub.store.after(LEDGER, (1, 2)) == one
    assert mesh.hub.head(LEDGER).position == (2, 1)
    assert faults(mesh.hub) == {}


def test_what_a_revoked_key_signed_beyond_the_last_good_fact_is_unfolded_whatever_its_time(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running():
            good = await write(mesh["wfp"], 3)
            await mesh.level()
            thief = mesh["wfp"].chain()
            bad = [thief.add({"lead_agency": "wfp", "title": n}, subject=f"pilot/t{n}") for n in range(3)]
            for fact in bad:
                await mesh["wfp"].publish(fact)
            await eventually(lambda: mesh["fao"].holds(bad), "the thief's facts are believed at first")
            before = mesh["wfp"].digest()
            new = SigningKey.make()
            old = mesh["wfp"].ledgers.keyring.key("wfp")
            place = Place(1, 3, good[-1].hash)
            revocation = Revocation(old.keyid, {LEDGER: place}, new.public)
            await asyncio.to_thread(mesh.issue, wfp={"revocations": (revocation,)})
            for side in (mesh.hub, mesh["fao"]):
                await eventually(lambda side=side: side.head(LEDGER).sequence == 3, "given up")
            assert mesh.hub.digest() == mesh["fao"].digest() == before
            late = thief.add({"lead_agency": "wfp"}, subject="pilot/late", time="2020-01-01T00:00:00Z")
            await mesh["wfp"].publish(late)
            taken = await mesh["fao"].exchange.intake.take_facts("hub", [*bad, late], [])
            assert taken.accepted == 0
            assert "key_range" in mesh["fao"].codes()
            goes_on = Chain(ledger=LEDGER, key=new, mesh=thief.mesh, head=Head(1, 3, good[-1].hash))
            facts = [goes_on.add({"lead_agency": "wfp"}, subject=f"pilot/n{n}") for n in range(2)]
            for fact in facts:
                await mesh["wfp"].publish(fact)
            await eventually(lambda: mesh["fao"].holds(facts), "the ledger goes on under the new key")

    asyncio.run(story())


def test_a_fork_of_which_one_side_turns_out_to_be_a_thiefs_is_healed_by_the_revocation(mesh: Federation) -> None:
    shared, ours, theirs = two_histories(mesh, 2, 3, 2)
    hub = accepting_at(mesh.hub)
    hub.take("peer wfp", [*shared, *ours])
    hub.take("peer wfp", theirs)
    assert mesh.hub.frozen() == {LEDGER: (1, 2)}
    old = mesh["wfp"].ledgers.keyring.key("wfp")
    revocation = Revocation(old.keyid, {LEDGER: Place(1, 3, ours[0].hash)}, SigningKey.make().public)
    mesh.issue(wfp={"revocations": (revocation,)})
    hub.refresh()
    assert mesh.hub.frozen() == {}
    assert mesh.hub.head(LEDGER) == Head(1, 3, ours[0].hash)  # it had been given up, and was kept
    assert hub.take("peer wfp", [*theirs, *ours]).accepted == 0
    assert mesh.hub.frozen() == {}
    assert faults(mesh.hub) == {}


def test_a_member_that_floods_slows_down_itself_and_fills_nobodys_disk(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running():
            async with mesh["fao"].user("provisioner") as connection:
                js = connection.jetstream()
                for start in range(0, 1500, 500):
                    rubbish = (
                        js.publish("facts.fao.registry.pilot.registered", b"rubbish %d" % n)
                        for n in range(start, start + 500)
                    )
                    await asyncio.gather(*rubbish)
            facts = await write(mesh["wfp"], 20)
            await eventually(lambda: mesh.hub.holds(facts), "others are not held up")
            (outlet,) = [
                one for one in mesh.hub.exchange.intake.outlets if (one.peer.domain, one.stream) == ("fao", "FACTS")
            ]
            await eventually(lambda: outlet.fetched >= 1500, "all of it was looked at")
            entries = mesh.hub.quarantine.entries(10_000)
            assert len(entries) <= KEPT_PER_SOURCE + 1
            assert sum(entry["count"] for entry in entries) >= 1500
            theirs = await write(mesh["fao"], 1)
            await eventually(lambda: mesh.hub.holds(theirs), "what is right among it counts")

    asyncio.run(story())


def test_whoever_asks_without_end_is_put_off(mesh: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    # A slow machine would answer fewer than are allowed otherwise.
    monkeypatch.setattr(answering, "PER_SECOND", 0.5)
    monkeypatch.setattr(answering, "AT_ONCE", 20.0)

    async def story() -> None:
        async with mesh.running("hub"):
            connection = await connect_intake(mesh["fao"].ledgers.settings, "hub")
            asking = Asking(connection, "fao")

            async def ask() -> str:
                try:
                    await asking.ask("hub", {"ask": "facts", "ledger": "hub.mesh", "after": [1, 0], "limit": 1})
                except Unanswered as error:
                    return str(error)
                return "answered"

            async with asyncio.timeout(30):
                while await ask() != "answered":  # noqa: ASYNC110 - the link comes up in servers, not in this loop
                    await asyncio.sleep(0.1)
            answers = await asyncio.gather(*(ask() for _ in range(60)))
            assert "answered" in answers
            assert any("asked too often" in one for one in answers)
            for question in (b"[]", b"rubbish", b'{"ask": "everything"}', b'{"ask": "facts", "ledger": "../x"}'):
                answer = await connection.request("ask.hub.fao", question, timeout=5)
                assert "error" in json.loads(answer.data)
            await connection.close()

    asyncio.run(story())


def test_a_hub_that_alters_is_not_believed_and_what_it_altered_is_asked_for(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running("wfp", "hub"):
            (fact,) = await write(mesh["wfp"], 1)
            await mesh.level("wfp", "hub")
        lies = [
            replace(fact, payload=to_bytes({"lead_agency": "wfp", "title": "altered"})),
            replace(fact, protected=fact.protected.replace(b"officer", b"admin")),
            replace(fact, signature=bytes(64)),
            replace(fact, payload=None, salt=None),
            replace(fact, salt=fact.salt + b"x"),
        ]
        fao = accepting_at(mesh["fao"])
        fao.take("peer hub", mesh.hub.store.after("hub.mesh", (1, 0)))
        for lie in lies:
            taken = fao.take("peer hub", [lie])
            assert taken.accepted == 0
        assert mesh["fao"].head(LEDGER).sequence == 0
        assert {"digest", "signature"} <= mesh["fao"].codes()
        assert fao.waiting.counts() == {"blank": 1}
        assert fao.take("peer hub", [fact]).accepted == 1
        assert fao.waiting.counts() == {}

    asyncio.run(story())


def test_a_hub_that_withholds_is_found_out_by_a_head_that_it_cannot_deny(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running():
            await write(mesh["wfp"], 2)
            await mesh.level()
            # The hub hides what comes from now on: it has the facts no more, but the owner's head was seen.
            await mesh.admit("fao")
            await write(mesh["wfp"], 1)
            node = mesh["wfp"].ledgers
            heads = [
                head
                for head in await asyncio.to_thread(signed_heads, node.store, node.keyring, node.identity.mesh)
                if head["ledger"] == LEDGER
            ]
            await asyncio.to_thread(foreign_heads(mesh.hub.store).keep, heads, "wfp")
            attention = mesh["fao"].exchange.intake.attentions[0]
            await eventually(lambda: LEDGER in attention.withheld, "that it is withheld is said")
            told = {one["ledger"]: one for one in mesh["fao"].standing().ledgers()}[LEDGER]
            assert told["lag"] == 1
            assert "does not hand it out" in told["trouble"]
            await mesh.admit("wfp", "fao")
            await mesh.level()
            await eventually(lambda: attention.withheld == {}, "no longer withheld")

    asyncio.run(story())


def test_a_hub_that_invents_facts_heads_or_forks_is_not_believed(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running():
            (fact,) = await write(mesh["wfp"], 1)
            await mesh.level()
            invented = Chain(ledger=LEDGER, key=SigningKey.make(), mesh=fact.header.mesh, head=Head(1, 1, fact.hash))
            facts = [invented.add({"lead_agency": "wfp"}, version=n) for n in (2, 3)]
            by_hub = resigned(facts[0], mesh.hub.ledgers.keyring.key("unicc"))
            other = Chain(ledger=LEDGER, key=SigningKey.make(), mesh=fact.header.mesh).add({"lead_agency": "wfp"})
            intake = mesh["fao"].exchange.intake
            await intake.take_facts("hub", [*facts, by_hub], [b"no fact"])
            await intake.learn_of_forks("hub", [(fact, other), (fact, fact)])
            assert mesh["fao"].head(LEDGER) == Head(1, 1, fact.hash)
            assert mesh["fao"].frozen() == {}
            assert mesh["fao"].forks() == 0
            assert {"key", "signature", "unreadable"} <= mesh["fao"].codes()
            head: dict[str, Any] = {
                "ledger": LEDGER,
                "epoch": 1,
                "sequence": 99,
                "hash": "0" * 64,
                "keyid": mesh["wfp"].ledgers.keyring.key("wfp").keyid,
                "signature": "AAAA",
            }
            attending = intake._attending["hub"]
            told = [head, {**head, "signature": "no base64!"}, {**head, "ledger": 7}, {"ledger": LEDGER}]
            assert attending._signed(told) == {}
            await others_go_on(mesh)

    asyncio.run(story())


def test_facts_of_an_agency_of_this_node_are_never_taken_from_outside(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running():
            await write(mesh["wfp"], 1)
            await mesh.level()
            beyond = mesh["wfp"].chain().add({"lead_agency": "wfp"}, subject="pilot/new")
            taken = await mesh["wfp"].exchange.intake.take_facts("hub", [beyond], [])
            assert taken.accepted == 0
            assert mesh["wfp"].head(LEDGER).sequence == 1
            assert "own" in mesh["wfp"].codes()
            assert await stored(mesh["wfp"], "VERIFIED", LEDGER) == []

    asyncio.run(story())


def test_a_fact_that_this_node_cannot_read_is_kept_shown_and_stops_nothing(mesh: Federation) -> None:
    async def story() -> None:
        chain = mesh["fao"].chain()
        facts = [
            chain.add({"lead_agency": "fao"}, type_version=7),
            chain.add(b"no json at all", subject="pilot/y"),
            chain.add({"lead_agency": "fao"}, subject="pilot/z"),
        ]
        for fact in facts:
            await mesh["fao"].publish(fact)
        async with mesh.running("hub", "wfp"):
            await eventually(lambda: mesh["wfp"].holds(facts), "all three are kept")
            assert mesh.hub.codes() == {"not_foldable"}
            assert mesh.hub.standing().trouble()["not_foldable"] == 2
            assert mesh.hub.digest() == mesh["wfp"].digest()

    asyncio.run(story())


def test_verify_is_green_after_all_of_it(mesh: Federation) -> None:
    shared, one, two = two_histories(mesh, 1, 1, 1)
    hub = accepting_at(mesh.hub)
    for batch in (two, shared, one):
        hub.take("peer wfp", batch)
    assert all(report.fault is None for report in verify_node(mesh.hub.store, mesh.hub.ledgers.identity))
    assert mesh.hub.head(LEDGER).sequence == 1
    assert to_wire(mesh.hub.store.at(LEDGER, 1, 1)) == to_wire(shared[0])
