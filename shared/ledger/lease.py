"""Leases: one replica at a time does a piece of work; a fencing number keeps a stopped one from writing late."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, PyMongoError

from shared.ledger.store import Document


def replica_name() -> str:
    """Names this process among replicas, for people who read the lease."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class Lease:
    """A named lease in a collection. `fencing` grows with every change of holder and stands in every guarded write.

    Holders' clocks may differ by less than the lease's length; a holder stops trusting its lease a third early.
    """

    def __init__(
        self,
        collection: Collection[Document],
        name: str,
        holder: str,
        seconds: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._collection = collection
        self.name = name
        self.holder = holder
        self._length = timedelta(seconds=seconds)
        self._clock = clock
        self._lock = threading.Lock()
        self.fencing = 0
        self._trusted_until: datetime | None = None

    @property
    def is_held(self) -> bool:
        return self._trusted_until is not None and self._clock() < self._trusted_until

    @property
    def renewal_seconds(self) -> float:
        """How often a holder renews, to keep the lease although a renewal or two comes late."""
        return self._length.total_seconds() / 4

    @property
    def is_fresh(self) -> bool:
        """Held, and renewed so lately that renewing it again can wait."""
        return (
            self._trusted_until is not None
            and self._clock() < self._trusted_until - self._length * 2 / 3 + self._length / 4
        )

    def try_hold(self) -> bool:
        """Takes or renews the lease. True if this replica holds it; `fencing` is then its number."""
        with self._lock:  # two threads of one replica must not lose to each other
            return self._try_hold()

    def _try_hold(self) -> bool:
        now = self._clock()
        until = now + self._length
        try:
            if self.fencing and self._renew(until):
                self._trusted_until = now + self._length * 2 / 3
                return True
            found = self._take(now, until)
        except DuplicateKeyError:
            found = None  # another replica made it in the same instant
        except PyMongoError:
            return self.is_held  # unreachable: what was granted still holds, until it is no longer trusted
        if found is None:
            self.fencing = 0
            self._trusted_until = None
            return False
        self.fencing = int(found["fencing"])
        self._trusted_until = now + self._length * 2 / 3
        return True

    def _renew(self, until: datetime) -> bool:
        answer = self._collection.update_one(
            {"_id": self.name, "holder": self.holder, "fencing": self.fencing}, {"$set": {"until": until}}
        )
        return answer.matched_count == 1

    def _take(self, now: datetime, until: datetime) -> Document | None:
        change = {"$set": {"holder": self.holder, "until": until}, "$inc": {"fencing": 1}}
        found = self._collection.find_one_and_update(
            {"_id": self.name, "until": {"$lt": now}}, change, return_document=ReturnDocument.AFTER
        )
        if found is None and self._collection.find_one({"_id": self.name}, {"_id": 1}) is None:
            found = {"_id": self.name, "holder": self.holder, "until": until, "fencing": 1}
            self._collection.insert_one(dict(found))
        return found

    def release(self) -> None:
        """Lets another replica take over at once."""
        with self._lock:
            if not self.fencing:
                return
            fencing, self.fencing, self._trusted_until = self.fencing, 0, None
            self._collection.update_one(
                {"_id": self.name, "holder": self.holder, "fencing": fencing},
                {"$set": {"until": datetime.fromtimestamp(0, UTC)}},
            )
