"""Chains of signed facts for tests: fixed keys and salts, so that a failure reads the same twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from shared.facts.fact import Fact, fact_hash, to_bytes
from shared.facts.keys import KeyBook, KeyRange, SigningKey, Unsigned, seal
from shared.facts.names import fact_type
from shared.facts.verify import Head

MESH = "0198c0de-0000-7000-8000-000000000001"
PILOT = "0198c0de-0000-7000-8000-0000000000aa"


def key_of(name: str) -> SigningKey:
    """The same key for the same name."""
    return SigningKey.from_bytes(hashlib.sha256(name.encode()).digest())


def book_of(*agencies: str) -> KeyBook:
    """Every agency's key from its first fact on, and its recovery key."""
    ranges = [KeyRange(agency, key_of(agency).keyid, key_of(agency).public) for agency in agencies]
    return KeyBook(ranges, {agency: key_of(f"{agency} recovery").public for agency in agencies})


@dataclass
class Chain:
    """Writes one ledger, fact by fact."""

    ledger: str = "wfp.registry"
    key: SigningKey = field(default_factory=lambda: key_of("wfp"))
    mesh: str = MESH
    facts: list[Fact] = field(default_factory=list)
    head: Head = field(default_factory=Head)

    def add(
        self,
        state: Mapping[str, Any] | bytes | None = None,
        *,
        kind: str = "pilot",
        verb: str = "registered",
        subject: str | None = None,
        version: int = 1,
        type_version: int = 1,
        epoch: int | None = None,
        key: SigningKey | None = None,
        **more: Any,
    ) -> Fact:
        reopens = epoch is not None and epoch != self.head.epoch
        sequence = 1 if reopens else self.head.sequence + 1
        payload = state if isinstance(state, bytes) else to_bytes(dict(state or {"lead_agency": "wfp"}))
        unsigned = Unsigned(
            mesh=self.mesh,
            ledger=self.ledger,
            id=f"0198c0de-0000-7000-8000-{sequence:012d}",
            type=fact_type(kind, verb, type_version),
            subject=subject or f"{kind}/{PILOT}",
            version=version,
            time="2026-03-01T09:00:00.000000Z",
            actor="0198c0de-0000-7000-8000-0000000000ac",
            role="officer",
            office=None,
            payload=payload,
        )
        fact = seal(
            replace(unsigned, **more),
            epoch=epoch or self.head.epoch,
            sequence=sequence,
            previous=self.head.hash,
            salt=hashlib.sha256(f"{self.ledger} {sequence}".encode()).digest(),
            key=key or self.key,
        )
        self.facts.append(fact)
        self.head = Head(fact.header.epoch, sequence, fact.hash)
        return fact


def resigned(fact: Fact, key: SigningKey, **changes: Any) -> Fact:
    """The fact with other attributes in `protected`, properly signed: what a dishonest writer can make."""
    protected = to_bytes({**json.loads(fact.protected), "keyid": key.keyid, **changes})
    return Fact(protected, fact.payload, fact.salt, key.sign(fact_hash(protected)))
