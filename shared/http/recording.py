"""From a request to a committed fact, and back to an answer: the same steps for every kind of record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from fastapi import Request
from fastapi.responses import JSONResponse

from shared.access.actors import Actor
from shared.facts.fact import Fact, rfc3339
from shared.facts.ids import new_id
from shared.facts.names import MESH_AUDIENCE, PRIVATE_AUDIENCE, ledger_name
from shared.http.addresses import check_hosted
from shared.http.posted import Posted, command_of, etag
from shared.ledger.drafts import Author, Draft, Recorded
from shared.ledger.ledger import Gone, Ledger
from shared.ledger.owners import the_one
from shared.ledger.rows import WITHDRAWN, Row
from shared.ledger.store import Command
from shared.problems import Misdirected, NotFound, Stale


class SaidAside(Protocol):
    """A notice: something the poster should know although the post was accepted."""

    def as_json(self) -> dict[str, str]: ...


class Decided(Protocol):
    """What a service's rules answer to a command: one change of one aggregate."""

    @property
    def kind(self) -> str: ...
    @property
    def verb(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def agency(self) -> str: ...
    @property
    def state(self) -> Mapping[str, Any]: ...
    @property
    def audience(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def notices(self) -> Sequence[SaidAside]: ...


Claims = Callable[[str, str], Sequence[Row]]
"""The rows of every agency's record of a kind with an id."""


def ledger_of(request: Request) -> Ledger:
    ledger: Ledger = request.app.state.parts.ledger
    return ledger


def create(
    request: Request, caller: Actor, body: Posted, key: str | None, kind: str, decide: Callable[[str], Decided]
) -> JSONResponse:
    """A new record. `decide` gets the id it would have. A repeated request is answered as the first time."""
    ledger = ledger_of(request)
    check_hosted(ledger, caller)
    record_id = new_id()
    command = command_of(caller, f"POST {kind}", key, body.digest, record_id)
    earlier = ledger.earlier_answer(command)
    if earlier is not None:
        return told_fact(earlier.fact, status=201, headers={"Idempotency-Replayed": "true"})
    change = decide(record_id)
    recorded = commit(ledger, caller, change, command)
    headers = {"Location": f"{request.url.path.rstrip('/')}/{recorded.fact.header.subject.split('/', 1)[1]}"}
    if recorded.replayed:
        headers["Idempotency-Replayed"] = "true"
    return told_fact(recorded.fact, status=201, headers=headers, notices=change.notices)


def change_record(
    request: Request,
    caller: Actor,
    row: Row,
    expected: int | None,
    decide: Callable[[dict[str, Any], int], Decided],
    *,
    body: Posted | None = None,
    key: str | None = None,
) -> JSONResponse:
    """One more version of a record. `expected` is the version that the client read; None where none is asked for."""
    ledger = ledger_of(request)
    check_hosted(ledger, caller)
    command = None
    if body is not None:
        command = command_of(caller, f"{request.method} {request.url.path}", key, body.digest, row.id)
        earlier = ledger.earlier_answer(command)
        if earlier is not None:
            return told_fact(earlier.fact, headers={"Idempotency-Replayed": "true"})
    state, version, _ = ledger.current(row.key[0], row.kind, row.id)
    if expected is not None and expected != version:
        raise Stale(
            f"You read version {expected}; the record is at version {version}. Read it again and repeat the change.",
            current_version=version,
        )
    change = decide(state, version)
    return told_fact(commit(ledger, caller, change, command).fact, notices=change.notices)


def commit(ledger: Ledger, caller: Actor, change: Decided, command: Command | None) -> Recorded:
    if not ledger.hosts(change.agency):
        raise Misdirected.of(change.agency)
    return ledger.record(
        Draft(
            agency=change.agency,
            service=ledger.service,
            kind=change.kind,
            verb=change.verb,
            id=change.id,
            version=change.version,
            state=change.state,
            author=Author(caller.id, change.role, caller.office),
            audience=change.audience,
            command=command,
        )
    )


def may_see(caller: Actor, agency: str, audience: str) -> bool:
    """What the mesh shares, every actor reads; what is private, only the agency's own."""
    return audience == MESH_AUDIENCE or (caller.agency == agency and audience == PRIVATE_AUDIENCE)


def readable(
    request: Request, claims: Claims, caller: Actor, kind: str, record_id: str, agency: str | None = None
) -> Row:
    """The record of `agency`, or whose is meant (`the_one`), if this caller may see it. What may not be seen is not
    said to exist. Raises SeveralOwners where the caller must say whose."""
    seen = [row for row in claims(kind, record_id) if may_see(caller, row.key[0], audience_of(row))]
    row = the_one(seen, own=caller.agency, hosts=ledger_of(request).hosts, agency=agency)
    if row is None:
        raise NotFound(f"No {kind} {record_id} that you may see.")
    return row


def audience_of(row: Row) -> str:
    return ledger_name(row.shown.ledger).audience


def told_row(row: Row) -> dict[str, Any]:
    """A record as it is answered: its state and where it stands. Raises Gone if nothing of it is left to show."""
    shown = row.shown
    if shown.unfolded:
        return {**place_of(row), "unfolded": shown.unfolded}
    if not shown.is_live:
        why = "withdrawn" if shown.verb == WITHDRAWN else "redacted"
        raise Gone(f"This {row.kind} was {why} by {row.key[0]}.")
    return {**row.state, **place_of(row)}


def place_of(row: Row) -> dict[str, Any]:
    return {
        "id": row.id,
        "agency": row.key[0],
        "version": row.version,
        "audience": audience_of(row),
        "ledger_place": row.shown.place,
        "changed_at": rfc3339(row.shown.time),
    }


def told_fact(
    fact: Fact, *, status: int = 200, headers: Mapping[str, str] | None = None, notices: Sequence[SaidAside] = ()
) -> JSONResponse:
    """The record as a fact left it."""
    header = fact.header
    told: dict[str, Any] = {
        **(fact.state or {}),
        "id": header.subject.split("/", 1)[1],
        "agency": header.agency,
        "version": header.version,
        "audience": header.ledger.audience,
        "ledger_place": fact.place,
        "changed_at": rfc3339(header.time),
        "notices": [notice.as_json() for notice in notices],
    }
    return JSONResponse(told, status, headers={"ETag": etag(header.version), **(headers or {})})
