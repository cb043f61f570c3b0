"""A restored disk: before its first command, a service compares its ledgers with the node's streams.

If the streams hold facts of its own that the store lacks, the store was put back to an earlier state. The facts are
checked like any other and taken back, so that a sequence is never given twice.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from starlette.concurrency import run_in_threadpool

from shared.bus.subjects import HASH, LEDGER, SEQUENCE, place_in
from shared.facts.fact import from_wire
from shared.facts.names import ledger_name
from shared.facts.verify import Head, Trouble, check
from shared.ledger.identity import Identity, Roster
from shared.ledger.store import LedgerStore

log = logging.getLogger(__name__)

STREAM_OF = {"facts": "FACTS", "private": "PRIVATE", "circle": "CIRCLES"}


async def take_back_own_facts(
    js: JetStreamContext, store: LedgerStore, identity: Identity, roster: Roster, service: str, agencies: list[str]
) -> int:
    """Returns how many facts were taken back. Raises Trouble if the streams contradict the store."""
    taken = 0
    for ledger in await run_in_threadpool(_ledgers, store, service, agencies):
        stream = STREAM_OF[ledger_name(ledger).root.split(".", 1)[0]]
        subject = ledger_name(ledger).root + ".>"
        try:
            last = await js.get_last_msg(stream, subject, direct=True)
        except NotFoundError:
            continue
        _, ahead = place_in(last.subject or "", last.headers)
        here = await run_in_threadpool(store.head, ledger)
        if ahead.position > here.position:
            log.warning("%s: the streams are ahead of the store (%s > %s); taking back", ledger, ahead, here)
            taken += await _take_back(js, store, identity, roster, ledger, stream, subject, here)
    return taken


def _ledgers(store: LedgerStore, service: str, agencies: list[str]) -> list[str]:
    known = set(store.ledgers())
    usual: Iterator[str] = (f"{agency}.{service}{tail}" for agency in agencies for tail in ("", ".private"))
    circles = {ledger for ledger in known if ledger_name(ledger).service == service and ledger_name(ledger).circle}
    return sorted(set(usual) | {ledger for ledger in circles if ledger_name(ledger).agency in agencies})


async def _take_back(
    js: JetStreamContext,
    store: LedgerStore,
    identity: Identity,
    roster: Roster,
    ledger: str,
    stream: str,
    subject: str,
    head: Head,
) -> int:
    book = await run_in_threadpool(roster.book)
    taken, position = 0, 1
    while True:
        try:
            message = await js.get_msg(stream, seq=position, subject=subject, direct=True, next=True)
        except NotFoundError:
            return taken
        position = (message.seq or position) + 1
        headers = message.headers or {}
        if headers.get(LEDGER) != ledger or int(headers.get(SEQUENCE, "0")) <= head.sequence:
            continue
        fact = from_wire(message.data or b"")
        try:
            head = check(fact, mesh=identity.mesh, head=head, book=book)
        except Trouble as trouble:
            log.error("%s: a fact in the stream cannot be taken back: %s (%s)", ledger, trouble, headers.get(HASH))
            raise
        await run_in_threadpool(store.insert, [fact], [None], own=True)
        taken += 1
