"""A restored disk: before its first command, a service compares its ledgers with the node's streams and its witness.

If the streams hold facts of its own that the store lacks, the store was put back to an earlier state. The facts are
checked like any other and taken back, so that a sequence is never given twice. A ledger that cannot be brought level
(the streams contradict the store, or a witnessed head is nowhere to be found) is frozen: it is read, not written,
until it is reopened in the next epoch; other ledgers go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from nats.aio.client import Client
from nats.js.errors import NotFoundError
from starlette.concurrency import run_in_threadpool

from shared.bus.reading import Stored, last_of_each, read_stream
from shared.bus.recalling import Recalling
from shared.bus.subjects import TRACEPARENT, place_in, stream_of
from shared.facts.fact import Fact, Unreadable, from_wire
from shared.facts.keys import KeyBook, KeyRange
from shared.facts.names import ANCHOR, ledger_name
from shared.facts.verify import ChainTrouble, Head, Trouble, check
from shared.ledger.identity import Identity, Roster
from shared.ledger.keyring import Keyring
from shared.ledger.quarantine import Quarantine
from shared.ledger.store import LedgerStore
from shared.ledger.witness import Witness, sentence_about

log = logging.getLogger(__name__)

AT_ONCE = 128
"""Facts per insert when many are taken back."""
FETCHED_AT_ONCE = 32
Position = tuple[int, int]


@dataclass
class Recovered:
    """What the comparison came to: facts taken back in all, and why a ledger must not be written to."""

    taken: int = 0
    frozen: dict[str, str] = field(default_factory=dict)


@dataclass
class Recovery:
    """The comparison for one service of this node."""

    connection: Client
    store: LedgerStore
    identity: Identity
    roster: Roster
    keyring: Keyring
    quarantine: Quarantine
    witness: Witness
    recalling: Recalling | None = None
    """Other nodes, which hold what this one wrote for them; None if there are none."""

    async def run(self, service: str) -> Recovered:
        """Call it before the service's first command. Raises nats.errors.Error or PyMongoError if one is away."""
        done = Recovered()
        for ledger in await self._ledgers(service):
            trouble = None
            here = await run_in_threadpool(self.store.head, ledger)
            if not await self._is_level(ledger, here):
                taken, trouble = await self._take_back(ledger, here)
                done.taken += taken
                if taken:
                    log.warning("%s: the store was put back; took %s facts back from the streams", ledger, taken)
            if trouble is not None:
                done.frozen[ledger] = trouble
        if self.recalling is not None:
            await self._ask_others(self.recalling, service, done)
        for head in await run_in_threadpool(self.witness.missing_heads, self.store):
            name = ledger_name(head["ledger"])
            if name.service == service and self.keyring.hosts(name.agency):
                told = await run_in_threadpool(sentence_about, head, self.store)
                done.frozen.setdefault(head["ledger"], f"{told}; neither the store nor the streams hold it")
        for ledger, trouble in done.frozen.items():
            log.error("%s is frozen: %s", ledger, trouble)
            await run_in_threadpool(self._show, ledger, trouble)
        return done

    async def _ask_others(self, recalling: Recalling, service: str, done: Recovered) -> None:
        """What the streams no longer hold, other nodes may."""
        book = await run_in_threadpool(self._book)
        taken, elsewhere = await recalling.recall(service, self.store, self.keyring, self.identity.mesh, book)
        done.taken += taken
        for ledger in [one for one in done.frozen if taken and one not in elsewhere]:
            more, trouble = await self._take_back(ledger, await run_in_threadpool(self.store.head, ledger))
            done.taken += more
            if trouble is None:
                del done.frozen[ledger]
        done.frozen.update(elsewhere)

    async def _ledgers(self, service: str) -> list[str]:
        agencies = [*self.keyring.hosted(), *([ANCHOR] if service == "mesh" and self.keyring.hosts(ANCHOR) else [])]
        names = {f"{agency}.{service}{tail}" for agency in agencies for tail in ("", ".private")}
        names -= {f"{ANCHOR}.{service}.private"}
        for ledger in await run_in_threadpool(self.store.ledgers):
            name = ledger_name(ledger)
            if name.circle and name.service == service and name.agency in agencies:
                names.add(ledger)
        for agency in agencies:  # circles that the store has forgotten altogether
            async with aclosing(last_of_each(self.connection, "CIRCLES", f"circle.*.{agency}.{service}.>")) as stored:
                async for message in stored:
                    names.update(ledger for ledger, _ in _place(message))
        return sorted(names)

    async def _is_level(self, ledger: str, here: Head) -> bool:
        """Whether the last message of the ledger names a fact that the store holds: so it is, nearly always."""
        js = self.connection.jetstream()
        try:
            last = await js.get_last_msg(stream_of(ledger), ledger_name(ledger).root + ".>", direct=True)
        except NotFoundError:
            return True
        try:
            named, ahead = place_in(last.subject or "", last.headers)
        except Unreadable:
            return False
        if named != ledger or ahead.position > here.position:
            return False
        return ahead.hash in await run_in_threadpool(self.store.hashes_present, [ahead.hash])

    async def _take_back(self, ledger: str, here: Head) -> tuple[int, str | None]:
        """How many facts were taken back, and what keeps the ledger from being level."""
        held, lost = await self._compare(ledger, here)
        book = await run_in_threadpool(self._book)
        for position, numbers in held.items():
            there = await run_in_threadpool(self.store.at, ledger, *position)
            if there is None and position[0] < here.epoch:
                continue  # of a branch that reopening left behind
            for fact in await self._authentic(ledger, numbers, book):
                return 0, f"{fact.place} stands in the streams with hash {fact.hash}, and otherwise in the store"
        head, taken, positions = here, 0, sorted(lost)
        for start in range(0, len(positions), AT_ONCE):
            numbers = [number for position in positions[start : start + AT_ONCE] for number in lost[position]]
            facts: dict[Position, Fact] = {}
            for fact in await self._authentic(ledger, numbers, book):
                other = facts.setdefault(fact.header.position, fact)
                if other.hash != fact.hash:
                    return taken, f"the streams hold two facts for {fact.place}: {other.hash} and {fact.hash}"
                facts[fact.header.position] = fact  # the later copy: one that was forgotten comes after the first
            following: list[Fact] = []
            for position in sorted(facts):
                try:
                    head = check(facts[position], mesh=self.identity.mesh, head=head, book=book)
                except ChainTrouble as trouble:
                    taken += await self._insert(following)
                    return taken, f"the streams hold facts up to {positions[-1]}, but not all of them: {trouble.detail}"
                following.append(facts[position])
            taken += await self._insert(following)
        return taken, None

    async def _compare(self, ledger: str, here: Head) -> tuple[dict[Position, list[int]], dict[Position, list[int]]]:
        """Places in the stream of what the store holds under another hash, and of what it does not hold."""
        held: dict[Position, list[int]] = {}
        lost: dict[Position, list[int]] = {}
        subject = ledger_name(ledger).root + ".>"
        page: list[tuple[Head, int]] = []
        async with aclosing(read_stream(self.connection, stream_of(ledger), subject)) as stored:
            async for message in stored:
                for _, head in _place(message):
                    if head.position > here.position:
                        lost.setdefault(head.position, []).append(message.number)
                    else:
                        page.append((head, message.number))
                if len(page) >= AT_ONCE:
                    await self._sort(page, held)
                    page = []
        await self._sort(page, held)
        return held, lost

    async def _sort(self, page: Sequence[tuple[Head, int]], held: dict[Position, list[int]]) -> None:
        hashes = [head.hash for head, _ in page]
        known = await run_in_threadpool(self.store.hashes_present, hashes) if hashes else set()
        for head, number in page:
            if head.hash not in known:
                held.setdefault(head.position, []).append(number)

    async def _authentic(self, ledger: str, numbers: Sequence[int], book: KeyBook) -> list[Fact]:
        """The facts in these places of the stream that their agency signed, in the stream's order."""
        js, facts = self.connection.jetstream(), []
        for start in range(0, len(numbers), FETCHED_AT_ONCE):
            wanted = (
                js.get_msg(stream_of(ledger), seq=number, direct=True)
                for number in numbers[start : start + FETCHED_AT_ONCE]
            )
            for message in await asyncio.gather(*wanted):
                found = Stored(message.subject or "", message.seq or 0, message.headers or {}, message.data or b"")
                fact = await self._fact(ledger, found, book)
                if fact is not None:
                    facts.append(fact)
        return facts

    async def _fact(self, ledger: str, message: Stored, book: KeyBook) -> Fact | None:
        """The fact in a message, if its ledger's agency signed it; what anybody else put there is quarantined."""
        try:
            fact = from_wire(message.data, message.headers.get(TRACEPARENT))
            if place_in(message.subject, message.headers) != (ledger, Head(*fact.header.position, fact.hash)):
                raise Unreadable(f"{message.subject}: headers and fact do not agree")
            previous = Head(fact.header.epoch, fact.header.sequence - 1, fact.header.previous)
            check(fact, mesh=self.identity.mesh, head=previous, book=book)
        except ChainTrouble:
            return fact  # a reopening is judged by its real predecessor
        except (Trouble, Unreadable) as trouble:
            code, kind = (
                (trouble.code, trouble.kind) if isinstance(trouble, Trouble) else ("unreadable", "not_authentic")
            )
            source, content = f"recovery {ledger}", message.data
            await run_in_threadpool(
                self.quarantine.add, source=source, kind=kind, code=code, detail=str(trouble), content=content
            )
            return None
        return fact

    def _book(self) -> KeyBook:
        """The roster's keys; and this node's own, because the roster may be what was lost."""
        book = self.roster.book()
        for agency in self.keyring.hosted():
            key = self.keyring.key(agency)
            if not book.knows(agency):
                book.add(KeyRange(agency, key.keyid, key.public))
        return book

    async def _insert(self, facts: Sequence[Fact]) -> int:
        if facts:
            await run_in_threadpool(self.store.insert, facts, [None] * len(facts), own=True)
        return len(facts)

    def _show(self, ledger: str, trouble: str) -> None:
        content = f"{ledger} {trouble}".encode()
        self.quarantine.add(source=f"ledger {ledger}", kind="chain", code="frozen", detail=trouble, content=content)


def _place(message: Stored) -> list[tuple[str, Head]]:
    """Ledger and place that a message names; empty if it names none."""
    try:
        return [place_in(message.subject, message.headers)]
    except Unreadable:
        return []
