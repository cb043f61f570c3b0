"""Witnessed heads: how far each ledger had come, remembered outside the database, in <home>/heads.jsonl.

A database that was put back to an earlier state, or lost facts, is found out: heads that it has lost are still here.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pymongo import ReplaceOne
from pymongo.collection import Collection

from shared.facts.fact import HEX_DIGEST, LARGEST_NUMBER, Fact
from shared.facts.keys import KeyBook, signature_is_valid
from shared.facts.names import ledger_name
from shared.facts.verify import Head, Trouble, check_key, head_statement
from shared.ledger.cutting import Cutting
from shared.ledger.identity import Identity, Roster
from shared.ledger.store import Document, LedgerStore

KEPT = 10_000
"""Lines kept in the file besides each ledger's newest; older heads are implied by the chain of the newer."""
LINE_BYTES = 300
"""About the length of a line."""
AT_ONCE = 1000

Witnessed = Mapping[str, Any]
"""A head as its agency signed it: ledger, epoch, sequence, hash, keyid, signature."""


class Witness:
    """The file of witnessed heads of one node."""

    def __init__(self, home: Path) -> None:
        self.path = home / "heads.jsonl"
        self._last: dict[str, str] = {}

    def remember(self, heads: Iterable[Witnessed]) -> int:
        """Appends what has moved since the last time; on disk before this returns."""
        moved = [head for head in heads if self._last.get(head["ledger"]) != head["hash"]]
        if not moved:
            return 0
        with self.path.open("a+b") as file:
            if file.tell() and not _ends_a_line(self.path):  # a crash cut the last line off: begin a new one
                file.write(b"\n")
            file.writelines(json.dumps(head, sort_keys=True).encode() + b"\n" for head in moved)
            file.flush()
            os.fsync(file.fileno())
        for head in moved:
            self._last[head["ledger"]] = head["hash"]
        self._shorten()
        return len(moved)

    def _shorten(self) -> None:
        if self.path.stat().st_size < KEPT * 2 * LINE_BYTES:
            return
        heads = self.all()
        if len(heads) <= KEPT * 2:
            return
        newest = {head["ledger"]: head for head in heads}
        kept = [head for head in heads[:-KEPT] if newest[head["ledger"]] is head] + heads[-KEPT:]
        scratch = self.path.with_suffix(".new")
        with scratch.open("wb") as file:
            file.writelines(json.dumps(head, sort_keys=True).encode() + b"\n" for head in kept)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self.path)

    def all(self) -> list[dict[str, Any]]:
        """Every witnessed head, oldest first; a line that a crash cut off is passed over."""
        if not self.path.exists():
            return []
        heads = []
        for line in self.path.read_bytes().splitlines():
            try:
                head = json.loads(line)
                _ = (str(head["ledger"]), int(head["epoch"]), int(head["sequence"]), str(head["hash"]))
            except (ValueError, KeyError, TypeError):
                continue
            heads.append(head)
        return heads

    def missing_heads(self, store: LedgerStore) -> list[Witnessed]:
        """Witnessed heads that the store does not hold. Those of an epoch that was closed by reopening do not count,
        nor those that a revocation reaches."""
        heads = self.all()
        absent: list[Witnessed] = []
        for start in range(0, len(heads), AT_ONCE):
            page = heads[start : start + AT_ONCE]
            present = store.hashes_present([head["hash"] for head in page])
            absent.extend(head for head in page if head["hash"] not in present)
        epochs = {ledger: store.head(ledger).epoch for ledger in {head["ledger"] for head in absent}}
        absent = [head for head in absent if epochs[head["ledger"]] <= head["epoch"]]
        revoked = self._revoked(store, [head["hash"] for head in absent])
        return [head for head in absent if head["hash"] not in revoked]

    def _revoked(self, store: LedgerStore, hashes: list[str]) -> set[str]:
        """Those of these facts that were given up, and rightly: no key that holds has signed them, or another node had
        the agency by then."""
        cutting = Cutting(store)
        strays = cutting.strays(hashes)
        hashes = [one for one in hashes if one not in strays]
        given_up = [fact for fact in map(cutting.given_up, hashes) if fact is not None]
        if not given_up:
            return strays
        book = Roster(store, Identity.read(self.path.parent)).book()
        return strays | {fact.hash for fact in given_up if not _may_stand(fact, book)}

    def missing(self, store: LedgerStore) -> list[str]:
        """The same, one sentence each."""
        return [sentence_about(head, store) for head in self.missing_heads(store)]


class ForeignHeads:
    """The newest head of every ledger that other nodes hold, each signed by its owner: nobody else can invent one.

    Whoever withholds facts is found out by them. What came may be checked against them later, so they are kept.
    """

    GRACE = timedelta(minutes=1)
    """So long may a fact take to arrive after its head before it counts as missing."""

    def __init__(self, collection: Collection[Document]) -> None:
        self._heads = collection

    def keep(self, heads: Iterable[Witnessed], told_by: str, now: datetime | None = None) -> int:
        """Keeps those that reach further than what is kept; their signatures were checked. Returns how many did."""
        known = {one["_id"]: (one["epoch"], one["sequence"]) for one in self._heads.find({})}
        at = now or datetime.now(UTC)
        further: dict[str, Document] = {}
        for head in heads:
            place = (head["epoch"], head["sequence"])
            if known.get(head["ledger"], (0, 0)) < place:
                known[head["ledger"]] = place
                told = {name: head[name] for name in ("epoch", "sequence", "hash", "keyid", "signature")}
                further[head["ledger"]] = {"_id": head["ledger"], **told, "told_by": told_by, "at": at}
        if further:
            self._heads.bulk_write([ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in further.values()])
        return len(further)

    def all(self) -> dict[str, dict[str, Any]]:
        """By ledger."""
        return {one["_id"]: {"ledger": one["_id"], **one} for one in self._heads.find({})}

    def drop(self, ledger: str) -> None:
        """Its key was revoked, or the ledger reopened from before it: the head says nothing any more."""
        self._heads.delete_one({"_id": ledger})

    def missing(self, store: LedgerStore, now: datetime | None = None) -> list[str]:
        """A sentence for every kept head that the store does not hold, although there was time to fetch it. Private
        ledgers are nobody's to fetch: what their own node lost of them is found out before its first command."""
        before = (now or datetime.now(UTC)) - self.GRACE
        store.tails()
        shared = [one for one in self.all().values() if not ledger_name(one["ledger"]).is_private]
        heads = [one for one in shared if one["at"] <= before and one["ledger"] not in store.frozen]
        present = store.hashes_present([head["hash"] for head in heads])
        absent = [head for head in heads if head["hash"] not in present]
        return [sentence_about(head, store) for head in absent if store.head(head["ledger"]).epoch <= head["epoch"]]


def foreign_heads(store: LedgerStore) -> ForeignHeads:
    """Those of this node: beside the ledgers, in the same database."""
    return ForeignHeads(store.database["foreign_heads"])


def _may_stand(fact: Fact, book: KeyBook) -> bool:
    try:
        check_key(fact, book)
    except Trouble:
        return False
    return True


def is_head(head: Witnessed) -> bool:
    """Whether this could be a signed head at all."""
    try:
        ledger_name(head["ledger"])
        numbers = (head["epoch"], head["sequence"])
        texts = (head["hash"], head["keyid"], head["signature"])
    except (KeyError, ValueError, AttributeError, TypeError):
        return False
    if not all(type(one) is int and 1 <= one <= LARGEST_NUMBER for one in numbers):
        return False
    return all(isinstance(one, str) for one in texts) and HEX_DIGEST.fullmatch(head["hash"]) is not None


def head_is_signed(mesh: str, public: bytes, told: Witnessed) -> bool:
    """Whether `told` was signed under `public`."""
    statement = head_statement(mesh, told["ledger"], Head(told["epoch"], told["sequence"], told["hash"]))
    try:
        signature = base64.b64decode(told["signature"])
    except ValueError:
        return False
    return signature_is_valid(public, statement.hex(), signature)


def head_is_authentic(mesh: str, book: KeyBook, told: Witnessed) -> bool:
    """Whether the ledger's owner signed this head: under the key of its last fact, or under the one for the next.

    A revoked key says nothing of a private ledger: what it signed there nobody else has seen, and the node is lost."""
    name, (epoch, sequence) = ledger_name(told["ledger"]), (told["epoch"], told["sequence"])
    agency = name.agency
    if name.is_private and told["keyid"] in book.revoked(agency):
        return False
    for position in ((epoch, sequence), (epoch, sequence + 1)):
        held = book.find(agency, told["keyid"], told["ledger"], position)
        if held is not None and head_is_signed(mesh, held.public, told):
            return True
    return False


def sentence_about(head: Witnessed, store: LedgerStore) -> str:
    found = store.at(head["ledger"], head["epoch"], head["sequence"])
    told = "is missing" if found is None else f"has hash {found.hash}"
    place = f"{head['ledger']}:{head['epoch']}:{head['sequence']}"
    return f"{place} was witnessed with hash {head['hash']} and {told}"


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
