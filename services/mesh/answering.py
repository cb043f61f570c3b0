"""What other nodes ask of this one: facts that they miss, signed heads, the evidence of forks.

Who asks stands in the subject, which the link's permissions pin. A ledger is told only to those in its audience.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from pymongo.errors import PyMongoError
from starlette.concurrency import run_in_threadpool

from shared.bus.asking import MOST_FACTS, wire_object
from shared.bus.links import ask_subject, asked_by, inbox_for
from shared.facts.fact import LARGEST_NUMBER, Fact, to_bytes
from shared.facts.names import LedgerName, ledger_name
from shared.ledger.circles import CircleReaders
from shared.ledger.cutting import Forks
from shared.ledger.identity import SUSPENDED, Identity, Roster, members_of
from shared.ledger.keyring import Keyring
from shared.ledger.rows import redactions_in
from shared.ledger.store import LedgerStore
from shared.ledger.witness import ForeignHeads
from shared.telemetry import counter

from . import heads as own_heads
from .allowance import Allowance
from .confirming import AT_ONCE as REDACTIONS_AT_ONCE
from .confirming import Confirming

log = logging.getLogger(__name__)

MOST_BYTES = 640 * 1024
"""Of facts in one answer: a message is at most 1 MiB, and JSON within JSON grows."""
HEADS_AT_ONCE = 1000
MOST_PAIRS = 100
PER_SECOND = 40.0
"""Questions of one peer that are answered in the long run; each is at most 256 facts."""
AT_ONCE = 120.0
"""Questions of one peer in a row."""


class Answering:
    """Answers from the store. Knows nothing of how questions come."""

    def __init__(
        self,
        store: LedgerStore,
        keyring: Keyring,
        identity: Identity,
        roster: Roster,
        forks: Forks,
        heads: ForeignHeads,
        confirming: Confirming | None = None,
    ) -> None:
        self._store = store
        self._confirming = confirming
        self._keyring = keyring
        self._identity = identity
        self._roster = roster
        self._forks = forks
        self._heads = heads
        self._signed: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {}
        self._allowance = Allowance(PER_SECOND, AT_ONCE)
        self._circles = CircleReaders(store)

    def answer(self, asker: str, question: bytes) -> bytes:
        """The answer to a question of the node with this domain; an `error` where there is none."""
        if not self._allowance.take(asker):
            return to_bytes({"error": "asked too often; ask again in a moment", "busy": True})
        try:
            asked = json.loads(question)
            if not isinstance(asked, dict):
                raise ValueError("a question is an object")
            told = self._answer(asker, asked)
        except PermissionError as error:
            counter("pilotmesh.ask.refused").add(1)
            told = {"error": str(error)}
        except (ValueError, RecursionError) as error:
            told = {"error": f"unreadable question: {error}"[:300]}
        return to_bytes(told)

    def _answer(self, asker: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        match asked.get("ask"):
            case "facts":
                ledger, after, limit = asked.get("ledger"), asked.get("after"), asked.get("limit", MOST_FACTS)
                if not isinstance(ledger, str) or not _is_place(after) or type(limit) is not int:
                    raise ValueError("facts: expected ledger, after: [epoch, sequence], limit")
                assert isinstance(after, list)
                return self._facts(asker, ledger, (after[0], after[1]), max(1, min(limit, MOST_FACTS)))
            case "heads":
                after = asked.get("after", "")
                return self._signed_heads(asker, after if isinstance(after, str) else "")
            case "confirmations":
                return {"confirmations": self._confirmations(asker, asked.get("of"))}
            case "forks":
                may_read = self._readable_by(asker)
                pairs = [
                    pair
                    for pair in self._forks.told(MOST_PAIRS)
                    if may_read(pair[0].header.ledger) or pair[0].header.ledger.is_private
                ]
                return {"pairs": [[wire_object(one), wire_object(other)] for one, other in pairs]}
            case other:
                raise ValueError(f"{other!r} can not be asked")

    def may_read(self, asker: str, ledger: LedgerName) -> bool:
        """Whether the node with this domain is in the ledger's audience: it hosts an agency that is, or is the hub."""
        return self._readable_by(asker)(ledger)

    def _readable_by(self, asker: str) -> Callable[[LedgerName], bool]:
        """`may_read` for all ledgers of one question: the roster is read once, however many they are."""
        if self._identity.hub is not None and asker == self._identity.hub.domain:
            return lambda ledger: not ledger.is_private
        state = self._roster.state()
        hosted = {one.agency for one in members_of(state) if one.domain == asker and one.status != SUSPENDED}

        def may_read(ledger: LedgerName) -> bool:
            if ledger.is_private or ledger.circle is None:
                return not ledger.is_private and bool(hosted)
            return bool(hosted & self._circles.now(ledger, state))

        return may_read

    def _facts(self, asker: str, name: str, after: tuple[int, int], limit: int) -> dict[str, Any]:
        ledger = ledger_name(name)
        if not self.may_read(asker, ledger):
            raise PermissionError(f"{asker} is not in the audience of {name}")
        found = self._store.after(name, after, limit)
        told: list[Fact] = []
        size = 0
        for fact in found:
            size += 2 * len(fact.protected) + 2 * len(fact.payload or b"") + 256
            if told and size > MOST_BYTES:
                break
            told.append(fact)
        bare = {fact.header.position for fact in told if fact.payload is None}
        redactions = self._redactions(ledger, bare) if bare else []
        return {
            "facts": [wire_object(fact) for fact in told],
            "redactions": [wire_object(fact) for fact in redactions],
            "more": len(told) < len(found) or len(found) == limit,
        }

    def _confirmations(self, asker: str, of: object) -> list[dict[str, Any]]:
        """What is known here of who has carried out these redactions; only to who may read their ledger."""
        if self._confirming is None or not isinstance(of, list) or len(of) > REDACTIONS_AT_ONCE:
            raise ValueError(
                f"confirmations: expected `of`, a list of at most {REDACTIONS_AT_ONCE} redactions and nodes"
            )
        wanted, may_read = [], self._readable_by(asker)
        for one in of:
            redaction, nodes = (one.get("redaction"), one.get("nodes")) if isinstance(one, dict) else (None, None)
            if not isinstance(redaction, str) or not isinstance(nodes, list):
                raise ValueError("confirmations: expected redaction (a hash) and nodes (a list of domains)")
            known = self._confirming.confirmations.find(redaction)
            if known is not None and may_read(ledger_name(known.ledger)):
                wanted.append((redaction, [str(node) for node in nodes]))
        return self._confirming.answer(wanted)

    def _redactions(self, ledger: LedgerName, places: set[tuple[int, int]]) -> list[Fact]:
        """The redactions that say why these places have no content; and the keys that the ledger took meanwhile, under
        which they may stand."""
        redactions = [
            fact
            for fact in self._store.redactions(ledger)
            if any((one.epoch, one.sequence) in places for one in redactions_in(fact))
        ]
        last = max((fact.header.position for fact in redactions), default=(0, 0))
        keys = [fact for fact in self._store.rekeyings(str(ledger)) if min(places) < fact.header.position < last]
        return [*keys, *redactions]

    def _signed_heads(self, asker: str, after: str) -> dict[str, Any]:
        tails = self._store.tails()
        moved = [
            ledger
            for ledger, tail in tails.items()
            if self._keyring.hosts(ledger_name(ledger).agency) and self._signed.get(ledger, ((0, 0),))[0] != tail
        ]
        for head in own_heads.signed_heads(self._store, self._keyring, self._identity.mesh, moved):
            self._signed[head["ledger"]] = (tails[head["ledger"]], head)
        told = {ledger: _told(head) for ledger, head in self._heads.all().items()}
        told |= {
            ledger: head
            for ledger, (_, head) in self._signed.items()
            if ledger in tails and self._keyring.hosts(ledger_name(ledger).agency)
        }
        further = {ledger: tail for ledger, tail in tails.items() if self._is_further(ledger, tail, told.get(ledger))}
        may_read = self._readable_by(asker)
        rest = sorted(one for one in {*told, *further} if one > after)
        names = list(islice((one for one in rest if _may_know_of(one, may_read)), HEADS_AT_ONCE + 1))
        page = names[:HEADS_AT_ONCE]
        return {
            "heads": [told[ledger] for ledger in page if ledger in told],
            "held": {ledger: list(further[ledger]) for ledger in page if ledger in further},
            "next": page[-1] if len(names) > len(page) else None,
        }

    def _is_further(self, ledger: str, tail: tuple[int, int], told: Mapping[str, Any] | None) -> bool:
        """Whether this node holds more of another's ledger than a signed head says: its owner, or the hub that carried
        it, was lost before the head came."""
        name = ledger_name(ledger)
        if name.is_private or tail[1] == 0 or self._keyring.hosts(name.agency):
            return False
        return told is None or (told["epoch"], told["sequence"]) < tail


def _may_know_of(ledger: str, may_read: Callable[[LedgerName], bool]) -> bool:
    """A private ledger's head tells only how long it is; that a circle exists is its members' business."""
    name = ledger_name(ledger)
    return name.circle is None or may_read(name)


def _told(head: Mapping[str, Any]) -> dict[str, Any]:
    return {name: head[name] for name in ("ledger", "epoch", "sequence", "hash", "keyid", "signature")}


def _is_place(after: object) -> bool:
    return (
        isinstance(after, list)
        and len(after) == 2
        and all(type(one) is int and 0 <= one <= LARGEST_NUMBER for one in after)
    )


async def answer_questions(connection: Client, own_domain: str, answering: Answering) -> None:
    """Answers until cancelled. Replicas share the questions.

    Answers go into the asker's inbox for this node and nowhere else: the server lets the intake answer wherever a
    question asks for it, and an answer under the subject of a stream would be stored there.
    """
    gate = asyncio.Semaphore(4)

    async def asked(message: Msg) -> None:
        asker = asked_by(message.subject)
        if not message.reply.startswith(f"{inbox_for(asker, own_domain)}."):
            counter("pilotmesh.ask.refused").add(1)
            return
        async with gate:
            try:
                answer = await run_in_threadpool(answering.answer, asker, message.data)
            except PyMongoError as error:
                answer = to_bytes({"error": f"the store does not answer ({type(error).__name__})", "busy": True})
        await message.respond(answer)
        counter("pilotmesh.ask.answered").add(1)

    subscription = await connection.subscribe(ask_subject(own_domain, "*"), queue="answering", cb=asked)
    try:
        await asyncio.Event().wait()
    finally:
        if connection.is_connected:
            await subscription.unsubscribe()
