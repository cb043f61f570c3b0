"""Two histories of one ledger, and keys that were stolen: frozen, given up and taken up again alike on every node."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from shared.facts.fact import to_wire
from shared.facts.keys import Place, SigningKey
from shared.facts.verify import Head
from shared.ledger.identity import Revocation
from shared.ledger.reopening import reopen
from shared.ledger.verification import verify_node
from shared.problems import Conflict
from tests.node.attacking import LEDGER, accepting_at, alerted, nothing_of, two_histories
from tests.node.exchanging import Federation, eventually
from tests.node.ledgers import pilot
from tests.node.three_nodes import ADMIN, faults, leaves_sockets, write
from tests.unit.facts.chains import Chain

pytestmark = leaves_sockets


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
        alerted(side, "fork", kind="chain")
        nothing_of(side, *one, *two)
        assert side.standing().trouble()["frozen"] == 1
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
            alerted(mesh["fao"], "key_range")
            nothing_of(mesh["fao"], *bad, late)
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


def test_verify_is_green_after_all_of_it(mesh: Federation) -> None:
    shared, one, two = two_histories(mesh, 1, 1, 1)
    hub = accepting_at(mesh.hub)
    for batch in (two, shared, one):
        hub.take("peer wfp", batch)
    assert all(report.fault is None for report in verify_node(mesh.hub.store, mesh.hub.ledgers.identity))
    assert mesh.hub.head(LEDGER).sequence == 1
    assert to_wire(mesh.hub.store.at(LEDGER, 1, 1)) == to_wire(shared[0])
