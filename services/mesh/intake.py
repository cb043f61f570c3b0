"""The intake: by lease, one task per peer and outlet pulls other nodes' facts, one per peer exchanges heads with it.

Nothing of the wire is trusted. A message is acknowledged once the store has what is in it; what was stored is
published to VERIFIED by a relay of its own, whose position is the stream's: a crash anywhere loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from pymongo.errors import PyMongoError
from starlette.concurrency import run_in_threadpool

from shared.bus.asking import Asking
from shared.bus.peers import Peer, peers_now, visitors_of
from shared.bus.subjects import TRACEPARENT, agency_in, place_in
from shared.facts.fact import Fact, Unreadable, from_wire
from shared.facts.names import ANCHOR
from shared.facts.verify import NotAuthentic, Trouble
from shared.ledger.identity import ROSTER_LEDGER
from shared.ledger.keyring import Keyring
from shared.ledger.lease import Lease
from shared.ledger.witness import ForeignHeads
from shared.telemetry import counter

from .accepting import Accepting, Taken
from .attending import Attending, Attention
from .checking import check_envelope
from .confirming import Confirming
from .links import Outlet, Puller, end_if_cancelled
from .visiting import Visitors

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often the roster is asked who the peers are."""

TURN = 64
"""Messages of one outlet that are taken in at a time where there are several peers: so long may others wait."""

SHOWN_AT_ONCE = 16
"""Of what is refused of one batch, so much is shown one by one; the rest is counted."""

ROOTS = {"FACTS": "facts.", "CIRCLES": "circle.", "VERIFIED": "verified."}


class Intake:
    """Runs as one task in the mesh service's loop."""

    def __init__(
        self,
        accepting: Accepting,
        keyring: Keyring,
        lease: Lease,
        connection: Client,
        connect: Callable[[str], Awaitable[Client]],
        own_domain: str,
        heads: ForeignHeads,
        *,
        heads_every: float = 5.0,
        takes_links: bool = False,
        confirming: Confirming | None = None,
    ) -> None:
        self.accepting = accepting
        self._visitors = (
            Visitors(connection, own_domain) if takes_links and accepting.identity.hub is not None else None
        )
        self._keyring = keyring
        self._lease = lease
        self._connection = connection
        self._connect = connect
        self._own_domain = own_domain
        self._heads = heads
        self._heads_every = heads_every
        self._confirming = confirming
        self._gate = asyncio.Lock()
        self._running: dict[Peer, list[asyncio.Task[None]]] = {}
        self._attending: dict[str, Attending] = {}
        self._begun_for = 0
        self.outlets: list[Outlet] = []
        self.trouble: str | None = None

    @property
    def leads(self) -> bool:
        return self._lease.is_held

    @property
    def attentions(self) -> list[Attention]:
        return [one.attention for one in self._attending.values()]

    def heard(self, ledgers: Iterable[str]) -> None:
        """There is news in these ledgers of this node. May be called from any thread."""
        if ROSTER_LEDGER in ledgers:
            self.accepting.roster_moved()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                try:
                    await self._look()
                    self.trouble = None
                except Exception as error:  # shown in the status and tried again; the intake never ends by itself
                    self.trouble = f"{type(error).__name__}: {error}"
                    log.warning("intake: %s", self.trouble)
                await asyncio.sleep(min(LOOK_SECONDS, self._lease.renewal_seconds))
        finally:
            await self._stop(list(self._running))
            await run_in_threadpool(self._release)

    async def _look(self) -> None:
        """Keeps the lease, and a task for every outlet of every peer as the roster names them now."""
        if not await run_in_threadpool(self._lease.try_hold):
            await self._stop(list(self._running))
            return
        if self._begun_for != self._lease.fencing:
            async with self._gate:
                await run_in_threadpool(self.accepting.begin)
            self._begun_for = self._lease.fencing
        accepting = self.accepting
        peers = await run_in_threadpool(
            peers_now, accepting.identity, accepting.roster, self._keyring, self._own_domain
        )
        if self._visitors is not None:
            peers += await self._visitors.among(await run_in_threadpool(self._who_may_visit))
        paused = set(await run_in_threadpool(accepting.paused))
        async with self._gate:
            await run_in_threadpool(accepting.keep_up)
        wanted = [peer for peer in peers if peer.agencies is None or peer.agencies - paused]
        await self._stop([peer for peer in self._running if _name(peer) not in {_name(one) for one in wanted}])
        started = {_name(peer) for peer in self._running}
        for peer in wanted:
            if _name(peer) not in started:
                self._start(peer)

    def _start(self, peer: Peer) -> None:
        outlets = [Outlet(peer, stream) for stream in peer.outlets]
        attending = Attending(
            Attention(peer),
            Asking(self._connection, self._own_domain),
            self.accepting,
            self._heads,
            self.take_facts,
            self.learn_of_forks,
            self._confirming,
        )
        self.outlets += outlets
        self._attending[peer.domain] = attending
        pulling, exchanging_heads = self._pull(peer, outlets), attending.run(self._heads_every)
        self._running[peer] = [asyncio.create_task(pulling), asyncio.create_task(exchanging_heads)]

    async def _pull(self, peer: Peer, outlets: Sequence[Outlet]) -> None:
        """Until cancelled; by a connection of the peer's own, because a connection has one inbox."""
        connection = await self._connect(peer.domain)
        try:
            end_if_cancelled()  # connecting may have kept it to itself
            pullers = (
                Puller(connection, self._own_domain, outlet, self.take_messages, self._held) for outlet in outlets
            )
            await asyncio.gather(*(puller.run() for puller in pullers))
        finally:
            with suppress(NatsError, OSError):
                await connection.close()

    async def _stop(self, peers: Sequence[Peer]) -> None:
        for peer in peers:
            tasks = self._running.pop(peer)
            self._attending.pop(peer.domain, None)
            self.outlets = [outlet for outlet in self.outlets if _name(outlet.peer) != _name(peer)]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _release(self) -> None:
        with suppress(PyMongoError):
            self._lease.release()

    # -- taking in -------------------------------------------------------------------------------------------

    async def take_messages(self, peer: Peer, stream: str, messages: Sequence[Msg]) -> int:
        """Takes in what a peer's stream delivered; returns how many were refused. Raises PyMongoError."""
        agencies = await run_in_threadpool(self._agencies_of, peer)
        refused, rest = 0, messages
        while rest:
            size = TURN if len(self._running) > 1 else len(rest)
            some, rest = rest[:size], rest[size:]
            async with self._gate:
                taken = await run_in_threadpool(self._take_messages, peer, agencies, stream, some)
            refused += self._told(peer.domain, taken)
        return refused

    async def take_facts(self, domain: str, facts: Sequence[Fact], unreadable: Sequence[bytes]) -> Taken:
        """Takes in what a peer answered: facts of whatever agency, because who asks has named the ledger."""
        source = f"peer {domain}"
        async with self._gate:
            for content in unreadable:
                trouble = NotAuthentic("unreadable", f"{domain} answered with what is no fact")
                await run_in_threadpool(self.accepting.refuse, source, trouble, content)
            taken = await run_in_threadpool(self.accepting.take, source, facts)
        self._told(domain, taken, ask=False)
        return taken

    async def learn_of_forks(self, domain: str, pairs: Sequence[tuple[Fact, Fact]]) -> None:
        """Evidence of forks that a peer holds."""
        for first, second in pairs:
            async with self._gate:
                await run_in_threadpool(self.accepting.learn_of_fork, f"peer {domain}", first, second)

    def _told(self, domain: str, taken: Taken, *, ask: bool = True) -> int:
        outcomes = {
            "accepted": taken.accepted,
            "known": taken.known,
            "waiting": taken.waiting,
            "refused": taken.refused,
        }
        for outcome, count in outcomes.items():
            if count:
                counter("pilotmesh.intake.facts").add(count, {"peer": domain, "outcome": outcome})
        attending = self._attending.get(domain)
        if ask and taken.gaps and attending is not None:
            attending.want(taken.gaps)
        return taken.refused

    def _agencies_of(self, peer: Peer) -> frozenset[str] | None:
        """Whose facts may come from there, as the roster says now; None: everybody's."""
        if peer.agencies is None:
            return None
        accepting = self.accepting
        now = peers_now(accepting.identity, accepting.roster, self._keyring, self._own_domain)
        if self._visitors is not None:
            now += self._who_may_visit()
        return next((one.agencies for one in now if one.domain == peer.domain), frozenset())

    def _who_may_visit(self) -> list[Peer]:
        accepting = self.accepting
        return visitors_of(accepting.identity, accepting.roster.members(), self._keyring, self._own_domain)

    async def _held(self, peer: Peer) -> str | None:
        """Why nothing is pulled from a peer just now: all of its agencies, as the roster says now, have sent as much
        as they may. Where only some have, theirs is passed over, and asked for later."""
        quotas = self.accepting.quotas
        if peer.agencies is None or quotas is None or not quotas.all_over():
            return None
        agencies = await run_in_threadpool(self._agencies_of, peer)
        told = [self.accepting.over_quota(agency) for agency in sorted(agencies or ())]
        return told[0] if told and all(told) else None

    def _take_messages(
        self, peer: Peer, agencies: frozenset[str] | None, stream: str, messages: Sequence[Msg]
    ) -> Taken:
        source, facts, refused = f"peer {peer.domain}", [], 0
        over = {} if self.accepting.quotas is None else self.accepting.quotas.all_over()
        for message in messages:
            if over and agency_in(message.subject) in over:
                continue
            try:
                facts.append(_fact_in(message, stream, agencies, peer.domain))
            except Trouble as trouble:
                refused += 1
                if refused <= SHOWN_AT_ONCE:
                    self.accepting.refuse(source, trouble, message.data)
        if refused > SHOWN_AT_ONCE:  # a flood: others wait for their turn meanwhile
            self.accepting.count_refused(source, refused - SHOWN_AT_ONCE)
        taken = self.accepting.take(source, facts)
        taken.refused += refused
        return taken


def _fact_in(message: Msg, stream: str, agencies: frozenset[str] | None, domain: str) -> Fact:
    """The fact in a message, if everything around it agrees. Raises NotAuthentic."""
    try:
        fact = from_wire(message.data, (message.headers or {}).get(TRACEPARENT))
        ledger, place = place_in(message.subject, message.headers)
    except Unreadable as error:
        raise NotAuthentic("unreadable", str(error)) from error
    check_envelope(fact, ledger, place)
    if not message.subject.startswith(ROOTS[stream]):
        raise NotAuthentic("envelope", f"{message.subject} does not belong into {stream}")
    # The roster comes from wherever the anchor's key lies: on a standby hub, if the first is lost.
    if agencies is not None and fact.header.agency not in (*agencies, ANCHOR):
        told = f"{fact.place}: came from {domain}, which does not host {fact.header.agency}"
        raise NotAuthentic("sender", told)
    return fact


def _name(peer: Peer) -> tuple[str, tuple[str, ...]]:
    return peer.domain, peer.outlets
