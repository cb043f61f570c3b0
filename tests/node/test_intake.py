"""The intake: other nodes' facts arrive, are checked once, and days offline are caught up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest
from nats.aio.msg import Msg

from services.mesh.accepting import Accepting, Taken
from services.mesh.links import Puller
from services.mesh.relay import Relay
from services.mesh.streams import delete_from_streams
from shared.bus.asking import Asking, Unanswered
from shared.bus.peers import connect_intake
from shared.facts.fact import Fact
from shared.ledger.drafts import Draft
from shared.ledger.witness import foreign_heads
from tests.node.exchanging import Federation, Side, eventually
from tests.node.three_nodes import ADMIN, faults, leaves_sockets, stored, write

CIRCLE = "0198c0de-0000-7000-8000-00000000c1c1"

pytestmark = leaves_sockets


def test_what_one_member_writes_reaches_hub_and_other_members_as_it_was_signed(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running():
            ours, theirs = await write(mesh["wfp"], 20), await write(mesh["fao"], 5)
            await write(mesh["wfp"], 3, audience="private")
            await write(mesh.hub, 3, agency="unicc")
            await mesh.level()
            assert mesh["fao"].store.after("wfp.registry", (1, 0), 100) == ours
            assert mesh["wfp"].store.after("fao.registry", (1, 0), 100) == theirs
            assert "wfp.registry.private" not in mesh.hub.store.ledgers()
            assert mesh["wfp"].digest() == mesh["fao"].digest() == mesh.hub.digest()
            assert [side.codes() for side in mesh.sides.values()] == [set()] * 3
            await eventually(
                lambda: mesh.hub.exchange.forwarder.positions().get("wfp.registry") == (1, 20), "handed on"
            )
            assert await stored(mesh.hub, "VERIFIED", "wfp.registry") == list(range(1, 21))
            assert [faults(side) for side in mesh.sides.values()] == [{}] * 3

    asyncio.run(story())


def test_a_thousand_facts_that_were_missed_are_there_within_five_seconds_of_the_links_return(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running():
            await write(mesh["wfp"], 1)
            await mesh.level()
            await mesh.admit("fao")
            facts = await write(mesh["wfp"], 1000)
            others = await write(mesh["fao"], 200)
            await mesh.level("hub", "fao")
            assert not mesh.hub.holds(facts[-1:])
            began = time.monotonic()
            await mesh.admit("wfp", "fao")
            await mesh.level()
            took = time.monotonic() - began
            assert mesh["wfp"].holds(others)
            assert mesh["fao"].digest() == mesh["wfp"].digest() == mesh.hub.digest()
            assert took < 20, took  # 5 s on a machine of one's own; this one is shared

    asyncio.run(story())


def test_a_hub_that_is_killed_comes_back_and_everything_arrives_once(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running():
            await write(mesh["wfp"], 10)
            await mesh.level()
            writing = asyncio.create_task(write(mesh["wfp"], 400))
            mesh.kill_nats("hub")
            await writing
            await write(mesh["fao"], 50)
            await mesh.level()
            await eventually(
                lambda: mesh.hub.exchange.forwarder.positions().get("wfp.registry") == (1, 410), "handed on"
            )
            handed_on = await stored(mesh.hub, "VERIFIED", "wfp.registry")
            assert sorted(set(handed_on)) == list(range(1, 411))
            assert mesh["fao"].digest() == mesh.hub.digest()
            assert mesh["fao"].codes() == mesh.hub.codes() == set()

    asyncio.run(story())


def test_facts_that_were_stored_and_not_acknowledged_come_again_and_count_once(
    mesh: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash between store and acknowledgement, and one between store and the publication to others."""
    crashes = iter(["store and ack", "store and ack"])
    take = Puller._pull

    async def crashing(self: Puller) -> None:
        taken = self.take

        async def then_crash(peer: Any, stream: str, messages: Sequence[Msg]) -> int:
            refused = await taken(peer, stream, messages)
            if next(crashes, None):
                raise OSError("the process dies here")
            return refused

        self.take = then_crash
        try:
            await take(self)
        finally:
            self.take = taken

    monkeypatch.setattr(Puller, "_pull", crashing)
    held_up = iter([True] * 3)
    publish = Relay.publish

    async def dying(self: Relay, fact: Fact, *more: Any) -> None:
        if self._foreign and next(held_up, None):
            raise OSError("the process dies here")
        await publish(self, fact, *more)

    monkeypatch.setattr(Relay, "publish", dying)

    async def story() -> None:
        async with mesh.running():
            facts = await write(mesh["wfp"], 30)
            await mesh.level()
            assert mesh["fao"].holds(facts)
            await eventually(lambda: mesh.hub.exchange.forwarder.positions().get("wfp.registry") == (1, 30), "on")
            assert await stored(mesh.hub, "VERIFIED", "wfp.registry") == list(range(1, 31))
            assert mesh.hub.store.facts.count_documents({"ledger": "wfp.registry"}) == 30

    asyncio.run(story())


def test_an_intake_that_starts_again_goes_on_where_it_was(mesh: Federation) -> None:
    async def story() -> None:
        for _ in range(2):
            async with mesh.running():
                await write(mesh["wfp"], 7)
                await mesh.level()
        async with mesh.running("wfp"):
            await write(mesh["wfp"], 300)
            await write(mesh["wfp"], 2, audience=CIRCLE)
            await eventually(lambda: mesh["wfp"].relay.positions().get("wfp.registry") == (1, 314), "published")
        async with mesh.running():
            await mesh.level()
        assert mesh["fao"].head("wfp.registry").sequence == 314

    asyncio.run(story())


def test_a_gap_in_the_stream_is_filled_by_asking_and_order_does_not_matter(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running("wfp"):
            facts = await write(mesh["wfp"], 12)
            await eventually(lambda: mesh["wfp"].relay.positions().get("wfp.registry") == (1, 12), "published")
        async with mesh["wfp"].user("provisioner") as connection:
            js = connection.jetstream()
            await js.purge_stream("FACTS", subject="facts.wfp.registry.>")
        for number in (11, 3, 3, 9, 4, 0, 10, 6):  # replayed, out of order, and not all of them
            await mesh["wfp"].publish(facts[number])
        async with mesh.running():
            await mesh.level()
            assert mesh.hub.store.after("wfp.registry", (1, 0), 100) == facts
            assert mesh["fao"].holds(facts)
            assert mesh.hub.codes() == set()
            assert mesh.hub.exchange.intake.accepting.waiting.counts() == {}

    asyncio.run(story())


def test_a_stream_that_is_lost_altogether_is_made_good_by_what_signed_heads_say(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running("wfp"):
            facts = await write(mesh["wfp"], 6)
            await eventually(lambda: mesh["wfp"].relay.positions().get("wfp.registry") == (1, 6), "published")
            async with mesh["wfp"].user("provisioner") as connection:
                await connection.jetstream().purge_stream("FACTS")
            async with mesh.running("hub", "fao"):
                await mesh.level()
                assert mesh["fao"].holds(facts)

    asyncio.run(story())


def test_facts_of_an_agency_that_joins_only_now_wait_for_the_roster_and_stop_nobody(mesh: Federation) -> None:
    absent = next(member for member in mesh.members if member.agency == "fao")
    mesh.members = [member for member in mesh.members if member.agency != "fao"]
    mesh.issue()

    async def story() -> None:
        await mesh["fao"].publish(mesh["fao"].chain().add({"lead_agency": "fao"}))
        async with mesh.running("hub", "wfp"):
            theirs = await write(mesh["wfp"], 3)
            await eventually(lambda: mesh.hub.holds(theirs), "the other's facts arrive")
            early = mesh["fao"].chain()
            facts = [early.add({"lead_agency": "fao"}, version=n) for n in (1, 2, 3)]
            taken = await mesh.hub.exchange.intake.take_facts("wfp", facts, [])
            assert (taken.accepted, taken.waiting) == (0, 3)
            assert "agency" in mesh.hub.codes()
            mesh.members.append(absent)
            await asyncio.to_thread(mesh.issue)
            await eventually(lambda: mesh.hub.holds(facts), "what waited is taken in")

    asyncio.run(story())


def test_a_suspended_agency_is_not_heard_and_catches_up_afterwards(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running():
            await write(mesh["wfp"], 1)
            await mesh.level()
            await asyncio.to_thread(mesh.issue, wfp={"status": "suspended"})
            await eventually(lambda: mesh.hub.exchange.intake.accepting._not_taken == {"wfp"}, "suspended")
            facts, theirs = await write(mesh["wfp"], 3), await write(mesh["fao"], 3)
            await eventually(lambda: mesh.hub.holds(theirs), "others go on")
            assert mesh.hub.head("wfp.registry").sequence == 1
            await asyncio.to_thread(mesh.issue, wfp={"status": "active"})
            await mesh.level()
            assert mesh["fao"].holds(facts)

    asyncio.run(story())


def test_one_agency_can_be_paused_and_others_go_on(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running():
            await write(mesh["wfp"], 1)
            await mesh.level()
            accepting = mesh["fao"].exchange.intake.accepting
            await asyncio.to_thread(accepting.pause, "wfp")
            await eventually(lambda: accepting._not_taken == {"wfp"} or accepting.refresh(), "paused")
            facts, theirs = await write(mesh["wfp"], 3), await write(mesh.hub, 2, agency="unicc")
            await eventually(lambda: mesh["fao"].holds(theirs) and mesh.hub.holds(facts), "others go on")
            assert mesh["fao"].head("wfp.registry").sequence == 1
            await asyncio.to_thread(accepting.resume, "wfp")
            await mesh.level()

    asyncio.run(story())


def test_a_circles_facts_go_to_its_members_alone_whoever_asks_and_however(mesh: Federation) -> None:
    circle = {"id": CIRCLE, "agencies": ["wfp", "fao"]}
    mesh.issue(more={"circles": [circle]})
    ledger = f"wfp.registry.{CIRCLE}"

    async def story() -> None:
        async with mesh.running():
            facts = await write(mesh["wfp"], 4, audience=CIRCLE)
            await eventually(lambda: mesh["fao"].holds(facts), "the circle's member has them")
            await asyncio.to_thread(mesh.issue, more={"circles": [{"id": CIRCLE, "agencies": ["wfp"]}]})
            (later,) = await write(mesh["wfp"], 1, audience=CIRCLE)
            await eventually(lambda: mesh.hub.holds([later]), "the hub carries it")
            connection = await connect_intake(mesh["fao"].ledgers.settings)
            with pytest.raises(Unanswered, match="not in the audience"):
                await Asking(connection, "fao").facts("hub", ledger, (1, 0))
            assert ledger not in {head["ledger"] for head in await Asking(connection, "fao").heads("hub")}
            with pytest.raises(Unanswered, match="does not answer"):  # nobody asks in another's name
                await Asking(connection, "wfp").facts("hub", ledger, (1, 0))
            await connection.close()
            assert not mesh["fao"].holds([later])

    asyncio.run(story())


def redact(side: Side, fact: Fact) -> Fact:
    named = [{"epoch": 1, "sequence": fact.header.sequence, "subject": fact.header.subject}]
    state = {"facts": named, "reason": "personal_data"}
    appender = side.ledgers.appender()
    draft = Draft(side.domain, "registry", "fact", "redacted", f"r-{fact.header.sequence}", 1, state, ADMIN)
    made = appender.record(draft).fact
    appender.stop()
    side.store.forget("wfp.registry", 1, fact.header.sequence)
    side.nudge({"wfp.registry"})
    return made


def test_what_was_redacted_meanwhile_arrives_without_its_content_and_explained(mesh: Federation) -> None:
    """The stream no longer holds it; the answer never holds what was redacted, and says by which redaction."""

    async def story() -> None:
        async with mesh.running("wfp"):
            facts = await write(mesh["wfp"], 5)
            await eventually(lambda: mesh["wfp"].relay.positions().get("wfp.registry") == (1, 5), "published")
            await asyncio.to_thread(redact, mesh["wfp"], facts[1])
            await eventually(lambda: mesh["wfp"].relay.positions().get("wfp.registry") == (1, 6), "published")
            assert await delete_from_streams(mesh["wfp"].ledgers.settings, "wfp.registry", 1, 2) == 1
            async with mesh.running("hub", "fao"):
                await mesh.level()
        for side in (mesh.hub, mesh["fao"]):
            assert [fact.payload is None for fact in side.store.after("wfp.registry", (1, 0))][:3] == [
                False,
                True,
                False,
            ]
            assert faults(side) == {}

    asyncio.run(story())


def test_a_head_that_is_known_and_not_here_is_lag_and_in_the_end_missing(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running():
            await write(mesh["wfp"], 2)
            await mesh.level()
        (later,) = mesh["wfp"].write(1)
        async with mesh.running("wfp", "hub"):
            await mesh.level("wfp", "hub")
            heads = foreign_heads(mesh.hub.store)
            told = await eventually(lambda: heads.all()["wfp.registry"]["sequence"] == 3 and heads.all(), "told")
            foreign_heads(mesh["fao"].store).keep([told["wfp.registry"]], "hub")
            standing = {one["ledger"]: one for one in mesh["fao"].standing().ledgers()}
            assert standing["wfp.registry"]["lag"] == 1
            assert standing["wfp.registry"]["witnessed"]["hash"] == later.hash
            assert foreign_heads(mesh["fao"].store).missing(mesh["fao"].store) == []
            past = told["wfp.registry"]["at"] + heads.GRACE * 3
            (missing,) = foreign_heads(mesh["fao"].store).missing(mesh["fao"].store, past)
            assert missing.startswith("wfp.registry:1:3 was witnessed")

    asyncio.run(story())


def test_the_status_tells_of_peers_ledgers_and_trouble(mesh: Federation) -> None:
    async def story() -> None:
        async with mesh.running():
            await write(mesh["wfp"], 2)
            await mesh.level()

            def is_well() -> bool:
                (peer,) = mesh["fao"].standing().peers()
                return (peer["trouble"], peer["withheld"]) == (None, []) and peer["last_contact"] is not None

            await eventually(is_well, "all is well")
            (peer,) = mesh["fao"].standing().peers()
            assert peer["domain"] == "hub"
            assert {one["stream"] for one in peer["outlets"]} >= {"FACTS", "VERIFIED"}
            await eventually(lambda: ledgers(mesh["fao"])["wfp.registry"]["witnessed"], "a head was witnessed")
            await eventually(lambda: ledgers(mesh["fao"])["wfp.registry"]["lag"] == 0, "nothing is behind")
            await eventually(lambda: set(mesh["fao"].standing().trouble().values()) == {0}, "nobody is in trouble")
            mesh.kill_nats("hub")
            await eventually(
                lambda: mesh["fao"].standing().peers()[0]["trouble"], "that the hub is not reached is said"
            )
            await write(mesh["wfp"], 1)
            await mesh.level()
            await eventually(lambda: mesh["fao"].standing().peers()[0]["trouble"] is None, "reached again")

    asyncio.run(story())


def ledgers(side: Side) -> dict[str, dict[str, Any]]:
    return {one["ledger"]: one for one in side.standing().ledgers()}


def test_a_fact_whose_writer_used_a_version_twice_stops_nobody(mesh: Federation) -> None:
    async def story() -> None:
        chain = mesh["wfp"].chain()
        facts = [chain.add({"lead_agency": "wfp", "title": n}, version=1) for n in range(3)]
        for fact in facts:
            await mesh["wfp"].publish(fact)
        async with mesh.running("hub", "fao"):
            await eventually(lambda: mesh["fao"].holds(facts), "all three arrive")
            assert faults(mesh["fao"]) == {}
            assert mesh["fao"].digest() == mesh.hub.digest()

    asyncio.run(story())


def test_taking_the_same_facts_again_changes_nothing(mesh: Federation) -> None:
    facts = mesh["wfp"].write(3)
    hub = mesh.hub
    accepting = Accepting(
        hub.store,
        hub.ledgers.identity,
        hub.ledgers.roster,
        hub.ledgers.keyring,
        hub.quarantine,
        hub.ledgers.client[hub.ledgers.settings.database("mesh")],
    )
    accepting.begin()
    assert accepting.take("peer wfp", facts) == Taken(accepted=3, moved={"wfp.registry"})
    assert accepting.take("peer wfp", [*facts, facts[0]]) == Taken(known=4)
