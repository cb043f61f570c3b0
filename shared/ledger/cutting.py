"""A ledger is taken back to an earlier fact: what stood beyond is given up, kept aside, and folded no more.

Three things ask for it: a fork (the ledger is frozen at the last common fact, on every node, whichever of the two
came first), a reopening that goes on from an earlier fact, and the revocation of a key. The store's list of ledgers
counts how often it was done; followers that see the count grow fold everything anew (docs/adr/0016).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from bson import Binary
from pymongo import DeleteOne, ReplaceOne

from shared.facts.fact import Fact, from_wire, to_wire
from shared.facts.verify import REDACTED, Head
from shared.ledger.store import UNFORGETTABLE, Document, LedgerStore, fact_of, number_of, position_of

AT_ONCE = 256
MOST_PAIRS = 8
"""Pieces of evidence of one ledger and epoch: one proves the fork. More are kept only where they lower its limit."""

Position = tuple[int, int]


class Cutting:
    """Takes ledgers of one store back. Every step may be repeated after a crash: `finish` does so."""

    def __init__(self, store: LedgerStore) -> None:
        self._store = store
        self._ledgers = store.database["ledgers"]
        self._given_up = store.database["given_up"]

    def cut(self, ledger: str, keep: Position, *, stray: bool = False) -> int:
        """Gives up every fact of `ledger` beyond `keep` ((1, 0) for all of them). Returns how many there were.

        The facts stay in the collection `given_up`: they are evidence, and a reopening may go on from them. `stray`:
        this node had no right to write them any more, so nobody is to miss them.
        """
        if stray:
            beyond = {"ledger": ledger, "epoch": keep[0], "sequence": {"$gt": keep[1]}}
            self._store.facts.update_many(beyond, {"$set": {"stray": True}})
        listed = {"$setOnInsert": {"epoch": keep[0], "tail": 0}}
        self._ledgers.update_one({"_id": ledger}, {**listed, "$set": {"cutting": number_of(keep)}}, upsert=True)
        return self._carry_out(ledger, keep)

    def finish(self) -> None:
        """What a crash cut off is done to its end."""
        for unfinished in list(self._ledgers.find({"cutting": {"$exists": True}})):
            self._carry_out(unfinished["_id"], position_of(unfinished["cutting"]))

    def _carry_out(self, ledger: str, keep: Position) -> int:
        epoch, sequence = keep
        known = self._ledgers.find_one({"_id": ledger}) or {}
        removed = 0
        for one in range(epoch, max(known.get("epoch", epoch), epoch) + 1):
            after = sequence if one == epoch else 0
            while beyond := list(
                self._store.facts.find({"ledger": ledger, "epoch": one, "sequence": {"$gt": after}}).limit(AT_ONCE)
            ):
                self._given_up.bulk_write([ReplaceOne({"_id": fact["_id"]}, fact, upsert=True) for fact in beyond])
                self._store.facts.bulk_write([DeleteOne({"_id": fact["_id"]}) for fact in beyond])
                removed += len(beyond)
        self._store.forget_memory()
        self._ledgers.update_one(
            {"_id": ledger},
            {"$set": {"epoch": epoch, "tail": number_of(keep)}, "$inc": {"cuts": 1}, "$unset": {"cutting": ""}},
        )
        return removed

    def given_up(self, hash_hex: str) -> Fact | None:
        found = self._given_up.find_one({"_id": hash_hex})
        return None if found is None else fact_of(found)

    def strays(self, hashes: Sequence[str]) -> set[str]:
        """Those of these facts that were given up as strays."""
        found = self._given_up.find({"_id": {"$in": list(hashes)}, "stray": True}, {"_id": 1})
        return {one["_id"] for one in found}

    def after(self, ledger: str, position: Position, limit: int = 4096) -> list[Fact]:
        """What was given up of an epoch beyond a place."""
        epoch, sequence = position
        wanted = {"ledger": ledger, "epoch": epoch, "sequence": {"$gt": sequence}}
        return [fact_of(found) for found in self._given_up.find(wanted).limit(limit)]

    def at(self, ledger: str, epoch: int, sequence: int) -> list[Fact]:
        """What was given up in one place; several facts, if histories parted there."""
        return [fact_of(one) for one in self._given_up.find(_place(ledger, epoch, sequence))]

    def redactions(self, ledger: str) -> list[Fact]:
        """Redactions that were given up, of whatever epoch: what they named may have been overwritten before."""
        return [fact_of(one) for one in self._given_up.find({"ledger": ledger, "type": REDACTED})]

    def forget(self, ledger: str, epoch: int, sequence: int) -> None:
        """Overwrites payload and salt of what was given up in this place, as `LedgerStore.forget` does."""
        wanted = {**_place(ledger, epoch, sequence), "type": {"$nin": list(UNFORGETTABLE)}}
        self._given_up.update_many(wanted, {"$set": {"payload": None, "salt": None, "redacted": True}})

    def put_back(self, ledger: str, facts: Sequence[Fact]) -> bool:
        """Facts that were given up stand again, as they did (with what is kept beside them); they follow the head."""
        documents = list(self._given_up.find({"_id": {"$in": [fact.hash for fact in facts]}}))
        if len(documents) < len(facts):
            return False
        self._store.facts.insert_many(sorted(documents, key=lambda one: (one["epoch"], one["sequence"])))
        self._store.note_tails(facts)
        self._ledgers.update_one({"_id": ledger}, {"$max": {"epoch": facts[-1].header.epoch}})
        return True

    def count(self) -> int:
        return self._given_up.estimated_document_count()


def _place(ledger: str, epoch: int, sequence: int) -> Document:
    return {"ledger": ledger, "epoch": epoch, "sequence": sequence}


def last_common(first: Fact, second: Fact) -> Position:
    """The last place of which two contradicting facts of one ledger and epoch do not disagree.

    Two facts for one place that name the same fact before them agree on that; otherwise the histories part earlier,
    and the fact before is only known not to be common.
    """
    one, other = sorted((first.header, second.header), key=lambda header: header.position)
    if one.position == other.position and one.previous == other.previous:
        return one.epoch, one.sequence - 1
    return one.epoch, max(other.sequence - 2, 0)


def contradict(first: Fact, second: Fact) -> bool:
    """Whether no ledger can hold both: two facts for one place, or a fact that names another one before it."""
    one, other = sorted((first, second), key=lambda fact: fact.header.position)
    if one.header.ledger != other.header.ledger or one.header.epoch != other.header.epoch or one.hash == other.hash:
        return False
    if one.header.sequence == other.header.sequence:
        return True
    return one.header.sequence + 1 == other.header.sequence and other.header.previous != one.hash


class Forks:
    """The evidence of forks: pairs of authentic facts that contradict each other. What is in it was checked."""

    def __init__(self, store: LedgerStore) -> None:
        self._store = store
        self._pairs = store.database["forks"]
        self._ledgers = store.database["ledgers"]
        self._limits: dict[tuple[str, int], int] = {}
        self._kept: Counter[tuple[str, int]] = Counter()
        self.reload()

    def reload(self) -> None:
        """Reads the evidence again: another replica may have added some."""
        limits: dict[tuple[str, int], int] = {}
        kept: Counter[tuple[str, int]] = Counter()
        for document in self._pairs.find({}, {"ledger": 1, "epoch": 1, "last_common": 1}):
            place = (document["ledger"], document["epoch"])
            limits[place] = min(document["last_common"], limits.get(place, document["last_common"]))
            kept[place] += 1
        self._limits, self._kept = limits, kept

    def limit(self, ledger: str, epoch: int) -> int | None:
        """The last sequence of this epoch that all histories share; None if there is but one history."""
        return self._limits.get((ledger, epoch))

    def add(self, first: Fact, second: Fact) -> bool:
        """Keeps the evidence, on disk before this returns. False if it was known, or if there is enough: whoever forks
        a ledger of its own at every place fills nobody's disk with the proof of it."""
        one, other = sorted((first, second), key=lambda fact: fact.hash)
        ledger, (epoch, sequence) = str(first.header.ledger), last_common(first, second)
        place = (ledger, epoch)
        if self._kept[place] >= MOST_PAIRS and sequence >= self._limits[place]:
            return False
        known = self._pairs.update_one(
            {"_id": f"{one.hash}|{other.hash}"},
            {
                "$setOnInsert": {
                    "ledger": ledger,
                    "epoch": epoch,
                    "last_common": sequence,
                    "facts": [Binary(to_wire(_bare(one))), Binary(to_wire(_bare(other)))],
                }
            },
            upsert=True,
        )
        self._limits[place] = min(sequence, self._limits.get(place, sequence))
        self._kept[place] += known.upserted_id is not None
        return known.upserted_id is not None

    def drop(self, first: Fact, second: Fact) -> None:
        """It was no fork: one of the two is not authentic (any more)."""
        self._pairs.delete_one({"_id": "|".join(sorted((first.hash, second.hash)))})
        self.reload()
        ledger = str(first.header.ledger)
        limit = self.limit(ledger, first.header.epoch)
        if limit is None:
            self._ledgers.update_one({"_id": ledger}, {"$unset": {"frozen": ""}})
        else:
            self._ledgers.update_one({"_id": ledger}, {"$set": {"frozen": number_of((first.header.epoch, limit))}})

    def note_limit(self, ledger: str, head: Head) -> Position | None:
        """Marks the ledger frozen for whoever writes it, if its newest epoch has forked; where it is to end then."""
        limit = self.limit(ledger, head.epoch)
        if limit is None:
            return None
        mark = {"$set": {"frozen": number_of((head.epoch, limit))}, "$setOnInsert": {"epoch": head.epoch, "tail": 0}}
        self._ledgers.update_one({"_id": ledger}, mark, upsert=True)
        return head.epoch, limit

    def pairs(self, limit: int = 1000) -> list[tuple[Fact, Fact]]:
        """The evidence, without payloads: protected and signature prove."""
        return [_pair(document) for document in self._pairs.find({}).sort("_id", 1).limit(limit)]

    def told(self, limit: int) -> list[tuple[Fact, Fact]]:
        """As much of it as is told at once: what sets the limit of each ledger's epoch comes before more of any."""
        turns: list[tuple[int, int, str]] = []
        ranks: Counter[tuple[str, int]] = Counter()
        found = self._pairs.find({}, {"ledger": 1, "epoch": 1, "last_common": 1})
        for document in sorted(found, key=lambda one: (one["last_common"], one["_id"])):
            place = (document["ledger"], document["epoch"])
            turns.append((ranks[place], -place[1], document["_id"]))
            ranks[place] += 1
        wanted = [name for _, _, name in sorted(turns)[:limit]]
        return [_pair(document) for document in self._pairs.find({"_id": {"$in": wanted}})]

    def known(self, hashes: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of these pairs (of hashes, sorted) are kept already."""
        names = {"|".join(sorted(pair)): pair for pair in hashes}
        return {names[found["_id"]] for found in self._pairs.find({"_id": {"$in": list(names)}}, {"_id": 1})}

    def ledgers(self) -> dict[str, Position]:
        """Forked ledgers with the last common place of their newest forked epoch."""
        forked: dict[str, Position] = {}
        for (ledger, epoch), sequence in self._limits.items():
            forked[ledger] = max((epoch, sequence), forked.get(ledger, (0, 0)))
        return forked


def _bare(fact: Fact) -> Fact:
    """What proves, and nothing that somebody might want forgotten."""
    return Fact(fact.protected, None, None, fact.signature)


def _pair(document: Document) -> tuple[Fact, Fact]:
    first, second = (from_wire(bytes(wire)) for wire in document["facts"])
    return first, second
