"""What a dishonest hub may try: it alters, withholds, invents, and hands a node facts in its own name."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from services.mesh.heads import signed_heads
from shared.facts.fact import to_bytes
from shared.facts.keys import SigningKey
from shared.facts.verify import Head
from shared.ledger.witness import foreign_heads
from tests.node.attacking import LEDGER, accepting_at, alerted, nothing_of, others_go_on
from tests.node.exchanging import Federation, eventually
from tests.node.three_nodes import leaves_sockets, stored, write
from tests.unit.facts.chains import Chain, resigned

pytestmark = leaves_sockets


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
        alerted(mesh["fao"], "digest", "signature")
        nothing_of(mesh["fao"], *lies)
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
            alerted(mesh["fao"], "signature", "unreadable")
            assert "key" in mesh["fao"].codes()
            nothing_of(mesh["fao"], *facts, by_hub, other)
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
            alerted(mesh["wfp"], "own", kind="trouble")
            nothing_of(mesh["wfp"], beyond)
            assert await stored(mesh["wfp"], "VERIFIED", LEDGER) == []

    asyncio.run(story())
