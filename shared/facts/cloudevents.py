"""CloudEvents 1.0: how a fact looks to whoever stands outside the mesh (streams, webhooks, AsyncAPI).

A fact keeps its two byte strings; this is a view of them, made anew each time. `data` is the payload exactly as it
was signed, and is missing once the payload was redacted. Who may see an event is decided by whoever shows it: the
audience is the ledger's.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from shared.facts.fact import Fact, rfc3339, to_bytes

SPECVERSION = "1.0"
MEDIA_TYPE = "application/cloudevents+json"
"""Media type of one event in structured mode (CloudEvents 1.0.2, JSON event format, section 3)."""


def source_of(mesh: str, agency: str, service: str) -> str:
    """`urn:pilotmesh:<mesh>:<agency>:<service>`: with `id` it names an event in the whole world."""
    return f"urn:pilotmesh:{mesh}:{agency}:{service}"


def event_type(kind: str, verb: str, version: int = 1) -> str:
    """The type of an event that is no fact (a digest, a test), named as facts are."""
    return f"org.pilotmesh.{kind}.{verb}.v{version}"


def attributes_of(fact: Fact) -> dict[str, Any]:
    """Context attributes. Extensions: `traceparent` (CloudEvents distributed tracing), `facthash` (what a response
    or a proof refers to) and `factversion` (which change of the aggregate this is, from 1)."""
    header = fact.header
    attributes: dict[str, Any] = {
        "specversion": SPECVERSION,
        "id": fact.place,
        "source": source_of(header.mesh, header.agency, header.service),
        "type": header.type,
        "subject": header.subject,
        "time": rfc3339(header.time),
        "facthash": fact.hash,
        "factversion": header.version,
    }
    if fact.trace is not None:
        attributes["traceparent"] = fact.trace
    return attributes


def cloud_event_bytes(fact: Fact, *, redacted: bool = False) -> bytes:
    """The event as UTF-8 JSON on one line, in structured mode.

    With `redacted`, or once the payload is gone, there is no `data` and the extension `redacted` is true. A payload
    that is no JSON object is left out and `unreadable` is true.
    """
    attributes = attributes_of(fact)
    if redacted or fact.payload is None:
        return to_bytes({**attributes, "redacted": True})
    data = _one_line(fact.payload)
    if data is None:
        return to_bytes({**attributes, "unreadable": True})
    attributes["datacontenttype"] = "application/json"
    return to_bytes(attributes)[:-1] + b',"data":' + data + b"}"


def cloud_event(fact: Fact, *, redacted: bool = False) -> dict[str, Any]:
    """The same as a plain value."""
    event: dict[str, Any] = json.loads(cloud_event_bytes(fact, redacted=redacted))
    return event


def _one_line(payload: bytes) -> bytes | None:
    """The payload's own bytes where they are one line of JSON; None where they are no JSON object."""
    try:
        state = json.loads(payload.decode(), parse_constant=_refuse)
    except ValueError:
        return None
    if not isinstance(state, dict):
        return None
    return to_bytes(state) if b"\n" in payload or b"\r" in payload else payload


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")
