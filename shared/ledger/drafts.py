"""What a service hands to its ledger: a change, decided but not yet in its place in the chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.facts.fact import LARGEST_NUMBER, MAX_BYTES, Fact, Rest, to_bytes
from shared.facts.names import SUBJECT, TYPE, fact_type, ledger_name
from shared.facts.verify import no_right
from shared.ledger.store import Command
from shared.problems import TooLarge

HEADER_BYTES = 4096
"""Room for `protected` beside the payload, without what it rests on."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who says it: an opaque actor id, the role it acted in, the office it sits in."""

    actor: str
    role: str
    office: str | None = None


SYSTEM = Author("system", "system")
"""The author of reactions: nobody decided them, they follow from another fact."""


@dataclass(frozen=True, slots=True)
class Draft:
    """One change of one aggregate. `version` is the one it makes: 1 for a new aggregate.

    `audience` is "mesh", "private" or a circle's UUID; `state` is the aggregate's whole state afterwards.
    `command` makes a repetition of the same command harmless; a reaction derives its key from its cause.
    """

    agency: str
    service: str
    kind: str
    verb: str
    id: str
    version: int
    state: Mapping[str, Any]
    author: Author
    audience: str = "mesh"
    rests_on: tuple[Rest, ...] = ()
    command: Command | None = None
    trace: str | None = None
    subject_kind: str | None = None
    """Kind of the aggregate, where it differs from the fact's (a redaction is a `fact` about its ledger)."""

    @property
    def ledger(self) -> str:
        base = f"{self.agency}.{self.service}"
        return base if self.audience == "mesh" else f"{base}.{self.audience}"

    @property
    def subject(self) -> str:
        return f"{self.subject_kind or self.kind}/{self.id}"

    @property
    def aggregate(self) -> tuple[str, str, str]:
        return (self.agency, self.service, self.subject)


@dataclass(frozen=True, slots=True)
class Recorded:
    """The fact that stands for a draft. `replayed` says that an earlier, equal command had written it."""

    fact: Fact
    replayed: bool = False
    answer: str | None = None


def payload_of(draft: Draft) -> bytes:
    """The bytes to be signed. Raises TooLarge; ValueError if no node would take such a fact."""
    ledger = ledger_name(draft.ledger)
    if not TYPE.fullmatch(fact_type(draft.kind, draft.verb)) or not SUBJECT.fullmatch(draft.subject):
        raise ValueError(f"no fact can be named {draft.kind}.{draft.verb} about {draft.subject}")
    if not 1 <= draft.version <= LARGEST_NUMBER:
        raise ValueError(f"{draft.subject}: version {draft.version} is none")
    wrong = no_right(ledger, draft.kind, draft.subject, draft.state)
    if wrong is not None:
        raise ValueError(f"{draft.ledger}: {wrong[1]}")
    payload = to_bytes(draft.state)
    most = most_bytes(draft.rests_on)
    if len(payload) > most:
        raise TooLarge(
            f"This record takes {len(payload)} bytes; a fact holds {most}. "
            "Put long texts into a document and refer to it by digest."
        )
    return payload


def most_bytes(rests_on: Sequence[Rest] = ()) -> int:
    """Of payload in one fact; a larger one is refused by every node."""
    return MAX_BYTES - HEADER_BYTES - len(to_bytes([rest.as_json() for rest in rests_on]))
