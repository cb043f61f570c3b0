"""From a request to a committed fact, and the record as it is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import Request

from services.matching import documents
from services.matching.domain import Change
from services.matching.following import Following
from services.matching.memory import STALE_AFTER, Memory
from shared.access.actors import Actor, require
from shared.facts.fact import Fact
from shared.ledger.drafts import Author, Draft
from shared.ledger.ledger import Gone, Ledger
from shared.ledger.owners import the_one
from shared.ledger.rows import Row
from shared.ledger.store import Command
from shared.problems import Misdirected, NotFound, Stale

ATTEMPTS = 5


def ledger_of(request: Request) -> Ledger:
    ledger: Ledger = request.app.state.parts.ledger
    return ledger


def memory_of(request: Request, *, exact: bool = False) -> Memory:
    """`exact`: with everything that was committed before, also where another process follows."""
    memory: Memory = request.app.state.memory
    return memory.fresh(0.0 if exact else STALE_AFTER)


def following_of(request: Request) -> Following:
    following: Following = request.app.state.following
    return following


def author_for(ledger: Ledger, caller: Actor, agency: str, roles: tuple[str, ...]) -> Author:
    """The author of a fact in the agency's name. Raises Forbidden, or Misdirected where another node hosts it."""
    author = require(caller, agency, *roles)
    if not ledger.hosts(agency):
        raise Misdirected.of(agency)
    return author


def commit(
    ledger: Ledger, author: Author, decide: Callable[[], Change], command: Command | None = None
) -> tuple[Fact, bool]:
    """Commits what `decide` answers. Where a reaction came in between, it is asked again: the client named no
    version, so it is not the client's business. Raises what `decide` raises, and Stale only after several tries."""
    for attempt in range(ATTEMPTS):
        change = decide()
        try:
            recorded = ledger.record(_draft(change, author, command))
        except Stale:
            if attempt == ATTEMPTS - 1:
                raise
            continue
        return recorded.fact, recorded.replayed
    raise AssertionError("unreachable")


def _draft(change: Change, author: Author, command: Command | None) -> Draft:
    return Draft(
        agency=change.agency,
        service="matching",
        kind=change.kind,
        verb=change.verb,
        id=change.id,
        version=change.version,
        state=change.state,
        author=author,
        audience=change.audience,
        rests_on=change.rests_on,
        command=command,
    )


def readable(request: Request, caller: Actor, kind: str, record_id: str, agency: str | None = None) -> Row:
    """The record of `agency`, or whose is meant (`the_one`), if this caller may see it. What may not be seen is not
    said to exist. Raises SeveralOwners where the caller must say whose."""
    seen = [row for row in documents.claims_to(kind, record_id) if may_read(caller, row)]
    row = the_one(seen, own=caller.agency, hosts=ledger_of(request).hosts, agency=agency)
    if row is None:
        raise NotFound(f"No {kind} {record_id} that you may see.")
    if not row.is_live:
        raise Gone(f"What {row.key[0]} said in this {kind} was withdrawn, or cannot be read here.")
    return row


def may_read(caller: Actor, row: Row) -> bool:
    """What the mesh shares every actor reads, what is private the agency's own, a circle's the agencies in it."""
    parts = row.shown.ledger.split(".")
    if len(parts) == 2 or caller.agency == row.key[0]:
        return True
    return parts[2] != "private" and caller.agency in (row.state.get("agencies") or ())


def newest_version(ledger: Ledger, agency: str, kind: str, record_id: str) -> int:
    newest = ledger.newest(agency, kind, record_id)
    return 0 if newest is None else newest.header.version


def proposal_now(ledger: Ledger, row: Row) -> tuple[dict[str, Any], int]:
    """The proposal as this node's store has it, which may be newer than the row."""
    state, version, _ = ledger.current(row.key[0], "proposal", row.id)
    return state, version
