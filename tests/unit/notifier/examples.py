"""Facts and entries for tests, made as the ledger makes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from services.notifier.domain.entries import About, Entry, NewEntry
from shared.facts.fact import GENESIS, SALT_BYTES, Fact, rfc3339, to_bytes
from shared.facts.keys import SigningKey, Unsigned, seal

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MESH = "0198c0de-0000-7000-8000-00000000aaaa"
CIRCLE = "0198c0de-0000-7000-8000-00000000c1c1"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
KEY = SigningKey.make()


def fact(
    kind: str = "pilot",
    verb: str = "registered",
    state: Mapping[str, Any] | None = None,
    *,
    ledger: str = "wfp.registry",
    subject: str | None = None,
    sequence: int = 1,
    version: int = 1,
    time: datetime = NOW,
    payload: bytes | None = None,
    trace: str | None = None,
) -> Fact:
    unsigned = Unsigned(
        mesh=MESH,
        ledger=ledger,
        id="0198c0de-0000-7000-8000-00000000f000",
        type=f"org.pilotmesh.{kind}.{verb}.v1",
        subject=subject or f"{kind}/0198c0de-0000-7000-8000-0000000000{sequence:02x}",
        version=version,
        time=rfc3339(time),
        actor="0198c0de-0000-7000-8000-0000000000ac",
        role="officer",
        office=None,
        payload=to_bytes(dict(state or {})) if payload is None else payload,
        trace=trace,
    )
    previous = GENESIS if sequence == 1 else "00" * 32
    return seal(unsigned, epoch=1, sequence=sequence, previous=previous, salt=bytes(SALT_BYTES), key=KEY)


def entry(
    position: int = 1,
    about: About | None = None,
    *,
    agency: str = "wfp",
    audience: str = "mesh",
    at: datetime = NOW,
    time: datetime = NOW,
    planned: bool = True,
) -> Entry:
    new = NewEntry(
        event=f"{agency}.registry:1:{position}",
        hash="00" * 32,
        ledger=f"{agency}.registry",
        agency=agency,
        audience=audience,
        type="org.pilotmesh.pilot.registered.v1",
        subject=f"pilot/{position}",
        time=time,
        about=about or About(("pilot",), ("ZMB",), ("2",), (agency,)),
        planned=planned,
    )
    return Entry(position, at, new)
