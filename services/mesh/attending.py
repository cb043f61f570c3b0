"""Attending to one peer: heads are exchanged, what is missing is asked for, evidence of forks travels.

What a stream brings needs no asking. Asked is for ledgers that stand still although a signed head says they go on
(the stream lost something, or somebody withholds it), for those with a gap, and for circles at once: streams may have
passed what a new reader of a circle lacks.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo.errors import PyMongoError
from starlette.concurrency import run_in_threadpool

from shared.bus.asking import Asking, Busy, Unanswered
from shared.bus.peers import Peer
from shared.facts.fact import Fact
from shared.facts.names import ledger_name
from shared.facts.verify import Head
from shared.ledger.identity import ROSTER_LEDGER
from shared.ledger.witness import ForeignHeads, head_is_authentic, is_head
from shared.telemetry import counter

from .accepting import Accepting, Taken
from .confirming import AT_ONCE, Confirming
from .links import end_if_cancelled

log = logging.getLogger(__name__)

PAGES = 64
"""Answers taken from one peer for one ledger in a row; then others have their turn."""

MOST_HINTS = 16
"""Ledgers asked for in one round although no signed head says that there is more of them."""

TakeFacts = Callable[[str, Sequence[Fact], Sequence[bytes]], Awaitable[Taken]]
LearnOfForks = Callable[[str, Sequence[tuple[Fact, Fact]]], Awaitable[None]]


@dataclass
class Attention:
    """What is known of one peer."""

    peer: Peer
    last_contact: float | None = None
    trouble: str | None = None
    heads: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Signed heads that it told last, by ledger."""
    withheld: dict[str, str] = field(default_factory=dict)
    """Ledgers of which it does not hand out what signed heads say there is."""


class Attending:
    """The rounds with one peer."""

    def __init__(
        self,
        attention: Attention,
        asking: Asking,
        accepting: Accepting,
        heads: ForeignHeads,
        take: TakeFacts,
        learn: LearnOfForks,
        confirming: Confirming | None = None,
    ) -> None:
        self.attention = attention
        self._asking = asking
        self._accepting = accepting
        self._foreign_heads = heads
        self._take = take
        self._learn = learn
        self._confirming = confirming
        self._wanted: set[str] = set()
        self._stood: dict[str, tuple[int, int]] = {}
        self._stood_at: dict[str, tuple[int, int]] = {}
        self._news = asyncio.Event()

    def want(self, ledgers: set[str]) -> None:
        """Something of these ledgers is missing: it is asked for now."""
        self._wanted |= ledgers
        self._news.set()

    async def run(self, every: float) -> None:
        """Until cancelled."""
        next_round = 0.0
        while True:
            end_if_cancelled()
            try:
                if time.monotonic() >= next_round:
                    next_round = time.monotonic() + every
                    await self._round()
                wanted, self._wanted = self._wanted, set()
                for ledger in sorted(wanted):
                    await self.fetch(ledger)
            except Unanswered as error:
                self.attention.trouble = str(error)
                counter("pilotmesh.intake.asked").add(1, {"peer": self.attention.peer.domain, "outcome": "unanswered"})
                await asyncio.sleep(1.0 if isinstance(error, Busy) else 0.25)
            except PyMongoError as error:
                self.attention.trouble = f"store unreachable: {type(error).__name__}"
                await asyncio.sleep(0.5)
            except Exception as error:  # shown in the status and tried again; attention never ends by itself
                self.attention.trouble = f"{type(error).__name__}: {error}"
                log.exception("attending to %s", self.attention.peer.domain)
                await asyncio.sleep(1.0)
            try:
                await asyncio.wait_for(self._news.wait(), max(0.0, next_round - time.monotonic()))
            except TimeoutError:
                continue
            self._news.clear()

    async def _round(self) -> None:
        domain = self.attention.peer.domain
        told, held = await self._asking.heads_and_held(domain)
        self.attention.last_contact, self.attention.trouble = time.time(), None
        counter("pilotmesh.intake.asked").add(1, {"peer": domain, "outcome": "answered"})
        await self._learn(domain, await self._asking.forks(domain))
        # The roster first: it names the keys under which the other heads are signed.
        for of_roster in (True, False):
            some = [head for head in told if (head.get("ledger") == ROSTER_LEDGER) == of_roster]
            signed = await run_in_threadpool(self._signed, some)
            await run_in_threadpool(self._foreign_heads.keep, signed.values(), domain)
            self.attention.heads.update(signed)
            for ledger in await run_in_threadpool(self._behind, signed):
                await self.fetch(ledger)
        held = {**await run_in_threadpool(self._unproven, told), **held}
        for ledger in await run_in_threadpool(self._held_elsewhere, held):
            await self.fetch(ledger)
        await self._gather_confirmations(domain)

    async def _gather_confirmations(self, domain: str) -> None:
        """Asks who has carried out redactions that somebody has not confirmed yet."""
        if self._confirming is None:
            return
        book = self._accepting.book()
        missing = await run_in_threadpool(self._confirming.missing, domain, book)
        for start in range(0, len(missing), AT_ONCE):
            asked = missing[start : start + AT_ONCE]
            told = await self._asking.confirmations(domain, asked)
            await run_in_threadpool(self._confirming.take, domain, asked, told, book)

    def _signed(self, told: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """The heads that their ledgers' owners signed."""
        book = self._accepting.book()
        signed = {}
        for head in told:
            if not is_head(head):
                continue
            if head_is_authentic(self._accepting.identity.mesh, book, head):
                signed[head["ledger"]] = dict(head)
        return signed

    def _unproven(self, told: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
        """How far heads reach whose signature this node cannot check: the fact that names the key may be the one that
        is missing. Until it is here they are the peer's word, and no more. A revoked key's say nothing."""
        book, mesh = self._accepting.book(), self._accepting.identity.mesh
        return {
            head["ledger"]: (head["epoch"], head["sequence"])
            for head in told
            if is_head(head)
            and head["keyid"] not in book.revoked(ledger_name(head["ledger"]).agency)
            and not head_is_authentic(mesh, book, head)
        }

    def _behind(self, signed: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Ledgers that are to be asked for: behind a head, and not moving by themselves."""
        behind = []
        for ledger, head in signed.items():
            name = ledger_name(ledger)
            if name.is_private or self._accepting.writes_here(name) or self._accepting.over_quota(name.agency):
                continue
            here = self._accepting.store.head(ledger)
            there = (head["epoch"], head["sequence"])
            stands = self._stood.get(ledger) == here.position
            self._stood[ledger] = here.position
            if there > here.position:
                if stands or name.circle is not None or ledger == ROSTER_LEDGER:
                    behind.append(ledger)
            else:
                self.attention.withheld.pop(ledger, None)
                if self._tells_of_another(ledger, head):
                    behind.append(ledger)
        return behind

    def _held_elsewhere(self, held: Mapping[str, tuple[int, int]]) -> list[str]:
        """Ledgers of which the peer says that it holds more than there is here, beyond any signed head. Its word is
        worth one question a round, for so many ledgers; what it answers is checked like everything."""
        behind: list[str] = []
        for ledger, there in sorted(held.items()):
            name = ledger_name(ledger)
            if name.is_private or self._accepting.writes_here(name) or len(behind) == MOST_HINTS:
                continue
            here = self._accepting.store.head(ledger).position
            if there > here and self._stood_at.get(ledger) == here:
                behind.append(ledger)
            self._stood_at[ledger] = here
        return behind

    def _tells_of_another(self, ledger: str, head: Mapping[str, Any]) -> bool:
        """Whether the owner has signed a head that contradicts the fact in its place: a fork, of which one fact is to
        be had there."""
        held = self._accepting.store.at(ledger, head["epoch"], head["sequence"])
        return held is not None and held.hash != head["hash"]

    async def fetch(self, ledger: str) -> None:
        """Asks the peer for what follows here, until there is no more. Raises Unanswered."""
        domain = self.attention.peer.domain
        head = await run_in_threadpool(self._accepting.store.head, ledger)
        after = self._from(ledger, head)
        for _ in range(PAGES):
            answered = await self._asking.facts(domain, ledger, after)
            facts = [*answered.facts, *answered.redactions]
            if facts or answered.unreadable:
                await self._take(domain, facts, answered.unreadable)
            reached = await run_in_threadpool(self._accepting.store.head, ledger)
            if not answered.more or reached.position <= after:
                break
            head, after = reached, reached.position
        await run_in_threadpool(self._note_withheld, ledger)

    def _from(self, ledger: str, head: Head) -> tuple[int, int]:
        told = self.attention.heads.get(ledger)
        if told is not None and (told["epoch"], told["sequence"]) <= head.position:
            return told["epoch"], told["sequence"] - 1  # the fact that its owner signed, and this node does not hold
        return head.position

    def _note_withheld(self, ledger: str) -> None:
        here, told = self._accepting.store.head(ledger), self.attention.heads.get(ledger)
        if (
            told is not None
            and ledger not in self._accepting.store.frozen
            and (told["epoch"], told["sequence"]) > here.position
        ):
            ahead = f"{told['epoch']}:{told['sequence']}"
            self.attention.withheld[ledger] = (
                f"{ledger} stands at {here.epoch}:{here.sequence}; its owner has signed {ahead}, "
                f"and {self.attention.peer.domain} does not hand it out"
            )
        else:
            self.attention.withheld.pop(ledger, None)
