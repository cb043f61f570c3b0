"""One peer's outlet: pulls messages of a stream over the link, hands them on, and acknowledges what the store has."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeout

from shared.bus.links import consumer_of
from shared.bus.peers import Peer

log = logging.getLogger(__name__)

BATCH = 256
WAIT_SECONDS = 1.0
"""So long one request for messages stands: after a peer's restart, the next one reaches it."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 1.0

Take = Callable[[Peer, str, Sequence[Msg]], Awaitable[int]]
"""Takes messages in, and answers how many were refused; raises if none must be acknowledged."""

PENALTY_SECONDS = 0.005
"""For each refused message of a batch: whoever sends rubbish slows down their own outlet, and nobody else's."""


@dataclass
class Outlet:
    """A stream of a peer."""

    peer: Peer
    stream: str
    last_contact: float | None = None
    trouble: str | None = None
    fetched: int = 0
    pending: int | None = None
    """Messages that the peer still held for us when it was last asked."""


@dataclass
class Puller:
    """Pulls one outlet until cancelled. The consumer was made by the peer, for this node alone."""

    connection: Client
    own_domain: str
    outlet: Outlet
    take: Take
    held: Callable[[Peer], Awaitable[str | None]]
    """Why nothing is to be pulled just now."""
    pause: float = field(default=FIRST_PAUSE, init=False)

    async def run(self) -> None:
        while True:
            end_if_cancelled()
            try:
                await self._pull()
            except asyncio.CancelledError:
                raise
            except (NatsError, OSError, TimeoutError) as error:
                self.outlet.trouble = f"{self.outlet.peer.domain} is not reached ({type(error).__name__})"
            except Exception as error:  # shown in the status and tried again: nothing was acknowledged
                self.outlet.trouble = f"{type(error).__name__}: {error}"
                log.warning("intake %s %s: %s", self.outlet.peer.domain, self.outlet.stream, self.outlet.trouble)
            await asyncio.sleep(self.pause)
            self.pause = min(self.pause * 2, LONGEST_PAUSE)

    async def _pull(self) -> None:
        outlet = self.outlet
        js = self.connection.jetstream(domain=outlet.peer.domain, timeout=3.0)
        consumer = consumer_of(self.own_domain, outlet.peer.domain)
        info = await js.consumer_info(outlet.stream, consumer)
        outlet.pending = info.num_pending
        subscription = await js.pull_subscribe_bind(durable=consumer, stream=outlet.stream)
        try:
            self._reached()
            quiet_since = time.monotonic()
            while True:
                end_if_cancelled()
                if (why := await self.held(outlet.peer)) is not None:
                    outlet.trouble = why
                    await asyncio.sleep(WAIT_SECONDS)
                    continue
                try:
                    messages = await subscription.fetch(BATCH, timeout=WAIT_SECONDS)
                except NatsTimeout:
                    if time.monotonic() - quiet_since > 5 * WAIT_SECONDS:  # quiet, or gone?
                        outlet.pending = (await js.consumer_info(outlet.stream, consumer)).num_pending
                        quiet_since = time.monotonic()
                        self._reached()
                    continue
                self._reached()
                quiet_since = time.monotonic()
                refused = await self.take(outlet.peer, outlet.stream, messages)
                for message in messages:
                    await message.ack()
                outlet.fetched += len(messages)
                if refused:
                    await asyncio.sleep(refused * PENALTY_SECONDS)
        finally:
            with suppress(NatsError):
                await subscription.unsubscribe()

    def _reached(self) -> None:
        self.outlet.last_contact = time.time()
        self.outlet.trouble = None
        self.pause = FIRST_PAUSE


def end_if_cancelled() -> None:
    """Ends a task that was told to end, in case what it awaited kept that to itself (asyncio.wait_for before
    Python 3.12 does when both come in one moment, and so does nats-py's fetch). Raises CancelledError."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
