"""What can be wrong with a request, said so that a person can act on it.

The rules raise these; the HTTP edge turns them into `application/problem+json` (RFC 9457). They carry no
HTTP objects, so that a rule can be tested, or used from the command line, without a server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in one place.

    `field` is a path in the posted document (`needs[0].code`; empty for the whole), `code` a stable word
    for programs, `detail` a sentence that says what was found and what to do.
    """

    field: str
    code: str
    detail: str


class Problem(Exception):  # noqa: N818 - a refusal is not always an error of the program
    """A refusal. `status` is the HTTP status, `slug` names the kind of problem for programs."""

    status = 500
    slug = "internal"
    title = "Something went wrong"

    def __init__(self, detail: str, *, faults: Sequence[Fault] = (), **more: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = tuple(faults)
        self.more = more


class Invalid(Problem):
    """The document breaks one or more rules; every one of them is listed."""

    status, slug, title = 422, "invalid", "The request has faults"

    def __init__(self, faults: Sequence[Fault], detail: str = "", **more: object) -> None:
        listed = "; ".join(f"{fault.field or 'document'}: {fault.detail}" for fault in faults)
        super().__init__(detail or listed, faults=faults, **more)


class Unauthenticated(Problem):
    status, slug, title = 401, "unauthenticated", "No valid bearer token"


class Forbidden(Problem):
    status, slug, title = 403, "forbidden", "This actor may not do that"


class NotFound(Problem):
    status, slug, title = 404, "not-found", "No such record"


class Conflict(Problem):
    status, slug, title = 409, "conflict", "The record's state does not allow that"


class SeveralOwners(Problem):
    """An id that several agencies use, asked for without an owner. Never settled by guessing."""

    status, slug, title = 409, "several-owners", "Several agencies have a record with this id"
    claimants: Sequence[str] = ()

    @classmethod
    def of(cls, kind: str, record_id: str, agencies: Sequence[str]) -> SeveralOwners:
        """`claimants` are the agencies of which the one that is meant can be named."""
        named = sorted(agencies)
        problem = cls(
            f"{', '.join(named)} each have a {kind} {record_id}: say whose you mean, as ?agency={named[0]}.",
            claimants=named,
        )
        problem.claimants = named
        return problem


class Stale(Problem):
    status, slug, title = 412, "stale", "The record has changed since you read it"


class TooLarge(Problem):
    status, slug, title = 413, "too-large", "The request is larger than a fact may be"


class Misdirected(Problem):
    status, slug, title = 421, "misdirected", "Another node hosts this agency"

    @classmethod
    def of(cls, agency: str) -> Misdirected:
        """The HTTP edge adds the address of the node that hosts the agency, where the roster knows it."""
        return cls(f"This node does not host {agency}; send this to the node that does.", agency=agency)


class ReusedKey(Problem):
    status, slug, title = 422, "idempotency-key-reused", "This Idempotency-Key was used with another body"


class PreconditionRequired(Problem):
    status, slug, title = 428, "precondition-required", "Say which version you are changing"


class TooMany(Problem):
    status, slug, title = 429, "too-many", "Too many requests"


class Unavailable(Problem):
    status, slug, title = 503, "unavailable", "A part that this needs is not ready"
