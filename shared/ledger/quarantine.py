"""What could not be let in, and why: shown to the operator, capped, never dropped silently."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from shared.ledger.store import Document

CLAIMED = "claimed"
"""Kind of trouble: an id that several agencies use, each in its own right."""

KEPT_PER_SOURCE = 1000
"""Entries kept per source; after that only the count grows, so that a flooder fills nobody's disk."""

REMEDIES = {
    "unreadable": "The sender publishes something that is no fact. Find out who writes to that subject.",
    "unknown_fact": "The message names a fact this node does not hold. Only the relay may publish there.",
    "mesh": "The fact belongs to another mesh; check which hub the sender has joined.",
    "writer": "Somebody other than the anchor issued a roster. Tell the secretariat.",
    "kind": "That service does not write such facts; the sender's software is wrong or hostile.",
    "audience": "Raw observations never leave their agency; the sender must publish progress instead.",
    "subject": "Type and subject disagree; the sender's software is wrong or hostile.",
    "owner": "A fact speaks for another agency. Tell that agency and the secretariat.",
    "digest": "The payload was altered on the way. Fetch the fact again from its origin.",
    "size": "The fact is larger than a fact may be.",
    "envelope": "Subject, headers and fact disagree: somebody altered the message. Tell whoever runs that peer.",
    "sender": "That node does not host the agency whose fact it sent. Tell the secretariat.",
    "own": "Somebody else signs for an agency of this node, or its disk was put back: restart, then verify.",
    "signature": "The signature does not fit. Tell the agency whose name was used.",
    "key_range": "The key was revoked or replaced before this position. Ask the agency.",
    "agency": "The agency is not in the roster: wait for the roster, or ask the secretariat.",
    "key": "The key is not known: wait for the roster, or ask the agency.",
    "blank": "The content is missing and no redaction says why; it is asked for by itself.",
    "confirmation": "Somebody says for another node that it has forgotten. Tell that agency and the secretariat.",
    "frozen": "The ledger is read, not written. Restore what is missing, or reopen it with the recovery key.",
    "gap": "Earlier facts are missing; they are asked for by themselves.",
    "fork": "Two facts claim one place. The ledger is frozen until its agency reopens it.",
    "position": "An old fact came again; nothing to do.",
    "several_owners": "Nothing is mixed up: each record is its owner's. Ask whose copy it is, and why it was made.",
    "not_foldable": "This node is too old to read the fact. Update it; the fact is kept.",
}


ATTEMPTS = 5


def storable(text: str) -> str:
    """At most 2,000 characters, and none that a document cannot hold."""
    return text[:2000].encode(errors="replace").decode().replace("\0", "\\0")


class Quarantine:
    """Entries by digest of what came: the same thing twice is one entry with a count of two."""

    def __init__(
        self, collection: Collection[Document], clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._entries = collection
        self._clock = clock

    def add(self, *, source: str, kind: str, code: str, detail: str, content: bytes, place: str | None = None) -> None:
        """Records one refused thing. `kind` is one of the design's kinds of trouble, `code` says which check."""
        for attempt in range(ATTEMPTS):
            try:
                self._add(source, kind, code, storable(detail), content, place)
            except DuplicateKeyError:  # another replica recorded the same thing in the same instant: count it there
                if attempt + 1 == ATTEMPTS:
                    raise
            else:
                return

    def _add(self, source: str, kind: str, code: str, detail: str, content: bytes, place: str | None) -> None:
        digest = hashlib.sha256(content).hexdigest()
        now = self._clock()
        known = self._entries.update_one(
            {"_id": f"{source}|{code}|{digest}"}, {"$inc": {"count": 1}, "$set": {"last_at": now}}
        )
        if known.matched_count:
            return
        overflow = self._entries.count_documents({"source": source}, limit=KEPT_PER_SOURCE) >= KEPT_PER_SOURCE
        entry_id = f"{source}|overflow" if overflow else f"{source}|{code}|{digest}"
        told = {
            "source": source,
            "kind": kind,
            "code": "overflow" if overflow else code,
            "detail": "more of the same source; only counted" if overflow else detail,
            "remedy": REMEDIES.get(code, "Look at the detail, and at the sender."),
            "digest": digest,
            "bytes": len(content),
            "place": place,
            "first_at": now,
        }
        self._entries.update_one(
            {"_id": entry_id}, {"$setOnInsert": told, "$inc": {"count": 1}, "$set": {"last_at": now}}, upsert=True
        )

    def note_claim(self, owner: str, about: str, others: Sequence[str], place: str) -> None:
        """A record of `owner` has an id that other agencies use for a record of that kind. It stops nothing."""
        said = ", ".join([owner, *others])
        self.add(
            source=f"ids of {owner}",
            kind=CLAIMED,
            code="several_owners",
            detail=f"ids claimed by several agencies: {said} each have a {about.replace('/', ' ', 1)}",
            content=f"{owner}|{about}".encode(),
            place=place,
        )

    def count_more(self, source: str, kind: str, count: int) -> None:
        """So many more things of one source were refused; they are only counted."""
        now = self._clock()
        told = {
            "source": source,
            "kind": kind,
            "code": "overflow",
            "detail": "more of the same source; only counted",
            "remedy": "Look at the other entries of this source.",
            "digest": "",
            "bytes": 0,
            "place": None,
            "first_at": now,
        }
        self._entries.update_one(
            {"_id": f"{source}|overflow"},
            {"$setOnInsert": told, "$inc": {"count": count}, "$set": {"last_at": now}},
            True,
        )

    def entries(self, limit: int = 200) -> list[dict[str, Any]]:
        """Newest first."""
        found = self._entries.find({}).sort("last_at", -1).limit(limit)
        return [{"id": entry.pop("_id"), **entry} for entry in found]

    def about(self, agency: str, limit: int = 200) -> list[dict[str, Any]]:
        """Newest first, of what names a place in this agency's ledgers."""
        begins = {"$gte": f"{agency}.", "$lt": f"{agency}/"}
        found = self._entries.find({"place": begins}).sort("last_at", -1).limit(limit)
        return [{"id": entry.pop("_id"), **entry} for entry in found]

    def count(self) -> int:
        return self._entries.count_documents({})

    def kinds(self) -> dict[str, int]:
        """How often each kind of trouble was met."""
        found = self._entries.aggregate([{"$group": {"_id": "$kind", "count": {"$sum": "$count"}}}])
        return {one["_id"]: one["count"] for one in found}
