"""State rows: the newest state of each aggregate, as far as the facts that this node holds tell it.

A row keeps one *track* per ledger that spoke of the aggregate, because a record may be narrowed (written to a
private ledger and withdrawn from the mesh-wide one) or widened again. Each track yields only to a later place in
its own ledger, and the row shows the track that holds the newest full state: so folds commute across ledgers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from shared.facts.fact import LARGEST_NUMBER, Fact, Unreadable, read_state
from shared.facts.verify import REDACTED

WITHDRAWN = "withdrawn"
FORMAT = 2
"""Grows when rows keep something else than before: every service then folds its rows again at its start."""


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
    full: int = 0
    """The newest version of which this ledger held the full state; 0 if it only ever withdrew."""

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
    """Changes whenever the stored row is written; guards against two writers at once. 0 before the first time."""
    unreadable: str | None = None
    """Why this service cannot make a row of the shown state, although it is JSON; such a row is not live."""

    @property
    def id(self) -> str:
        return self.key[2].split("/", 1)[1]

    @property
    def kind(self) -> str:
        return self.key[2].split("/", 1)[0]

    @cached_property
    def shown(self) -> Track:
        """The track that holds the newest full state; if its ledger has withdrawn that, the newest track.

        An older state in another ledger is never shown in its place: it was overtaken when the record moved.
        """
        newest = max(self.tracks, key=lambda track: (track.full, track.ledger))
        if newest.verb != WITHDRAWN:
            return newest
        return max(self.tracks, key=lambda track: (track.version, track.ledger))

    @property
    def is_live(self) -> bool:
        return self.shown.is_live and self.unreadable is None

    @cached_property
    def state(self) -> dict[str, Any]:
        """The shown state; empty if nothing is left of it. An id in it is the record's own, whatever was written."""
        track = self.shown
        if track.state is None or track.unfolded:
            return {}
        state = read_state(track.state)
        return {**state, "id": self.id} if "id" in state else state

    @property
    def version(self) -> int:
        return max(track.version for track in self.tracks)

    def digest(self) -> str:
        """The same for equal rows, whatever order the facts came in."""
        told = hashlib.sha256(repr(self.key).encode())
        for track in sorted(self.tracks, key=lambda track: track.ledger):
            place = (track.ledger, track.epoch, track.sequence, track.version, track.hash, track.full)
            told.update(repr(place).encode())
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
    if fact.payload is not None and header.type_version > readable:
        unfolded = f"newer than this node: {header.type}"
    elif fact.payload is not None:
        try:
            read_state(fact.payload)
        except Unreadable as error:
            unfolded = str(error)
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
        full=0 if header.verb == WITHDRAWN else header.version,
    )
    if row is None:
        return Row(key_of(fact), (track,))
    held = next((t for t in row.tracks if t.ledger == track.ledger), None)
    if held is None:
        return with_track(row, track)
    newest = held if held.position >= track.position else track
    kept = replace(newest, full=max(held.full, track.full))
    return row if kept == held else with_track(row, kept)


def with_track(row: Row, track: Track) -> Row:
    """The row with `track` for its ledger in the place of the one before."""
    others = (t for t in row.tracks if t.ledger != track.ledger)
    return replace(row, tracks=tuple(sorted((*others, track), key=lambda t: t.ledger)), unreadable=None)


def forget_fact(row: Row | None, ledger: str, epoch: int, sequence: int) -> Row | None:
    """The row after a redaction of the fact it stands on; the same object if it stands on another."""
    if row is None:
        return None
    for track in row.tracks:
        if (track.ledger, track.epoch, track.sequence) == (ledger, epoch, sequence) and track.state is not None:
            return with_track(row, replace(track, state=None, unfolded=None))
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
    """What a redaction fact names: earlier facts of its own ledger, because nobody forgets for another.

    Whatever else it names is passed over, also in the redactions of other nodes.
    """
    header = fact.header
    if header.type != REDACTED:
        return []
    try:
        state = fact.state or {}
    except Unreadable:
        return []
    listed = state.get("facts")
    named = []
    for one in listed if isinstance(listed, list) else ():
        if not isinstance(one, dict) or not isinstance(one.get("subject"), str):
            continue
        epoch, sequence = one.get("epoch"), one.get("sequence")
        if type(epoch) is not int or type(sequence) is not int or min(epoch, sequence) < 1:
            continue
        if sequence > LARGEST_NUMBER or (epoch, sequence) >= header.position:
            continue
        key = (header.agency, header.service, one["subject"])
        named.append(Redaction(key, str(header.ledger), epoch, sequence, str(state.get("reason", ""))))
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
