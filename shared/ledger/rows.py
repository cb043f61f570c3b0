"""State rows: the newest state of each aggregate, as far as the facts that this node holds tell it.

A row keeps one *track* per ledger that spoke of the aggregate, because a record may be narrowed (written to a
private ledger and withdrawn from the mesh-wide one) or widened again. Each track yields only to a later place in
its own ledger, and the row shows the live track of the highest version: so folds commute across ledgers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from shared.facts.fact import Fact
from shared.facts.verify import REDACTED

WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Track:
    """What one ledger says of an aggregate. `state` is the payload as signed; None once redacted."""

    ledger: str
    epoch: int
    sequence: int
    version: int
    hash: str
    verb: str
    time: datetime
    state: bytes | None
    unfolded: str | None = None
    """Why this node cannot read the state (a newer type, a broken payload); shown, and healed later."""

    @property
    def position(self) -> tuple[int, int]:
        return (self.epoch, self.sequence)

    @property
    def is_live(self) -> bool:
        return self.verb != WITHDRAWN and self.state is not None and self.unfolded is None

    @property
    def place(self) -> str:
        return f"{self.ledger}:{self.epoch}:{self.sequence}"


Key = tuple[str, str, str]
"""(agency, service, aggregate): what an aggregate belongs to, for ever."""


@dataclass(frozen=True)
class Row:
    """One aggregate. Frozen: a fold answers a new one."""

    key: Key
    tracks: tuple[Track, ...]
    revision: int = 0
    """How often the stored row was written; guards against two writers at once."""

    @property
    def id(self) -> str:
        return self.key[2].split("/", 1)[1]

    @property
    def kind(self) -> str:
        return self.key[2].split("/", 1)[0]

    @cached_property
    def shown(self) -> Track:
        """The live track of the highest version; if none lives, the newest track."""
        live = [track for track in self.tracks if track.is_live]
        return max(live or self.tracks, key=lambda track: (track.version, track.ledger))

    @property
    def is_live(self) -> bool:
        return self.shown.is_live

    @cached_property
    def state(self) -> dict[str, Any]:
        """The shown state; empty if nothing is left of it."""
        track = self.shown
        if track.state is None or track.unfolded:
            return {}
        return dict(json.loads(track.state))

    @property
    def version(self) -> int:
        return max(track.version for track in self.tracks)

    def digest(self) -> str:
        """The same for equal rows, whatever order the facts came in."""
        told = hashlib.sha256(repr(self.key).encode())
        for track in sorted(self.tracks, key=lambda track: track.ledger):
            told.update(repr((track.ledger, track.epoch, track.sequence, track.version, track.hash)).encode())
            told.update(track.verb.encode() + b"\0" + (track.state or b"-") + (track.unfolded or "").encode())
        return told.hexdigest()


def key_of(fact: Fact) -> Key:
    header = fact.header
    return (header.agency, header.service, header.subject)


def fold_fact(row: Row | None, fact: Fact, *, readable: int = 1) -> Row | None:
    """The row after `fact`; the same object if the fact is not news to it.

    `readable` is the newest type version this node reads: a newer one is kept, marked unfolded.
    """
    header = fact.header
    unfolded = None
    if header.type_version > readable:
        unfolded = f"newer than this node: {header.type}"
    elif fact.payload is not None:
        try:
            assert fact.state is not None
        except ValueError as error:
            unfolded = f"payload cannot be read: {error}"
    track = Track(
        ledger=str(header.ledger),
        epoch=header.epoch,
        sequence=header.sequence,
        version=header.version,
        hash=fact.hash,
        verb=header.verb,
        time=header.time,
        state=fact.payload,
        unfolded=unfolded,
    )
    if row is None:
        return Row(key_of(fact), (track,))
    held = next((t for t in row.tracks if t.ledger == track.ledger), None)
    if held is not None and held.position >= track.position:
        return row
    others = tuple(t for t in row.tracks if t.ledger != track.ledger)
    return replace(row, tracks=tuple(sorted((*others, track), key=lambda t: t.ledger)))


def forget_fact(row: Row | None, ledger: str, epoch: int, sequence: int) -> Row | None:
    """The row after a redaction of the fact it stands on; the same object if it stands on another."""
    if row is None:
        return None
    for track in row.tracks:
        if (track.ledger, track.epoch, track.sequence) == (ledger, epoch, sequence) and track.state is not None:
            others = tuple(t for t in row.tracks if t is not track)
            forgotten = replace(track, state=None, unfolded=None)
            return replace(row, tracks=tuple(sorted((*others, forgotten), key=lambda t: t.ledger)))
    return row


@dataclass(frozen=True, slots=True)
class Redaction:
    """One fact that a `fact.redacted` names, with the aggregate it was about."""

    key: Key
    ledger: str
    epoch: int
    sequence: int
    reason: str


def redactions_in(fact: Fact) -> list[Redaction]:
    """What a redaction fact names. Only facts of its own ledger: nobody forgets for another."""
    if fact.header.type != REDACTED or fact.payload is None:
        return []
    state = fact.state or {}
    ledger = str(fact.header.ledger)
    named = []
    for one in state.get("facts", ()):
        key = (fact.header.agency, fact.header.service, str(one["subject"]))
        named.append(Redaction(key, ledger, int(one["epoch"]), int(one["sequence"]), str(state.get("reason", ""))))
    return named


def fold_all(rows: Mapping[Key, Row], facts: Iterable[Fact], kinds: frozenset[str]) -> dict[Key, Row]:
    """The rows that change when `facts` are folded into `rows`. Pure."""
    changed: dict[Key, Row] = {}

    def held(key: Key) -> Row | None:
        return changed.get(key) or rows.get(key)

    for fact in facts:
        for redaction in redactions_in(fact):
            before = held(redaction.key)
            after = forget_fact(before, redaction.ledger, redaction.epoch, redaction.sequence)
            if after is not None and after is not before:
                changed[redaction.key] = after
        if fact.header.kind in kinds:
            key = key_of(fact)
            before = held(key)
            folded = fold_fact(before, fact)
            if folded is not None and folded is not before:
                changed[key] = folded
    return changed


def keys_touched(facts: Sequence[Fact], kinds: frozenset[str]) -> set[Key]:
    touched = {key_of(fact) for fact in facts if fact.header.kind in kinds}
    for fact in facts:
        touched.update(redaction.key for redaction in redactions_in(fact))
    return touched


def digest_of_rows(rows: Iterable[Row]) -> str:
    """One digest of all rows: equal on nodes that folded the same facts."""
    told = hashlib.sha256()
    for digest in sorted(row.digest() for row in rows):
        told.update(digest.encode())
    return told.hexdigest()
