"""Streams, subjects and headers that the services agree on."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from shared.facts.fact import Fact, Unreadable
from shared.facts.names import fact_subject, ledger_name
from shared.facts.verify import Head

STREAMS = {"FACTS": "facts.>", "PRIVATE": "private.>", "CIRCLES": "circle.>", "VERIFIED": "verified.>"}
"""FACTS, PRIVATE and CIRCLES hold what this node wrote; VERIFIED what the intake accepted from others."""

STREAM_OF = {subjects.removesuffix(".>"): stream for stream, subjects in STREAMS.items()}
"""Stream by the root of its subjects."""

NUDGE = "nudge"
"""Core subjects below this one say that there is news; they carry no state and may be lost."""

LEDGER, EPOCH, SEQUENCE, HASH = "Pilotmesh-Ledger", "Pilotmesh-Epoch", "Pilotmesh-Sequence", "Pilotmesh-Hash"
REACHED = "Pilotmesh-Reached"
"""On a fact that is published again, out of its turn: how far the stream held its ledger by then."""
TRACEPARENT = "traceparent"


def headers_of(fact: Fact) -> dict[str, str]:
    """No Nats-Msg-Id: for two minutes the server would acknowledge a fact again that was purged or deleted meanwhile,
    without storing it. Whoever reads goes by ledger and sequence."""
    header = fact.header
    headers = {
        LEDGER: str(header.ledger),
        EPOCH: str(header.epoch),
        SEQUENCE: str(header.sequence),
        HASH: fact.hash,
    }
    if fact.trace:
        headers[TRACEPARENT] = fact.trace
    return headers


def reached_header(position: tuple[int, int]) -> str:
    return f"{position[0]}:{position[1]}"


def reached_in(headers: Mapping[str, str] | None) -> tuple[int, int] | None:
    """How far the stream held the ledger when this was published again; None for what came in its turn."""
    epoch, _, sequence = (headers or {}).get(REACHED, "").partition(":")
    return (int(epoch), int(sequence)) if epoch.isdecimal() and sequence.isdecimal() else None


def stream_of(ledger: str) -> str:
    """The stream in which the node that writes the ledger publishes it."""
    return STREAM_OF[ledger_name(ledger).root.split(".", 1)[0]]


def agency_in(subject: str) -> str | None:
    """The agency that a fact's subject names; nothing is checked."""
    parts = subject.split(".")
    return parts[-4] if len(parts) > 4 else None


def circle_filter(ledger: str, stream: str) -> str:
    """The subjects that the facts of a circle's ledger have in VERIFIED or CIRCLES: kind and verb are left open."""
    name = ledger_name(ledger)
    assert name.circle is not None
    root = STREAMS[stream].removesuffix(".>")
    return f"{root}.{name.circle}.{name.agency}.{name.service}.*.*"


def ledger_in_filter(subject: str) -> str | None:
    """The ledger of a `circle_filter`; None for subjects of another kind."""
    parts = subject.split(".")
    if len(parts) != 6 or parts[4:] != ["*", "*"]:
        return None
    with suppress(ValueError):
        ledger = f"{parts[2]}.{parts[3]}.{parts[1]}"
        return ledger if ledger_name(ledger).circle else None
    return None


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
