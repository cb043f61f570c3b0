"""News of facts. A message says where to look; the store says what is there.

Two ways lead to a follower. A *nudge* (a core subject, stored nowhere) comes the moment somebody has committed, and
makes it quick; the durable pull consumers on the streams make it certain, and find what does not belong there.
FastStream gathers a batch for up to its timeout, so the streams alone would be slow.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from typing import Any

from faststream import AckPolicy
from faststream.exceptions import NackMessage
from faststream.message import StreamMessage
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from pymongo.errors import PyMongoError
from starlette.concurrency import run_in_threadpool

from shared.bus.broker import inbox_of
from shared.bus.nudging import Neighbours
from shared.bus.subjects import NUDGE, STREAMS, place_in
from shared.facts.fact import Unreadable
from shared.facts.names import ledger_name
from shared.facts.verify import Head
from shared.ledger.follower import Follower, LostLease
from shared.ledger.quarantine import Quarantine
from shared.ledger.store import LedgerStore
from shared.settings import Settings

log = logging.getLogger(__name__)

BATCH = 256
GATHER_SECONDS = 5.0
"""How long a batch is gathered: the latest that a follower hears of a fact whose nudge was lost."""
REST_SECONDS = 0.5
"""Between two batches: what is quick are the nudges, and a hundred messages cost little more than one."""


class News:
    """Takes messages that name facts, has them folded from the store, and quarantines what names none."""

    def __init__(
        self, store: LedgerStore, quarantine: Quarantine, follower: Follower, neighbours: Neighbours | None = None
    ) -> None:
        self._store = store
        self._quarantine = quarantine
        self._follower = follower
        self._neighbours = neighbours

    def take(self, messages: list[Any]) -> None:
        """Raises NackMessage (with a delay) on what may pass by itself: another leader, a store that is away."""
        named: dict[str, tuple[str, Head, Any]] = {}
        reached: dict[str, tuple[int, int]] = {}
        for message in messages:
            try:
                ledger, head = place_in(message.subject, message.headers)
            except Unreadable as error:
                self._refuse(message, "unreadable", str(error), None)
                continue
            reached[ledger] = max(head.position, reached.get(ledger, head.position))
            named[head.hash] = (ledger, head, message)
        try:
            if reached and not self._follower.follow_now(reached, reached):
                raise NackMessage(delay=1.0)
            for gone in set(named) - self._store.hashes_present(list(named)):
                ledger, head, message = named[gone]
                place = f"{ledger}:{head.epoch}:{head.sequence}"
                self._refuse(
                    message, "unknown_fact", f"{message.subject}: names {place}, which is not held here", place
                )
        except (PyMongoError, LostLease) as error:
            raise NackMessage(delay=1.0) from error

    def hear(self, ledgers: Iterable[str], *, own: bool = False) -> None:
        """There is news in these ledgers (`own`: of this process); the follower's own thread looks at once."""
        self._follower.nudge(ledgers, own=own)

    def hear_from_afar(self, subject: str, nudge: bytes) -> None:
        """A nudge came over NATS; those of this process were heard directly."""
        if self._neighbours is None or not self._neighbours.sent(subject):
            self.hear(ledgers_in(nudge))

    def _refuse(self, message: Any, code: str, detail: str, place: str | None) -> None:
        root = message.subject.split(".", 2)
        self._quarantine.add(
            source=f"stream {'.'.join(root[:2])}",
            kind="not_authentic",
            code=code,
            detail=detail,
            content=repr((message.subject, message.headers)).encode() + (message.data or b""),
            place=place,
        )


def subscribe_to_news(broker: NatsBroker, settings: Settings, service: str, news: Callable[[], News]) -> None:
    """One subscriber a stream, bound to the consumer that provisioning made for this service."""
    inbox = f"{inbox_of(settings, service)}.".encode()

    def subscribe(stream: str, subject: str) -> None:
        @broker.subscriber(
            subject,
            durable=service,
            inbox_prefix=inbox,
            stream=JStream(stream, declare=False),
            pull_sub=PullSub(batch_size=BATCH, timeout=GATHER_SECONDS, batch=True),
            ack_policy=AckPolicy.NACK_ON_ERROR,
            decoder=leave_undecoded,
            title=f"{stream}:{service}",
            description=f"News of facts in stream {stream}: headers name ledger, epoch, sequence and hash.",
        )
        async def news_of_facts(message: NatsMessage) -> None:
            raw: Any = message.raw_message
            try:
                await run_in_threadpool(news().take, raw if isinstance(raw, list) else [raw])
                await asyncio.sleep(REST_SECONDS)
            except NackMessage:
                raise
            except Exception as error:  # a fault in the fold is shown by the follower; it is tried again, slowly
                log.exception("%s: news could not be folded", service)
                raise NackMessage(delay=5.0) from error

    for stream, subject in STREAMS.items():
        subscribe(stream, subject)

    @broker.subscriber(
        f"{NUDGE}.>",
        decoder=leave_undecoded,
        title=f"nudges:{service}",
        description="A list of ledgers that have news. Carries no state; may be lost.",
    )
    async def nudged(message: NatsMessage) -> None:
        raw: Any = message.raw_message
        news().hear_from_afar(raw.subject, message.body)


async def leave_undecoded(message: StreamMessage[Any]) -> StreamMessage[Any]:
    """The handler gets the message itself: one whose body cannot be read would come again for ever, with all that
    came beside it."""
    return message


def ledgers_in(nudge: bytes) -> list[str]:
    """The ledgers that a nudge names; none if it is not one."""
    try:
        named = json.loads(nudge)
    except (ValueError, RecursionError):
        return []
    return [ledger for ledger in named if is_ledger(ledger)] if isinstance(named, list) else []


def is_ledger(name: object) -> bool:
    try:
        return isinstance(name, str) and bool(ledger_name(name))
    except ValueError:
        return False
