"""Who has come to a standby hub. It is a member itself, and its peers besides its own hub are the nodes that are linked
to it now: that another one is not is no trouble, for it is linked elsewhere."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence

from nats.aio.client import Client
from nats.errors import Error as NatsError

from shared.bus.links import inbox_for
from shared.bus.peers import Peer

LOOK_SECONDS = 1.0
"""How often those who are not here are looked for. Nobody's server answers for a node that is not linked, at once."""
ANSWER_SECONDS = 0.5
GONE_SECONDS = 30.0
"""So long one who came and does not answer any more is still a peer, and its silence is shown."""


class Visitors:
    """Remembers who came, and when each was last met."""

    def __init__(self, connection: Client, own_domain: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._own = own_domain
        self._clock = clock
        self._met: dict[str, float] = {}
        self._looked = -LOOK_SECONDS

    async def among(self, peers: Sequence[Peer]) -> list[Peer]:
        """Those of `peers` who are here, or were until a moment ago."""
        if self._clock() - self._looked >= LOOK_SECONDS:
            answers = await asyncio.gather(*(self._is_linked(peer.domain) for peer in peers))
            self._looked = self._clock()
            self._met |= {peer.domain: self._looked for peer, here in zip(peers, answers, strict=True) if here}
        now = self._clock()
        return [peer for peer in peers if now - self._met.get(peer.domain, -GONE_SECONDS) < GONE_SECONDS]

    async def _is_linked(self, domain: str) -> bool:
        inbox = f"{inbox_for(self._own, domain)}.{secrets.token_hex(8)}"
        try:
            answers = await self._connection.subscribe(inbox)
            try:
                await self._connection.publish(f"$JS.{domain}.API.INFO", reply=inbox)
                return bool(
                    (await answers.next_msg(timeout=ANSWER_SECONDS)).data
                )  # empty: the word of one's own server
            finally:
                await answers.unsubscribe()
        except (NatsError, TimeoutError, OSError):
            return False
