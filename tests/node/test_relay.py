"""The relay: every durable fact reaches its stream in order, whatever lies there already and whatever fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from nats.errors import Error as NatsError

from deploy.nats.provision import provision
from services.mesh.streams import delete_from_streams
from shared.bus.news import ledgers_in
from shared.bus.subjects import headers_of, stream_of, subject_of
from shared.facts.fact import Fact, from_wire, to_wire
from shared.facts.verify import Head
from shared.settings import Settings
from tests.node.ledgers import LedgerNode, ledger_node, pilot
from tests.node.streams import Bus, eventually, tell
from tests.unit.facts.chains import Chain, key_of

LEDGER = "wfp.registry"


@pytest.fixture
def node(settings: Settings) -> Iterator[LedgerNode]:
    with ledger_node(settings) as made:
        yield made.host("wfp", "fao")


def written(node: LedgerNode, count: int, **more: str) -> list[Fact]:
    appender = node.appender()
    return [done.result(60).fact for done in [appender.submit(pilot(**more)) for _ in range(count)]]  # type: ignore[arg-type]


def test_facts_reach_their_streams_in_order_and_as_they_were_signed(node: LedgerNode) -> None:
    facts = written(node, 20)
    (private,) = written(node, 1, audience="private")

    async def story(bus: Bus) -> None:
        await bus.published(LEDGER, f"{LEDGER}.private", "hub.mesh")
        messages = await bus.messages("FACTS", "facts.wfp.>")
        assert [from_wire(message.data) for message in messages] == facts
        assert {message.subject for message in messages} == {"facts.wfp.registry.pilot.registered"}
        assert "Nats-Msg-Id" not in messages[0].headers
        (secret,) = await bus.messages("PRIVATE")
        assert from_wire(secret.data) == private
        assert await bus.messages("CIRCLES") == []

    tell(node, story)


def test_a_new_relay_goes_on_where_the_stream_ends(node: LedgerNode) -> None:
    async def story(bus: Bus) -> None:
        for _ in range(3):
            await asyncio.to_thread(written, node, 4)
            await bus.published(LEDGER)
        assert await bus.sequences(LEDGER) == list(range(1, 13))

    tell(node, story)


def test_of_two_relays_one_works_and_the_other_takes_over(node: LedgerNode) -> None:
    async def story(bus: Bus) -> None:
        async with bus.relaying() as second:
            async with bus.relaying() as first:
                await asyncio.to_thread(written, node, 3)
                await bus.level(first, LEDGER)
                assert [first.leads, second.leads].count(True) == 1
            await asyncio.to_thread(written, node, 3)
            await bus.level(second, LEDGER)
        assert sorted(set(await bus.sequences(LEDGER))) == [1, 2, 3, 4, 5, 6]

    tell(node, story)


def test_a_stream_that_was_emptied_is_filled_again(node: LedgerNode) -> None:
    """Also within the two minutes in which the server would take a repeated Nats-Msg-Id for a duplicate."""
    written(node, 5)

    async def story(bus: Bus) -> None:
        await bus.published(LEDGER)
        await bus.provisioner.jetstream().purge_stream("FACTS")
        assert await bus.relay().republish(LEDGER, 1) == (5, 0)
        assert await bus.sequences(LEDGER) == [1, 2, 3, 4, 5]
        await bus.provisioner.jetstream().purge_stream("FACTS")
        await bus.published(LEDGER)
        assert await bus.sequences(LEDGER) == [1, 2, 3, 4, 5]

    tell(node, story)


def test_republishing_skips_what_is_there_and_does_not_send_the_relay_back(node: LedgerNode) -> None:
    written(node, 6)

    async def story(bus: Bus) -> None:
        await bus.published(LEDGER)
        third = (await bus.messages("FACTS", "facts.wfp.>"))[2]
        await bus.provisioner.jetstream().delete_msg("FACTS", third.number)
        relay = bus.relay()
        assert await relay.republish(LEDGER, 3) == (1, 3)
        assert await bus.sequences(LEDGER) == [1, 2, 4, 5, 6, 3]
        assert await relay.position_in_stream(LEDGER) == (1, 6)
        await asyncio.to_thread(written, node, 1)
        await bus.published(LEDGER)
        assert await bus.sequences(LEDGER) == [1, 2, 4, 5, 6, 3, 7]

    tell(node, story)


FORGED: list[tuple[bytes, dict[str, str] | None]] = [
    (b"", None),
    (b"rubbish", {"Pilotmesh-Ledger": LEDGER}),
    (b"{}", {"Pilotmesh-Ledger": "../..", "Pilotmesh-Epoch": "1", "Pilotmesh-Sequence": "1", "Pilotmesh-Hash": "0"}),
    (
        b"{}",
        {
            "Pilotmesh-Ledger": LEDGER,
            "Pilotmesh-Epoch": "1",
            "Pilotmesh-Sequence": "1000000",
            "Pilotmesh-Hash": "f" * 64,
            "Pilotmesh-Reached": "1:2000000",
        },
    ),
    (
        b"x",
        {"Pilotmesh-Ledger": LEDGER, "Pilotmesh-Epoch": "9" * 5000, "Pilotmesh-Sequence": "1", "Pilotmesh-Hash": "0"},
    ),
]


@pytest.mark.parametrize("number", range(len(FORGED)))
def test_what_a_forger_put_last_in_the_stream_does_not_lead_the_relay_astray(node: LedgerNode, number: int) -> None:
    written(node, 3)
    data, headers = FORGED[number]

    async def story(bus: Bus) -> None:
        await bus.published(LEDGER)
        await bus.mesh.jetstream().publish("facts.wfp.registry.pilot.registered", data, headers=headers)
        await asyncio.to_thread(written, node, 2)
        await bus.published(LEDGER)
        relayed = [one for one in await bus.messages("FACTS", "facts.wfp.>") if b"protected" in one.data]
        authentic = [int(one.headers["Pilotmesh-Sequence"]) for one in relayed]
        assert authentic == [1, 2, 3, 4, 5]

    tell(node, story)


def test_a_signed_fact_that_the_store_does_not_hold_does_not_count_as_published(node: LedgerNode) -> None:
    (first,) = written(node, 1)

    async def story(bus: Bus) -> None:
        await bus.published(LEDGER)
        forged = Chain(key=key_of("mallory"), mesh=node.identity.mesh, head=Head(1, 1, first.hash)).add()
        await bus.mesh.jetstream().publish(subject_of(forged), to_wire(forged), headers=headers_of(forged))
        assert await bus.relay().position_in_stream(LEDGER) == (1, 1)

    tell(node, story)


@pytest.mark.parametrize(
    "nudge", [b"", b"7", b"null", b'["nowhere"]', b'["wfp.banking"]', b'[{"a":1}]', b"\xff", b'["a.b.c.d", 5]']
)
def test_a_nudge_that_names_no_ledger_says_nothing(nudge: bytes) -> None:
    assert ledgers_in(nudge) == []


def test_a_wrong_nudge_does_not_end_the_relay(node: LedgerNode) -> None:
    async def story(bus: Bus) -> None:
        async with bus.relaying() as relay:
            relay.nudge(["nowhere", "wfp.banking", "who.registry", "a.b.c.d", ""])
            await asyncio.to_thread(written, node, 2)
            await bus.level(relay, LEDGER)
            assert relay.trouble is None

    tell(node, story)


def test_a_stream_that_is_away_is_said_and_stops_no_other(node: LedgerNode) -> None:
    written(node, 2, audience="private")

    async def story(bus: Bus) -> None:
        await bus.provisioner.jetstream().delete_stream("PRIVATE")
        async with bus.relaying() as relay:
            await asyncio.to_thread(written, node, 2)
            await bus.level(relay, LEDGER)

            async def is_troubled() -> bool:
                return relay.trouble is not None

            await eventually(is_troubled, "the trouble is shown")
            await provision(node.settings)
            await bus.level(relay, f"{LEDGER}.private")

            async def is_well() -> bool:
                return relay.trouble is None

            await eventually(is_well, "the trouble is over")

    tell(node, story)


def test_what_is_forgotten_is_deleted_and_stands_there_again_without_its_payload(node: LedgerNode) -> None:
    facts = written(node, 4)

    async def story(bus: Bus) -> None:
        await bus.published(LEDGER)
        relay = bus.relay()
        await relay.republish(LEDGER, 1)
        await bus.mesh.jetstream().publish(  # a second copy, as a lost acknowledgement leaves it
            subject_of(facts[1]), to_wire(facts[1]), headers=headers_of(facts[1])
        )
        await asyncio.to_thread(node.store.forget, LEDGER, 1, 2)
        assert await delete_from_streams(node.settings, LEDGER, 1, 2) == 2
        await relay.fill(LEDGER, (1, 2))
        copies = [m for m in await bus.messages() if m.headers["Pilotmesh-Hash"] == facts[1].hash]
        assert [json.loads(message.data)["payload"] for message in copies] == [None]
        assert await relay.position_in_stream(LEDGER) == (1, 4)
        assert stream_of(LEDGER) == "FACTS"

    tell(node, story)


def test_the_stream_is_not_read_by_who_has_no_permission(node: LedgerNode) -> None:
    async def story(bus: Bus) -> None:
        with pytest.raises((NatsError, TimeoutError)):
            await bus.messages("NOWHERE")

    tell(node, story)
