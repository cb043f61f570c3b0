"""Asking another node: facts that are missing here, signed heads, evidence of forks. JSON over request and reply.

`ask.<asked domain>.<asking domain>`: the link's permissions let a node ask under its own name only.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.js.api import Header

from shared.bus.links import ask_subject, inbox_for
from shared.facts.fact import Fact, Unreadable, from_wire, to_bytes, to_wire
from shared.facts.names import ledger_name

PATIENCE_SECONDS = 3.0
MOST_FACTS = 256
"""Facts in one answer."""
NOBODY = "503"
"""The server's word that nobody listens where a question went."""


class Unanswered(RuntimeError):  # noqa: N818 - what happened
    """The peer is away, refused, or answered what is no answer; the sentence says which."""


class Busy(Unanswered):
    """Asked too often; later is better."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Facts of one ledger, in order; `redactions` explain those among them that came without content."""

    facts: list[Fact]
    redactions: list[Fact]
    unreadable: list[bytes]
    more: bool
    """Whether the peer holds more beyond them."""


class Asking:
    """Asks under the name of this node's domain."""

    def __init__(self, connection: Client, own_domain: str) -> None:
        self._connection = connection
        self._own = own_domain

    async def ask(self, domain: str, question: Mapping[str, Any]) -> dict[str, Any]:
        """The peer's answer. Raises Unanswered."""
        try:
            answer = await self._answer(domain, to_bytes(dict(question)))
        except (NatsError, TimeoutError, OSError) as error:
            raise Unanswered(f"{domain} does not answer ({type(error).__name__})") from error
        try:
            told = json.loads(answer.data)
        except (ValueError, RecursionError) as error:
            raise Unanswered(f"{domain} answered what is no JSON") from error
        if not isinstance(told, dict):
            raise Unanswered(f"{domain} answered what is no object")
        if "error" in told:
            said = str(told["error"])[:200]
            raise Busy(said) if told.get("busy") else Unanswered(f"{domain}: {said}")
        return told

    async def _answer(self, domain: str, question: bytes) -> Msg:
        """What comes to an inbox that this peer alone may write to. Raises nats.errors.Error, TimeoutError."""
        inbox = f"{inbox_for(self._own, domain)}.{secrets.token_hex(8)}"
        answers = await self._connection.subscribe(inbox)
        try:
            await self._connection.publish(ask_subject(domain, self._own), question, reply=inbox)
            answer = await answers.next_msg(timeout=PATIENCE_SECONDS)
        finally:
            with suppress(NatsError):  # a connection that has gone meanwhile keeps no inbox either
                await answers.unsubscribe()
        if not answer.data and (answer.headers or {}).get(Header.STATUS) == NOBODY:
            raise NoRespondersError
        return answer

    async def facts(self, domain: str, ledger: str, after: tuple[int, int], limit: int = MOST_FACTS) -> Answered:
        """Facts of a ledger that come after a place. Nothing of them is checked yet. Raises Unanswered."""
        told = await self.ask(domain, {"ask": "facts", "ledger": ledger, "after": list(after), "limit": limit})
        unreadable: list[bytes] = []
        facts = _facts(told.get("facts"), unreadable)
        redactions = _facts(told.get("redactions"), unreadable)
        return Answered(facts, redactions, unreadable, bool(told.get("more")))

    async def heads(self, domain: str) -> list[dict[str, Any]]:
        """The newest signed heads that the peer knows, its own and others'. Raises Unanswered."""
        return (await self.heads_and_held(domain))[0]

    async def heads_and_held(self, domain: str) -> tuple[list[dict[str, Any]], dict[str, tuple[int, int]]]:
        """The same, and how far it holds ledgers beyond their signed heads: its word, good for asking and no more.
        Raises Unanswered."""
        heads: list[dict[str, Any]] = []
        held: dict[str, tuple[int, int]] = {}
        after = ""
        while True:
            told = await self.ask(domain, {"ask": "heads", "after": after})
            heads += [head for head in _listed(told.get("heads")) if isinstance(head, dict)]
            held |= _places(told.get("held"))
            following = told.get("next")
            if not isinstance(following, str) or following <= after:
                return heads, held
            after = following

    async def forks(self, domain: str) -> list[tuple[Fact, Fact]]:
        """Pairs of facts that contradict each other, as the peer knows them; unchecked. Raises Unanswered."""
        told = await self.ask(domain, {"ask": "forks"})
        pairs = []
        for one in _listed(told.get("pairs")):
            facts = _facts(one, [])
            if len(facts) == 2:
                pairs.append((facts[0], facts[1]))
        return pairs

    async def confirmations(self, domain: str, of: Sequence[tuple[str, Sequence[str]]]) -> list[Any]:
        """What the peer knows of who has carried out redactions: by hash, the domains of nodes. Unchecked. Raises
        Unanswered."""
        wanted = [{"redaction": redaction, "nodes": list(nodes)} for redaction, nodes in of]
        return _listed((await self.ask(domain, {"ask": "confirmations", "of": wanted})).get("confirmations"))


def _facts(told: object, unreadable: list[bytes]) -> list[Fact]:
    facts = []
    for one in _listed(told):
        try:
            facts.append(from_wire(to_bytes(one)))
        except (Unreadable, ValueError):
            unreadable.append(repr(one).encode(errors="replace"))
    return facts


def _places(told: object) -> dict[str, tuple[int, int]]:
    found = {}
    for ledger, place in told.items() if isinstance(told, dict) else ():
        if isinstance(place, list) and len(place) == 2 and all(type(one) is int for one in place):
            try:
                found[str(ledger_name(ledger))] = (place[0], place[1])
            except ValueError:
                continue
    return found


def _listed(told: object) -> list[Any]:
    return told if isinstance(told, list) else []


def wire_object(fact: Fact) -> dict[str, Any]:
    """A fact inside an answer: what `to_wire` writes, as an object."""
    told: dict[str, Any] = json.loads(to_wire(fact))
    return told
