"""A restored disk, continued: other nodes hold what this one wrote for the mesh, and its signed heads.

Before its first command a service asks them. Its own facts that it lacks are checked like any other and taken back.
Private ones are with nobody else: what a head says of them and the disk does not is named as gone.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from nats.errors import Error as NatsError
from starlette.concurrency import run_in_threadpool

from shared.bus.asking import Asking, Unanswered
from shared.bus.peers import connect_intake, peers_now, takes_links, visitors_of
from shared.facts.fact import Fact
from shared.facts.keys import KeyBook
from shared.facts.names import MESH_AUDIENCE, ledger_name
from shared.facts.verify import Head, Trouble, check
from shared.ledger.identity import Identity, Roster
from shared.ledger.keyring import Keyring
from shared.ledger.store import LedgerStore
from shared.ledger.witness import head_is_authentic, head_is_signed, is_head
from shared.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recalling:
    """The node's peers, asked for what this node wrote."""

    asking: Asking
    domains: Sequence[str]

    async def recall(
        self, service: str, store: LedgerStore, keyring: Keyring, mesh: str, book: KeyBook
    ) -> tuple[int, dict[str, str]]:
        """How many facts of this service's own ledgers came back, and why a ledger must not be written to.

        A peer that does not answer holds nobody up: a node works with all its links down.
        """
        taken, frozen = 0, dict[str, str]()
        for domain in self.domains:
            told: set[str] = set()
            try:
                heads = await self.asking.heads(domain)
                for head in heads:
                    if not is_head(head) or not _is_own(head["ledger"], service, keyring):
                        continue
                    if not head_is_authentic(mesh, book, head) and not _is_signed_here(mesh, keyring, head):
                        continue
                    told.add(head["ledger"])
                    came, trouble = await self._bring_level(domain, head, store, mesh, book)
                    taken += came
                    if trouble is not None:
                        frozen[head["ledger"]] = trouble
                    else:
                        frozen.pop(head["ledger"], None)
                for ledger in sorted(await run_in_threadpool(_own_for_all, service, store, keyring) - told):
                    here = await run_in_threadpool(store.head, ledger)
                    taken += (await self._fetch(domain, ledger, here, store, mesh, book))[0]
            except Unanswered as error:
                log.warning("%s: own facts could not be asked for: %s", service, error)
        return taken, frozen

    async def _bring_level(
        self, domain: str, head: dict[str, Any], store: LedgerStore, mesh: str, book: KeyBook
    ) -> tuple[int, str | None]:
        ledger, there = head["ledger"], (head["epoch"], head["sequence"])
        here = await run_in_threadpool(store.head, ledger)
        told = f"{domain} has seen {ledger} up to {there[0]}:{there[1]}"
        if there <= here.position:
            held = await run_in_threadpool(store.at, ledger, *there)
            if held is not None and held.hash != head["hash"]:
                return 0, f"{told} with another fact there: this node's disk was put back and went on since"
            if ledger_name(ledger).audience != MESH_AUDIENCE:
                return 0, None  # else it may hold more than the newest head that it was told: facts come faster
        if ledger_name(ledger).is_private:
            gone = there[1] - (here.sequence if here.epoch == there[0] else 0)
            return 0, (
                f"{told}, and it ends at {here.epoch}:{here.sequence} here: {gone} private facts are gone, "
                "because no other node holds them; restore a newer backup, or give them up by reopening the ledger"
            )
        taken, trouble = await self._fetch(domain, ledger, here, store, mesh, book)
        reached = await run_in_threadpool(store.head, ledger)
        if taken:
            log.warning("%s: the store was put back; took %s facts back from %s", ledger, taken, domain)
        if reached.position < there:
            return taken, f"{told}, and does not hand them out ({trouble or 'no answer'}); here it ends before"
        return taken, None

    async def _fetch(
        self, domain: str, ledger: str, head: Head, store: LedgerStore, mesh: str, book: KeyBook
    ) -> tuple[int, str | None]:
        taken = 0
        while True:
            answered = await self.asking.facts(domain, ledger, head.position)
            following: list[Fact] = []
            trouble = None
            for fact in answered.facts:
                try:
                    head = check(fact, mesh=mesh, head=head, book=book)
                except Trouble as wrong:
                    trouble = wrong.detail
                    break
                following.append(fact)
            if following:
                await run_in_threadpool(_take_back, store, following)
                taken += len(following)
            if trouble is not None or not following or not answered.more:
                return taken, trouble


def _take_back(store: LedgerStore, facts: Sequence[Fact]) -> None:
    store.insert(facts, [None] * len(facts), own=True)


def _is_own(ledger: str, service: str, keyring: Keyring) -> bool:
    name = ledger_name(ledger)
    return name.service == service and keyring.hosts(name.agency)


def _own_for_all(service: str, store: LedgerStore, keyring: Keyring) -> set[str]:
    """The service's own ledgers for the whole mesh, also those of which this node holds nothing (any more)."""
    held = {one for one in store.ledgers() if _is_own(one, service, keyring)}
    named = {f"{agency}.{service}" for agency in keyring.hosted()}
    return {one for one in held | named if ledger_name(one).audience == MESH_AUDIENCE}


def _is_signed_here(mesh: str, keyring: Keyring, head: dict[str, Any]) -> bool:
    """Whether a key of this node signed the head: the fact by which the ledger took that key may be what is missing."""
    key = keyring.by_id(ledger_name(head["ledger"]).agency, head["keyid"])
    return key is not None and head_is_signed(mesh, key.public, head)


@asynccontextmanager
async def recalling(
    settings: Settings, identity: Identity, roster: Roster, keyring: Keyring
) -> AsyncIterator[Recalling | None]:
    """The peers to ask; None for a node that has none, or whose NATS lets nobody ask."""
    if identity.hub is None and identity.domain is None:
        yield None
        return
    try:
        connection = await connect_intake(settings, patient=False)
    except (NatsError, OSError, KeyError) as error:
        log.warning("own facts cannot be asked for: %r", error)
        yield None
        return
    try:
        peers = await run_in_threadpool(peers_now, identity, roster, keyring, settings.nats_domain)
        if takes_links(settings.home):
            peers += visitors_of(identity, roster.members(), keyring, settings.nats_domain)
        yield Recalling(Asking(connection, settings.nats_domain), [peer.domain for peer in peers])
    finally:
        with suppress(NatsError, OSError):
            await connection.close()
