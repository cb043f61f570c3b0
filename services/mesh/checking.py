"""What becomes of facts that came from elsewhere. Pure: what this node holds comes in as a `Shelf`.

Facts of one ledger are looked at together, in the order of their places: what arrived, and what waited. Each meets
one end: accepted (it follows the head), known, waiting (something before it, or its key, is missing), or refused (not
authentic). Two authentic facts that contradict each other are a fork, whichever came first.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from shared.facts.fact import Fact, Unreadable
from shared.facts.keys import KeyBook
from shared.facts.verify import (
    REKEYED,
    REOPENED,
    ChainTrouble,
    Head,
    NotAuthentic,
    Trouble,
    UnknownKey,
    check,
    check_digest,
    check_mesh,
    check_right,
    check_signature,
    learn_key,
)
from shared.ledger.cutting import last_common
from shared.ledger.rows import redactions_in

Position = tuple[int, int]


class Shelf(Protocol):
    """What this node holds."""

    def head(self, ledger: str) -> Head:
        """The newest fact of a ledger."""

    def at(self, ledger: str, epoch: int, sequence: int) -> Fact | None:
        """The fact in a place."""

    def by_hash(self, hash_hex: str) -> Fact | None:
        """A fact of whatever ledger."""

    def given_up(self, hash_hex: str) -> Fact | None:
        """A fact that was held once and given up."""

    def limit(self, ledger: str, epoch: int) -> int | None:
        """The last sequence that all histories of a forked epoch share; None if there is but one."""

    def is_redacted(self, ledger: str, position: Position) -> bool:
        """Whether a redaction held here names the place."""


@dataclass
class Outcome:
    """What became of the facts of one ledger."""

    head: Head = field(default_factory=Head)
    accepted: list[Fact] = field(default_factory=list)
    """They follow the head, in order."""
    cut: Position | None = None
    """Before they do: what stands beyond this place is to be given up, because the ledger was reopened from there."""
    waiting: list[tuple[Fact, Trouble]] = field(default_factory=list)
    refused: list[tuple[Fact, Trouble]] = field(default_factory=list)
    forks: list[tuple[Fact, Fact]] = field(default_factory=list)
    known: list[Fact] = field(default_factory=list)
    """Held already, or of a history that was given up."""

    @property
    def gap(self) -> bool:
        """Whether something must be asked for before the ledger goes on."""
        return any(trouble.code in ("gap", "blank", "key_range") for _, trouble in self.waiting)


def check_envelope(fact: Fact, ledger: str, place: Head) -> None:
    """Subject, headers and fact tell of one and the same place. Raises NotAuthentic."""
    header = fact.header
    if (ledger, place) != (str(header.ledger), Head(*header.position, fact.hash)):
        told = f"{ledger}:{place.epoch}:{place.sequence}"
        raise NotAuthentic("envelope", f"the message says {told} ({place.hash[:12]}), the fact in it {fact.place}")


def sort_out(arrived: Iterable[Fact], ledger: str, *, mesh: str, book: KeyBook, shelf: Shelf) -> Outcome:
    """What becomes of these facts of one ledger: those that arrived, and those that waited."""
    return _Sorting(ledger, mesh, book, shelf).run(arrived)


class _Sorting:
    def __init__(self, ledger: str, mesh: str, book: KeyBook, shelf: Shelf) -> None:
        self.ledger = ledger
        self.mesh = mesh
        self.book = book
        self.shelf = shelf
        self.out = Outcome(head=shelf.head(ledger))
        self.reached: dict[Position, Fact] = {}
        """What was accepted here, by place: the shelf does not hold it yet."""
        self.limits: dict[int, int] = {}
        """By forks found here."""
        self.pool: dict[str, list[Fact]] = {}
        """Every copy of what arrived, by hash: one may be altered, or lack the content, and another not."""
        self.ahead: dict[Position, Fact] = {}

    def run(self, arrived: Iterable[Fact]) -> Outcome:
        for fact in arrived:
            copies = self.pool.setdefault(fact.hash, [])
            if fact not in copies:
                copies.append(fact)
        every = [fact for copies in self.pool.values() for fact in copies]
        for fact in sorted(every, key=lambda fact: (fact.header.position, fact.hash, fact.payload is None)):
            self._take(fact)
        return self.out

    def _take(self, fact: Fact) -> None:
        try:
            head = check(fact, mesh=self.mesh, head=self.out.head, book=self.book)
        except ChainTrouble as trouble:
            self._out_of_turn(fact, trouble)
        except UnknownKey as trouble:
            self._under_unknown_key(fact, trouble)
        except NotAuthentic as trouble:
            follows = fact.header.position == (self.out.head.epoch, self.out.head.sequence + 1)
            if trouble.code == "key_range" and not follows and fact.header.position > self.out.head.position:
                self.out.waiting.append((fact, trouble))  # what is missing before it may hold the key's beginning
            else:
                self.out.refused.append((fact, trouble))
        else:
            self._next(fact, head)

    def _next(self, fact: Fact, head: Head) -> None:
        limit = self._limit(head.epoch)
        if limit is not None and head.sequence > limit:
            self.out.known.append(fact)
        elif fact.payload is None and not self._explained(fact):
            told = f"{fact.place}: came without its content, and no redaction of its ledger says why"
            self.out.waiting.append((fact, ChainTrouble("blank", told)))
        else:
            self._accept(fact)

    def _accept(self, fact: Fact) -> None:
        self.out.accepted.append(fact)
        self.reached[fact.header.position] = fact
        self.out.head = Head(*fact.header.position, fact.hash)

    def _out_of_turn(self, fact: Fact, trouble: ChainTrouble) -> None:
        """An authentic fact that does not follow the head."""
        position, head = fact.header.position, self.out.head
        if fact.header.type == REOPENED and position == (head.epoch + 1, 1):
            self._reopen(fact, trouble)
        elif trouble.code == "gap":
            other = self.ahead.setdefault(position, fact)
            if other.hash != fact.hash:
                self._fork(other, fact)
            self.out.waiting.append((fact, trouble))
        elif position[0] < head.epoch:
            self.out.known.append(fact)  # of an epoch that was closed: what counts of it was settled by reopening
        elif position > head.position:  # the next place, but another fact before it
            self._contradicted(head.position, fact)
        elif self._holds(fact):
            self.out.known.append(fact)
        else:
            self._contradicted(position, fact)

    def _contradicted(self, position: Position, fact: Fact) -> None:
        held = self._at(position)
        self.out.known.append(fact)
        if held is not None:
            self._fork(held, fact)

    def _under_unknown_key(self, fact: Fact, trouble: UnknownKey) -> None:
        header = fact.header
        if header.position <= self.out.head.position:
            self.out.known.append(fact)  # nothing follows from it: held already, or by nobody who may write here
            return
        authors = self.book.owners(header.keyid) - {header.agency}
        if authors:
            told = f"{fact.place}: signed under a key of {min(authors)}, which may not write for {header.agency}"
            self.out.refused.append((fact, NotAuthentic("signature", told)))
        else:
            self.out.waiting.append((fact, trouble))

    def _fork(self, first: Fact, second: Fact) -> None:
        self.out.forks.append((first, second))
        epoch, sequence = last_common(first, second)
        self.limits[epoch] = min(sequence, self.limits.get(epoch, sequence))
        kept = [fact for fact in self.out.accepted if not self._is_beyond(fact.header.position)]
        if len(kept) < len(self.out.accepted):
            for fact in self.out.accepted[len(kept) :]:
                self.reached.pop(fact.header.position)
            before = kept[-1] if kept else None
            self.out.accepted = kept
            self.out.head = (
                self.shelf.head(self.ledger) if before is None else Head(*before.header.position, before.hash)
            )

    def _is_beyond(self, position: Position) -> bool:
        limit = self._limit(position[0])
        return limit is not None and position[1] > limit

    def _limit(self, epoch: int) -> int | None:
        known = [one for one in (self.shelf.limit(self.ledger, epoch), self.limits.get(epoch)) if one is not None]
        return min(known, default=None)

    def _reopen(self, fact: Fact, trouble: ChainTrouble) -> None:
        """A reopening names the fact from which the ledger goes on: perhaps an earlier one, perhaps on a branch that
        was given up here, or that is only now coming."""
        branch: list[Fact] = []
        wanted = fact.header.previous
        while not self._holds_hash(wanted):
            kept = self.shelf.given_up(wanted)
            copies = [*self.pool.get(wanted, ()), *([] if kept is None else [kept])]
            found = next((one for one in copies if self._is_authentic(one)), None)
            if found is None or found.header.epoch != self.out.head.epoch:
                self.out.waiting.append((fact, trouble))
                return
            branch.append(found)
            wanted = found.header.previous
        joint = self._position_of(wanted)
        if joint < self.out.head.position:
            self.out.accepted = [one for one in self.out.accepted if one.header.position <= joint]
            if joint < self.shelf.head(self.ledger).position:
                self.out.cut = joint
        for one in reversed(branch):
            self._accept(one)
        self._accept(fact)

    def _is_authentic(self, fact: Fact, book: KeyBook | None = None) -> bool:
        return str(fact.header.ledger) == self.ledger and is_authentic(fact, self.mesh, book or self.book)

    # -- what is held ----------------------------------------------------------------------------------------

    def _at(self, position: Position) -> Fact | None:
        return self.reached.get(position) or self.shelf.at(self.ledger, *position)

    def _holds(self, fact: Fact) -> bool:
        held = self._at(fact.header.position)
        return held is not None and held.hash == fact.hash

    def _holds_hash(self, hash_hex: str) -> bool:
        return self._fact(hash_hex) is not None

    def _position_of(self, hash_hex: str) -> Position:
        held = self._fact(hash_hex)
        assert held is not None
        return held.header.position

    def _fact(self, hash_hex: str) -> Fact | None:
        if any(fact.hash == hash_hex for fact in self.out.accepted):
            return next(fact for fact in self.out.accepted if fact.hash == hash_hex)
        held = self.shelf.by_hash(hash_hex)
        return held if held is not None and str(held.header.ledger) == self.ledger else None

    def _explained(self, fact: Fact) -> bool:
        """Whether an authentic redaction of the same ledger names the place."""
        position = fact.header.position
        if self.shelf.is_redacted(self.ledger, position):
            return True
        arrived = [one for copies in self.pool.values() for one in copies]
        naming = [one for one in arrived if names(one, position)]
        if any(self._is_authentic(one) for one in naming):
            return True
        # The redaction may stand under a key that the ledger took between the two.
        book = copy.deepcopy(self.book)
        for one in sorted(arrived, key=lambda fact: fact.header.position):
            if one.header.type == REKEYED and self._is_authentic(one, book):
                learn_key(one, book)
        return any(self._is_authentic(one, book) for one in naming)


def is_authentic(fact: Fact, mesh: str, book: KeyBook) -> bool:
    """Whether the fact's agency signed it and may write it in this place, whatever stands before it."""
    try:
        check_mesh(fact, mesh)
        check_right(fact)
        check_digest(fact)
        check_signature(fact, book)
    except Trouble:
        return False
    return True


def names(redaction: Fact, position: Position) -> bool:
    """Whether a fact is a redaction that names this place of its ledger."""
    return any((one.epoch, one.sequence) == position for one in redactions_in(redaction))


def by_ledger(facts: Iterable[Fact]) -> dict[str, list[Fact]]:
    """Facts by ledger, the roster first: it names the keys of the others."""
    found: dict[str, list[Fact]] = {}
    for fact in facts:
        found.setdefault(str(fact.header.ledger), []).append(fact)
    return dict(sorted(found.items(), key=lambda item: (item[0] != "hub.mesh", item[0])))


def is_foldable(fact: Fact) -> bool:
    """Whether this node can read what the fact says; one that cannot be read is kept all the same."""
    try:
        _ = fact.state
    except Unreadable:
        return False
    return fact.header.type_version == 1
