"""What a dishonest member may try against real servers: each attempt ends in the right kind of trouble, of which the
operator is told, with nothing of it folded, and others go on."""

from __future__ import annotations

import asyncio
import json

import pytest
from nats.js.errors import NotFoundError

from services.mesh import answering
from shared.bus.asking import Asking, Unanswered
from shared.bus.peers import connect_intake
from shared.bus.subjects import HASH
from shared.facts.keys import SigningKey
from shared.facts.verify import Head
from shared.ledger.quarantine import KEPT_PER_SOURCE
from tests.node.attacking import LEDGER, alerted, nothing_of, others_go_on
from tests.node.exchanging import Federation, eventually
from tests.node.three_nodes import leaves_sockets, stored, write
from tests.unit.facts.chains import Chain, resigned

pytestmark = leaves_sockets


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
            alerted(mesh.hub, "sender", "signature")
            for side in mesh.sides.values():
                nothing_of(side, *forged.facts)
            await others_go_on(mesh)

    asyncio.run(story())


def test_a_valid_fact_about_anothers_record_has_no_right_to_be_there(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running("hub", "wfp"):
            chain = mesh["fao"].chain()
            await mesh["fao"].publish(chain.add({"lead_agency": "wfp"}))
            await eventually(lambda: "owner" in mesh.hub.codes(), "it is refused")
            alerted(mesh.hub, "owner")
            nothing_of(mesh.hub, *chain.facts)
            assert mesh.hub.head("fao.registry").sequence == 0
            assert "fao.registry" not in mesh["wfp"].store.ledgers()

    asyncio.run(story())


def test_raw_observations_and_private_facts_are_not_let_in_even_if_their_owner_sends_them(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running("hub"):
            observed = mesh["fao"].chain("fao.metrics")
            await mesh["fao"].publish(observed.add({"agency": "fao"}, kind="observations", verb="recorded"))
            await eventually(lambda: mesh.hub.codes() == {"audience"}, "it is refused")
            private = mesh["fao"].chain("fao.registry.private").add({"lead_agency": "fao"})
            taken = await mesh.hub.exchange.intake.take_facts("fao", [private], [])
            assert taken.refused == 1
            alerted(mesh.hub, "audience")
            nothing_of(mesh.hub, private, *observed.facts)
            assert mesh.hub.store.ledgers() == ["hub.mesh"]

    asyncio.run(story())


def test_a_fact_of_another_mesh_does_not_count(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running("hub"):
            chain = mesh["fao"].chain()
            chain.mesh = "0198c0de-0000-7000-8000-00000000beef"
            await mesh["fao"].publish(chain.add({"lead_agency": "fao"}))
            await eventually(lambda: mesh.hub.codes() == {"mesh"}, "it is refused")
            alerted(mesh.hub, "mesh")
            nothing_of(mesh.hub, *chain.facts)
            assert mesh.hub.head("fao.registry").sequence == 0

    asyncio.run(story())


def test_what_is_sent_again_counts_once_and_an_older_state_takes_nothing_back(mesh: Federation) -> None:
    """Its own older facts, by the wire and by way of an answer, and another's by whoever holds a copy."""

    async def story() -> None:
        async with mesh.running():
            await mesh.level()
            chain = mesh["fao"].chain("fao.registry")
            facts = [chain.add({"lead_agency": "fao", "title": n}, version=n) for n in (1, 2, 3)]
            for fact in facts:
                await mesh["fao"].publish(fact)
            await eventually(lambda: mesh["wfp"].holds(facts), "all of it has arrived")
            for fact in (facts[0], facts[1], facts[0]):
                await mesh["fao"].publish(fact)
            taken = await mesh["wfp"].exchange.intake.take_facts("hub", [facts[0], *facts], [])
            assert (taken.known, taken.accepted, taken.refused) == (4, 0, 0)
            after = [chain.add({"lead_agency": "fao"}, subject="pilot/after")]
            await mesh["fao"].publish(after[0])
            await eventually(lambda: mesh.hub.holds(after) and mesh["wfp"].holds(after), "what comes next arrives")
            for side in (mesh.hub, mesh["wfp"]):
                assert side.store.after("fao.registry", (1, 0)) == [*facts, *after]
                assert not side.codes(), "nobody is alarmed by what is known"
            handed_on = await stored(mesh.hub, "VERIFIED", "fao.registry")
            assert sorted(set(handed_on)) == [1, 2, 3, 4]
            assert mesh.hub.digest() == mesh["wfp"].digest()

    asyncio.run(story())


def test_what_is_sent_out_of_order_waits_in_sight_of_the_operator_and_is_folded_in_order(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running("hub", "wfp"):
            await mesh.level("hub", "wfp")
            chain = mesh["fao"].chain("fao.registry")
            first, second, third = (chain.add({"lead_agency": "fao", "title": n}, version=n) for n in (1, 2, 3))
            await mesh["fao"].publish(third)
            await mesh["fao"].publish(first)
            await eventually(lambda: mesh.hub.holds([first]), "what can be taken in is")
            await eventually(lambda: mesh.hub.standing().trouble()["waiting_for_facts"], "that one is missing is said")
            nothing_of(mesh.hub, third)
            assert mesh.hub.head("fao.registry") == Head(1, 1, first.hash)
            await mesh["fao"].publish(second)
            await eventually(lambda: mesh["wfp"].holds([first, second, third]), "the rest follows the missing one")
            assert mesh["wfp"].store.after("fao.registry", (1, 0)) == [first, second, third]
            assert mesh.hub.standing().trouble()["waiting_for_facts"] == 0
            assert mesh.hub.digest() == mesh["wfp"].digest()

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
            alerted(mesh.hub, "envelope", "unreadable")
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
            alerted(mesh["wfp"], "signature")
            assert "key" in mesh["wfp"].codes()
            nothing_of(mesh["wfp"], forged, by_fao)
            await others_go_on(mesh)

    asyncio.run(story())


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
            alerted(mesh.hub, "unreadable", "overflow")
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


def test_an_answer_goes_into_the_askers_inbox_and_nowhere_else(mesh: Federation) -> None:
    """fao asks for answers under the subject of a fact of wfp, where a stream of the hub would keep them."""
    elsewhere = "facts.wfp.registry.pilot.registered"

    async def story() -> None:
        async with mesh.running("hub"), mesh["fao"].user("provisioner") as fao, mesh.hub.user("provisioner") as hub:
            connection = await connect_intake(mesh["fao"].ledgers.settings, "hub")
            asking = Asking(connection, "fao")

            async def is_answered() -> bool:
                try:
                    return bool(await asking.ask("hub", {"ask": "heads"}))
                except Unanswered:
                    return False

            async with asyncio.timeout(30):
                while not await is_answered():  # noqa: ASYNC110 - the link comes up in servers, not in this loop
                    await asyncio.sleep(0.1)
            for reply in (elsewhere, "_INBOX.fao.wfp.reply", ""):
                await fao.publish("ask.hub.fao", b'{"ask": "heads"}', reply=reply)
            await fao.flush()
            assert await is_answered(), "who asks properly is answered, after the others had their turn"
            with pytest.raises(NotFoundError):
                await hub.jetstream().get_last_msg("FACTS", elsewhere)
            await connection.close()

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
            alerted(mesh.hub, "not_foldable", kind="not_foldable")
            assert mesh.hub.digest() == mesh["wfp"].digest()

    asyncio.run(story())
