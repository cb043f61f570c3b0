"""Facts that cannot be taken in yet: one before them is missing, or the roster does not know their key.

They are kept on disk, so that what was acknowledged to a peer is not lost by a crash, and bounded per ledger and per
peer: what finds no room is asked for again once the ledger gets there (its signed head says that it is missing).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from bson import Binary
from pymongo import ASCENDING, UpdateOne
from pymongo.collection import Collection

from shared.facts.fact import Fact, from_wire, to_wire
from shared.facts.verify import Trouble
from shared.ledger.store import Document

PER_LEDGER = 512
PER_SOURCE = 4096


class WaitingFacts:
    """By ledger, in the order of their places."""

    def __init__(self, collection: Collection[Document]) -> None:
        self._facts = collection
        collection.create_index([("ledger", ASCENDING), ("epoch", ASCENDING), ("sequence", ASCENDING)])
        self._codes: dict[str, set[str]] = {}
        self.reload()

    def reload(self) -> None:
        codes: dict[str, set[str]] = {}
        for found in self._facts.find({}, {"ledger": 1, "code": 1}):
            codes.setdefault(found["ledger"], set()).add(found["code"])
        self._codes = codes

    def ledgers(self, *codes: str) -> list[str]:
        """Ledgers of which something waits, for one of these reasons if any are given."""
        return sorted(ledger for ledger, held in self._codes.items() if not codes or held.intersection(codes))

    def of(self, ledger: str) -> list[Fact]:
        if ledger not in self._codes:
            return []
        order = [("epoch", ASCENDING), ("sequence", ASCENDING)]
        return [from_wire(bytes(one["wire"])) for one in self._facts.find({"ledger": ledger}).sort(order)]

    def settle(self, ledger: str, waiting: Iterable[tuple[Fact, Trouble]], source: str) -> int:
        """From now on these wait, and nothing else of the ledger. Returns for how many there was no room."""
        wanted = sorted(waiting, key=lambda one: (one[0].header.position, one[0].payload is not None))
        kept = {fact.hash: (fact, trouble) for fact, trouble in wanted[:PER_LEDGER]}
        held = (
            {one["_id"] for one in self._facts.find({"ledger": ledger}, {"_id": 1})} if ledger in self._codes else set()
        )
        gone = held - kept.keys()
        if gone:
            self._facts.delete_many({"_id": {"$in": list(gone)}})
        new = [kept[one] for one in kept if one not in held]
        room = PER_SOURCE - self._facts.count_documents({"source": source}, limit=PER_SOURCE) if new else 0
        now = datetime.now(UTC)
        if new[:room]:
            self._facts.bulk_write([_upsert(fact, trouble, source, now) for fact, trouble in new[:room]], ordered=False)
        left = [trouble.code for hash_hex, (_, trouble) in kept.items() if hash_hex in held]
        codes = {*left, *(trouble.code for _, trouble in new[:room])}
        if codes:
            self._codes[ledger] = codes
        else:
            self._codes.pop(ledger, None)
        return len(wanted) - len(kept) + len(new) - len(new[:room])

    def counts(self) -> dict[str, int]:
        """How many wait, by what is missing."""
        found = self._facts.aggregate([{"$group": {"_id": "$code", "count": {"$sum": 1}}}])
        return {one["_id"]: one["count"] for one in found}


def forget_waiting(collection: Collection[Document], ledger: str, epoch: int, sequence: int) -> None:
    """What waits in this place was redacted: nothing of it is kept."""
    collection.delete_many({"ledger": ledger, "epoch": epoch, "sequence": sequence})


def _upsert(fact: Fact, trouble: Trouble, source: str, now: datetime) -> UpdateOne:
    header = fact.header
    return UpdateOne(
        {"_id": fact.hash},
        {
            "$set": {"wire": Binary(to_wire(fact)), "code": trouble.code, "detail": trouble.detail[:500]},
            "$setOnInsert": {
                "ledger": str(header.ledger),
                "epoch": header.epoch,
                "sequence": header.sequence,
                "source": source,
                "at": now,
            },
        },
        upsert=True,
    )
