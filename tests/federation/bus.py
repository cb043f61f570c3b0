"""NATS in memory: each node's streams, and links between them that stand or do not. Publishing may get lost, or its
acknowledgement; consumers deliver again what was not acknowledged."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from nats.errors import TimeoutError as NatsTimeout
from nats.js.api import Header
from nats.js.errors import NotFoundError

from services.mesh.publishing import BATCH_ID, BATCH_SEQUENCE
from shared.bus.asking import NOBODY
from shared.bus.links import ASK
from shared.bus.subjects import STREAMS
from tests.federation.memory import Crash

Sent = tuple[str, bytes, Mapping[str, str]]
"""Subject, data, headers."""
DIRECT_GET = "$JS.API.DIRECT.GET."


def fits(subject: str, pattern: str) -> bool:
    """Whether a subject is among those that a pattern (`*`, `>`) stands for."""
    parts, wanted = subject.split("."), pattern.split(".")
    for number, one in enumerate(wanted):
        if one == ">":
            return len(parts) > number
        if number >= len(parts) or one not in ("*", parts[number]):
            return False
    return len(parts) == len(wanted)


@dataclass
class Message:
    subject: str
    number: int
    headers: dict[str, str]
    data: bytes

    def as_direct(self) -> Any:
        told = {**self.headers, "Nats-Subject": self.subject, "Nats-Sequence": str(self.number)}
        return SimpleNamespace(headers=told, data=self.data)


@dataclass
class Stream:
    messages: list[Message] = field(default_factory=list)
    last: int = 0
    acknowledged: dict[str, set[int]] = field(default_factory=dict)
    """By consumer."""

    def put(self, subject: str, data: bytes, headers: Mapping[str, str]) -> None:
        self.last += 1
        self.messages.append(Message(subject, self.last, dict(headers), data))

    def under(self, pattern: str, first: int = 1) -> list[Message]:
        return [one for one in self.messages if one.number >= first and fits(one.subject, pattern)]

    def due(self, consumer: str, pattern: str, most: int) -> list[Message]:
        done = self.acknowledged.setdefault(consumer, set())
        return [one for one in self.under(pattern) if one.number not in done][:most]


@dataclass
class Streams:
    """One node's NATS. It outlives the node's processes."""

    streams: dict[str, Stream] = field(default_factory=lambda: {name: Stream() for name in STREAMS})
    fails: list[str] = field(default_factory=list)
    """What becomes of the next publishes: `lost`, `unacknowledged`, `crash before`, `crash after`, or `fine`."""

    def publish(self, stream: str, messages: Sequence[Sent]) -> None:
        """Stores all of these messages or none."""
        fate = self.fails.pop(0) if self.fails else "fine"
        if fate == "crash before":
            raise Crash
        if fate != "lost":
            for subject, data, headers in messages:
                self.streams[stream].put(subject, data, headers)
        if fate == "crash after":
            raise Crash
        if fate != "fine":
            raise NatsTimeout

    def wipe(self, stream: str) -> None:
        self.streams[stream].messages.clear()


class Subscription:
    def __init__(self) -> None:
        self.waiting: list[Any] = []

    async def next_msg(self, timeout: float) -> Any:  # noqa: ASYNC109 - as nats-py has it
        return self.waiting.pop(0)

    async def unsubscribe(self) -> None:
        """Nothing is kept of it."""


class Connection:
    """In the place of a client of one node's NATS. `ask` carries a request over a link, if one stands."""

    def __init__(self, own: Streams, ask: Callable[[str, bytes], Awaitable[bytes | None]]) -> None:
        self._own = own
        self._ask = ask
        self._runs: dict[str, list[Sent]] = {}
        """By batch what has come of it; stored when the last of it comes, and never if that does not."""
        self._inboxes: dict[str, Subscription] = {}

    def jetstream(self, **_: Any) -> Connection:
        return self

    def new_inbox(self) -> str:
        return f"_INBOX.{len(self._inboxes)}"

    async def subscribe(self, subject: str) -> Subscription:
        return self._inboxes.setdefault(subject, Subscription())

    async def publish(
        self,
        subject: str,
        data: bytes,
        *,
        reply: str = "",
        stream: str = "",
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> None:
        if subject.startswith(DIRECT_GET):
            self._answer(subject.removeprefix(DIRECT_GET), json.loads(data), self._inboxes.pop(reply))
        elif subject.startswith(f"{ASK}."):
            answer = await self._ask(subject, data)
            nobody = {str(Header.STATUS): NOBODY} if answer is None else {}
            self._inboxes.pop(reply).waiting.append(SimpleNamespace(headers=nobody, data=answer or b""))
        elif BATCH_ID in (headers or {}):
            told = headers or {}
            self._runs.setdefault(told[BATCH_ID], []).append((subject, data, told))
        else:
            self._own.publish(stream, [(subject, data, headers or {})])

    async def request(self, subject: str, data: bytes, timeout: float, *, headers: Mapping[str, str]) -> Any:  # noqa: ASYNC109 - as nats-py has it
        """The last message of a batch; the others came before."""
        run = [*self._runs.pop(headers[BATCH_ID], ()), (subject, data, headers)]
        assert len(run) == int(headers[BATCH_SEQUENCE])
        self._own.publish(headers[Header.EXPECTED_STREAM.value], run)
        return SimpleNamespace(data=b"{}")

    def _answer(self, stream: str, wanted: Mapping[str, Any], to: Subscription) -> None:
        held = self._own.streams[stream]
        if "multi_last" in wanted:
            newest = {one.subject: one for pattern in wanted["multi_last"] for one in held.under(pattern)}
            found, left = list(newest.values()), 0
        else:
            every = held.under(wanted["next_by_subj"], wanted["seq"])
            found, left = every[: wanted["batch"]], max(0, len(every) - wanted["batch"])
        to.waiting += [one.as_direct() for one in found]
        end = {"Status": "204", "Nats-Num-Pending": str(left)} if found else {"Status": "404"}
        to.waiting.append(SimpleNamespace(headers=end, data=b""))

    async def get_last_msg(self, stream: str, subject: str, **_: Any) -> Any:
        found = self._own.streams[stream].under(subject)
        if not found:
            raise NotFoundError
        return _as_raw(found[-1])

    async def get_msg(self, stream: str, seq: int, **_: Any) -> Any:
        found = next((one for one in self._own.streams[stream].messages if one.number == seq), None)
        if found is None:
            raise NotFoundError
        return _as_raw(found)


def _as_raw(message: Message) -> Any:
    return SimpleNamespace(
        subject=message.subject, seq=message.number, headers=dict(message.headers), data=message.data
    )
