"""Members move between a hub and a standby: linked NATS servers, stores, and the exchange of the mesh service."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from deploy.nats.link import link_of
from deploy.nats.linking import renew
from deploy.node.hub import take_over
from deploy.node.rehoming import rehome
from services.mesh.hubs import Hubs
from services.mesh.members import LinkFile
from shared.facts.fact import Fact, to_bytes
from shared.facts.keys import SigningKey
from shared.facts.names import ANCHOR
from shared.ledger.identity import ROSTER_LEDGER, Identity
from shared.problems import Conflict, Invalid, Problem
from tests.node.exchanging import Federation, Side, eventually, federation

STANDBY = "ilo"
PRIVATE = "private"

# nats-py leaves a socket to the garbage collector when a server goes away while it connects.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, mongodb_uri: str) -> Iterator[Federation]:
    with federation(tmp_path_factory.mktemp("mesh"), mongodb_uri, STANDBY, "wfp", "fao", standby=STANDBY) as made:
        yield made
    gc.collect()  # the sockets that nats-py left are this module's, not the next one's


def hubs(side: Side) -> Hubs:
    node = side.ledgers
    return Hubs(node.settings, node.store, node.identity, node.roster, node.keyring)


def shown(mover: Side, other: Side) -> dict[str, Any]:
    """What `other` shows to a member that has come as far with the roster as `mover`; over the wire."""
    head = mover.head(ROSTER_LEDGER)
    told: dict[str, Any] = json.loads(to_bytes(hubs(other).shown(head.epoch, max(1, head.sequence))))
    return told


@dataclass
class Nodes:
    """The sides that run, each started and stopped by itself."""

    mesh: Federation
    stacks: dict[str, AsyncExitStack] = field(default_factory=dict)

    async def start(self, *domains: str) -> None:
        for domain in domains:
            stack = AsyncExitStack()
            await stack.enter_async_context(self.mesh[domain].running())
            self.stacks[domain] = stack

    async def stop(self, *domains: str) -> None:
        for domain in domains or list(self.stacks):
            await self.stacks.pop(domain).aclose()

    async def rehome(self, domain: str, other: str, **options: bool) -> None:
        """As the command does, and the node's next start."""
        side = self.mesh[domain]
        home = side.ledgers.settings.home
        card = hubs(side).check(shown(side, self.mesh[other]), **options)
        before = link_of(home)
        told = {"domain": card.domain, "url": card.url, "leaf": card.leaf, "authority": card.authority}
        side.ledgers.identity = rehome(home, told)
        await renew(side.ledgers.settings, before)
        await self.stop(domain)
        await self.start(domain)

    async def let_in(self, domain: str) -> None:
        """The node that takes links tells its server who may, as its keeper does."""
        node = self.mesh[domain].ledgers
        before = link_of(node.settings.home)
        LinkFile(node.roster, node.settings.home, node.settings.nats_domain).step()
        await renew(node.settings, before)


async def write(side: Side, count: int, **more: Any) -> list[Fact]:
    return await asyncio.to_thread(side.write, count, **more)


def test_a_hub_is_lost_and_its_members_come_level_at_the_standby_and_return(mesh: Federation) -> None:
    hub, standby, wfp, fao = mesh.hub, mesh[STANDBY], mesh["wfp"], mesh["fao"]

    async def story() -> None:
        nodes = Nodes(mesh)
        try:
            await nodes.start("hub", STANDBY, "wfp", "fao")
            await write(wfp, 5, audience=PRIVATE)
            before = await write(wfp, 20)
            await mesh.level()
            await nodes.let_in(STANDBY)
            hubs(hub).step()  # the anchor signs the hub's card
            # What the hub and one member have, the standby has not; then author and hub are lost.
            await nodes.stop(STANDBY)
            late = await write(wfp, 3)
            await eventually(lambda: fao.holds(late), "it has crossed")
            await nodes.stop("hub")
            await mesh.admit()
            in_flight = await write(wfp, 30)
            await nodes.stop("wfp")
            await nodes.start(STANDBY)

            await nodes.rehome("fao", STANDBY)
            await eventually(lambda: standby.holds([*before, *late]), "what only the hub had given comes from a member")
            assert not fao.holds(in_flight)
            await nodes.start("wfp")
            await nodes.rehome("wfp", STANDBY)
            theirs = await write(fao, 5)
            await mesh.level(STANDBY, "wfp", "fao")
            for side in (standby, wfp, fao):
                assert side.holds([*before, *late, *in_flight, *theirs])
            assert standby.digest() == wfp.digest() == fao.digest()
            assert {one.peer.domain for one in standby.exchange.intake.attentions} == {"hub", "wfp", "fao"}

            # The hub is back: the standby is its member all the time, so whoever is at either is level with all.
            await mesh.admit(STANDBY, "wfp", "fao")
            await nodes.start("hub")
            await mesh.level()
            await nodes.rehome("fao", "hub")
            across = [*await write(fao, 5), *await write(wfp, 5)]
            await mesh.level()
            await nodes.rehome("wfp", "hub")
            await write(wfp, 5)
            await mesh.level()
            for side in mesh.sides.values():
                assert side.holds([*late, *in_flight, *theirs, *across])
                assert side.codes() == set()
                private = {ledger for ledger in side.store.ledgers() if ledger.endswith(f".{PRIVATE}")}
                assert private == ({f"wfp.registry.{PRIVATE}"} if side is wfp else set())
        finally:
            await nodes.stop()

    asyncio.run(story())


# -- what is refused -----------------------------------------------------------------------------------------------


def refusal(side: Side, told: dict[str, Any], **options: bool) -> str:
    with pytest.raises(Problem) as refused:
        hubs(side).check(told, **options)
    assert isinstance(refused.value, (Conflict, Invalid))
    return str(refused.value)


def resigned(card: dict[str, Any], key: SigningKey, **changes: Any) -> dict[str, Any]:
    """The card with changes, signed by this key."""
    from services.mesh.cards import read_card

    return replace(read_card(card), **changes).signed(key).as_json()


def roster_follows(mesh: Federation, *sides: Side) -> None:
    """These hold the roster as the hub does."""
    for side in sides:
        facts = mesh.hub.store.after(ROSTER_LEDGER, side.head(ROSTER_LEDGER).position, 100)
        if facts:
            side.store.insert(facts, [None] * len(facts), own=False)


def test_a_hub_of_another_mesh_or_anchor_and_an_altered_card_are_refused(mesh: Federation) -> None:
    wfp, standby, fao = mesh["wfp"], mesh[STANDBY], mesh["fao"]
    roster_follows(mesh, wfp, standby, fao)
    told = shown(wfp, standby)
    assert hubs(wfp).check(told).domain == STANDBY
    key = standby.ledgers.keyring.key(STANDBY)
    other = SigningKey.make()

    def with_card(card: dict[str, Any]) -> str:
        return refusal(wfp, {**told, "card": card})

    card = told["card"]
    assert "another mesh: expected 0198c0de" in with_card(resigned(card, key, mesh="0198c0de-another"))
    assert f"found {other.public.hex()}" in with_card(resigned(card, key, anchor=other.public))
    assert "was altered" in with_card({**card, "leaf": ["tls://elsewhere.example:7422"]})
    assert "was altered" in with_card(resigned(card, other))
    assert "places on elsewhere" in with_card(resigned(card, key, domain="elsewhere"))
    assert "places on ilo" in with_card(resigned(card, fao.ledgers.keyring.key("fao"), signer="fao"))
    assert "not signed under a key of hub" in with_card(resigned(card, other, signer=ANCHOR))
    assert "this node itself" in with_card(resigned(card, key, domain="wfp"))
    assert "cannot be each other's hub" in with_card(resigned(card, key, member_of="wfp"))
    assert "card.leaf" in with_card({**card, "leaf": ["http://hub.example"]})
    assert "version of PilotMesh" in with_card({"pilotmesh_hub": 2})
    assert "roster[0]" in refusal(wfp, {**told, "roster": [{"protected": "x"}]})


def test_an_older_and_another_roster_are_refused_with_what_was_expected_and_found(mesh: Federation) -> None:
    wfp, standby = mesh["wfp"], mesh[STANDBY]
    roster_follows(mesh, wfp, standby)
    older = standby.head(ROSTER_LEDGER)
    mesh.issue(more={"minimum_level": 1, "note": "newer"})
    roster_follows(mesh, wfp)
    newer = wfp.head(ROSTER_LEDGER)
    told = shown(wfp, standby)
    said = refusal(wfp, told)
    assert f"expected 1:{newer.sequence} or later, found 1:{older.sequence}" in said
    assert "--even-if-behind" in said
    assert hubs(wfp).check(told, even_if_behind=True).domain == STANDBY
    # One that shows another history is refused whatever was said.
    forged = {**told, "head": {**told["head"], "hash": "0" * 64}}
    assert "another roster" in refusal(wfp, forged, even_if_behind=True)
    roster_follows(mesh, standby)
    mesh.issue(more={"note": "newest"})
    level = shown(wfp, mesh.hub)
    assert len(level["roster"]) == 2
    assert all(one["payload"] is None for one in level["roster"])
    signed_by_none = [*level["roster"][:-1], {**level["roster"][-1], "signature": "AAAA"}]
    assert "does not follow" in refusal(wfp, {**level, "roster": signed_by_none})
    assert "another roster" in refusal(wfp, {**level, "roster": level["roster"][1:]})
    assert hubs(wfp).check(level).domain == "hub"


def test_whoever_holds_the_anchors_key_or_has_no_link_moves_nowhere(mesh: Federation) -> None:
    roster_follows(mesh, mesh[STANDBY])
    told = shown(mesh.hub, mesh[STANDBY])
    assert "take-out FILE" in refusal(mesh.hub, told)
    key = mesh.hub.ledgers.keyring.folder / f"{ANCHOR}.key"
    secret = key.read_text()
    key.unlink()
    try:
        assert "no agency that links from hub" in refusal(mesh.hub, told)
        # The hub's card, signed by the anchor when its key was there, is good without it; until something changes.
        kept = hubs(mesh.hub).card()
        assert kept.signer in (ANCHOR, "unicc")
    finally:
        key.write_text(secret)


def test_a_standby_takes_over_and_goes_back_with_the_same_key(mesh: Federation) -> None:
    home = mesh[STANDBY].ledgers.settings.home
    before, link = Identity.read(home), link_of(home)
    told = hubs(mesh.hub).card().as_json()
    assert before.hub is not None
    assert link.remote is not None
    assert take_over(home).hub is None
    assert link_of(home).remote is None
    assert link_of(home).listener == link.listener
    back = rehome(home, told)
    assert back.hub is not None
    assert (back.hub.domain, back.domain) == ("hub", STANDBY)
    again = link_of(home)
    assert again.listener == link.listener
    assert again.remote is not None
    assert again.remote.seed == link.remote.seed
