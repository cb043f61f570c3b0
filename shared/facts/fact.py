"""The fact: two byte strings, a salt and a signature. Nobody re-serialises them.

`hash` = SHA-256(`pilotmesh.fact.v1\\0` || protected); `payload_digest` = SHA-256(salt || payload), so that a
payload can be forgotten while the chain still proves; `signature` = Ed25519 over `hash`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from shared.facts.names import SUBJECT, TYPE, LedgerName, ledger_name

DOMAIN = b"pilotmesh.fact.v1\0"
MAX_BYTES = 256 * 1024
"""Largest protected + payload of one fact, in bytes."""
SALT_BYTES = 32
GENESIS = ""
"""`previous` of the first fact of a ledger."""
LARGEST_NUMBER = 2**53 - 1
"""Largest epoch, sequence and version: beyond it JSON readers disagree (RFC 8259, section 6)."""

HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)

_REQUIRED: dict[str, type] = {
    "mesh": str,
    "ledger": str,
    "epoch": int,
    "sequence": int,
    "previous": str,
    "id": str,
    "type": str,
    "subject": str,
    "version": int,
    "time": str,
    "actor": str,
    "role": str,
    "keyid": str,
    "payload_digest": str,
}


class Unreadable(ValueError):  # noqa: N818 - says what the bytes are
    """These bytes are no fact: the sentence says which part was expected and what was found."""


@dataclass(frozen=True, slots=True)
class Rest:
    """A fact that this one rests on, by position and hash."""

    ledger: str
    epoch: int
    sequence: int
    hash: str

    def as_json(self) -> dict[str, Any]:
        return {"ledger": self.ledger, "epoch": self.epoch, "sequence": self.sequence, "hash": self.hash}


@dataclass(frozen=True, slots=True)
class Header:
    """The readable part of `protected`. Attributes that this version does not know stay in the bytes."""

    mesh: str
    ledger: LedgerName
    epoch: int
    sequence: int
    previous: str
    id: str
    kind: str
    verb: str
    type_version: int
    type: str
    subject: str
    version: int
    time: datetime
    actor: str
    role: str
    office: str | None
    keyid: str
    payload_digest: str
    rests_on: tuple[Rest, ...] = ()

    @property
    def agency(self) -> str:
        return self.ledger.agency

    @property
    def service(self) -> str:
        return self.ledger.service

    @property
    def position(self) -> tuple[int, int]:
        return (self.epoch, self.sequence)


def read_header(protected: bytes) -> Header:
    """Reads `protected`. Raises Unreadable.

    What two readers could understand differently is refused: names given twice, other encodings than UTF-8,
    texts that are no Unicode, numbers beyond 2^53.
    """
    try:
        raw = json.loads(protected.decode(), object_pairs_hook=_named_once, parse_constant=_no_number)
        json.dumps(raw, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"protected: expected JSON, found {protected[:40]!r} ({error})") from error
    if not isinstance(raw, dict):
        raise Unreadable(f"protected: expected an object, found {type(raw).__name__}")
    for name, kind in _REQUIRED.items():
        if not isinstance(raw.get(name), kind) or isinstance(raw.get(name), bool):
            raise Unreadable(f"protected.{name}: expected {kind.__name__}, found {raw.get(name)!r}")
    if not all(1 <= raw[name] <= LARGEST_NUMBER for name in ("epoch", "sequence", "version")):
        raise Unreadable("protected: epoch, sequence and version go from 1 to 2^53 - 1")
    if raw["previous"] != GENESIS and HEX_DIGEST.fullmatch(raw["previous"]) is None:
        raise Unreadable(f"protected.previous: expected 64 hex digits or nothing, found {raw['previous']!r}")
    if HEX_DIGEST.fullmatch(raw["payload_digest"]) is None:
        raise Unreadable(f"protected.payload_digest: expected 64 hex digits, found {raw['payload_digest']!r}")
    if not isinstance(raw.get("office"), str | None):
        raise Unreadable(f"protected.office: expected a text or null, found {raw['office']!r}")
    parts = TYPE.fullmatch(raw["type"])
    if parts is None:
        raise Unreadable(f"protected.type: expected org.pilotmesh.<kind>.<verb>.v<n>, found {raw['type']!r}")
    if SUBJECT.fullmatch(raw["subject"]) is None:
        raise Unreadable(f"protected.subject: expected <kind>/<id>, found {raw['subject']!r}")
    try:
        ledger = ledger_name(raw["ledger"])
        if RFC3339.fullmatch(raw["time"]) is None:
            raise ValueError(f"time: expected RFC 3339 with an offset, found {raw['time']!r}")
        time = datetime.fromisoformat(raw["time"]).astimezone(UTC)
        rests_on = tuple(_rest(one) for one in raw.get("rests_on") or ())
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise Unreadable(f"protected: {error}") from error
    return Header(
        mesh=raw["mesh"],
        ledger=ledger,
        epoch=raw["epoch"],
        sequence=raw["sequence"],
        previous=raw["previous"],
        id=raw["id"],
        kind=parts[1],
        verb=parts[2],
        type_version=int(parts[3]),
        type=raw["type"],
        subject=raw["subject"],
        version=raw["version"],
        time=time,
        actor=raw["actor"],
        role=raw["role"],
        office=raw.get("office"),
        keyid=raw["keyid"],
        payload_digest=raw["payload_digest"],
        rests_on=rests_on,
    )


def _named_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return read


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no JSON number")


def _rest(raw: dict[str, Any]) -> Rest:
    rest = Rest(raw["ledger"], raw["epoch"], raw["sequence"], raw["hash"])
    ledger_name(rest.ledger)
    for number in (rest.epoch, rest.sequence):
        if type(number) is not int or not 1 <= number <= LARGEST_NUMBER:
            raise ValueError(f"rests_on: {number!r} is no epoch or sequence")
    if HEX_DIGEST.fullmatch(rest.hash) is None:
        raise ValueError(f"rests_on: {rest.hash!r} is no hash")
    return rest


@dataclass(frozen=True)
class Fact:
    """A fact as it was signed. `payload` and `salt` are None once it was redacted."""

    protected: bytes
    payload: bytes | None
    salt: bytes | None
    signature: bytes
    trace: str | None = None
    """W3C traceparent of the request that caused it; carried beside the fact, never signed."""

    @cached_property
    def header(self) -> Header:
        return read_header(self.protected)

    @cached_property
    def hash(self) -> str:
        return fact_hash(self.protected)

    @cached_property
    def state(self) -> dict[str, Any] | None:
        """The aggregate's whole state after the change; None if the payload was redacted. Raises Unreadable."""
        return None if self.payload is None else read_state(self.payload)

    @property
    def place(self) -> str:
        """`<ledger>:<epoch>:<sequence>`: the fact's name everywhere outside."""
        return f"{self.header.ledger}:{self.header.epoch}:{self.header.sequence}"


def read_state(payload: bytes) -> dict[str, Any]:
    """The state in a payload: one JSON object in UTF-8. Raises Unreadable."""
    try:
        state = json.loads(payload.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"payload: expected JSON ({error})") from error
    if not isinstance(state, dict):
        raise Unreadable(f"payload: expected an object, found {type(state).__name__}")
    return state


def fact_hash(protected: bytes) -> str:
    return hashlib.sha256(DOMAIN + protected).hexdigest()


def payload_digest(salt: bytes, payload: bytes) -> str:
    return hashlib.sha256(salt + payload).hexdigest()


def to_bytes(document: object) -> bytes:
    """JSON as this writer writes it: compact, UTF-8, sorted keys. Readers never depend on it.

    Raises ValueError for what JSON cannot say: NaN, infinity, half a surrogate pair.
    """
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()


def rfc3339(time: datetime) -> str:
    """UTC with microseconds and a Z, so that strings sort like times."""
    if time.tzinfo is None:
        raise ValueError("a time without an offset")
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def to_wire(fact: Fact) -> bytes:
    """The fact as one NATS message: the two byte strings as text, salt and signature in base64."""
    return to_bytes(
        {
            "protected": fact.protected.decode(),
            "payload": None if fact.payload is None else fact.payload.decode(),
            "salt": None if fact.salt is None else base64.b64encode(fact.salt).decode(),
            "signature": base64.b64encode(fact.signature).decode(),
        }
    )


def from_wire(message: bytes, trace: str | None = None) -> Fact:
    """Reads a NATS message. Raises Unreadable."""
    try:
        raw = json.loads(message)
        fact = Fact(
            protected=raw["protected"].encode(),
            payload=None if raw["payload"] is None else raw["payload"].encode(),
            salt=None if raw["salt"] is None else base64.b64decode(raw["salt"], validate=True),
            signature=base64.b64decode(raw["signature"], validate=True),
            trace=trace,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable(f"message: expected protected, payload, salt and signature ({error})") from error
    _ = fact.header  # an unreadable header is found here, not later
    return fact
