"""Streams, subjects and headers that the services agree on."""

from __future__ import annotations

from shared.facts.fact import Fact, Unreadable
from shared.facts.names import fact_subject, ledger_name
from shared.facts.verify import Head

STREAMS = {"FACTS": "facts.>", "PRIVATE": "private.>", "CIRCLES": "circle.>", "VERIFIED": "verified.>"}
"""FACTS, PRIVATE and CIRCLES hold what this node wrote; VERIFIED what the intake accepted from others."""

NUDGE = "nudge"
"""Core subjects below this one say that there is news; they carry no state and may be lost."""

LEDGER, EPOCH, SEQUENCE, HASH = "Pilotmesh-Ledger", "Pilotmesh-Epoch", "Pilotmesh-Sequence", "Pilotmesh-Hash"
TRACEPARENT = "traceparent"


def headers_of(fact: Fact) -> dict[str, str]:
    header = fact.header
    headers = {
        "Nats-Msg-Id": fact.place,  # a convenience within two minutes; followers rely on ledger and sequence
        LEDGER: str(header.ledger),
        EPOCH: str(header.epoch),
        SEQUENCE: str(header.sequence),
        HASH: fact.hash,
    }
    if fact.trace:
        headers[TRACEPARENT] = fact.trace
    return headers


def subject_of(fact: Fact, *, foreign: bool = False) -> str:
    header = fact.header
    subject = fact_subject(header.ledger, header.kind, header.verb)
    return "verified." + subject.split(".", 1)[1] if foreign else subject


def place_in(subject: str, headers: dict[str, str] | None) -> tuple[str, Head]:
    """Which ledger and place a message names. Raises Unreadable."""
    told = headers or {}
    try:
        ledger = ledger_name(told[LEDGER])
        head = Head(int(told[EPOCH]), int(told[SEQUENCE]), told[HASH])
    except KeyError as error:
        raise Unreadable(f"{subject}: no header {error}") from error
    except ValueError as error:
        raise Unreadable(f"{subject}: {error}") from error
    tail = ledger.root.split(".", 1)[1]
    root, _, rest = subject.partition(".")
    expected = ledger.root.split(".", 1)[0]
    if root not in (expected, "verified") or not rest.startswith(tail + "."):
        raise Unreadable(f"{subject}: the headers name ledger {ledger}, which is published under {ledger.root}")
    return str(ledger), head
