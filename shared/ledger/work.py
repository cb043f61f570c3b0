"""Keys that folds touched and that somebody still has to act on: persisted before the cursor moves."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pymongo import ASCENDING, DeleteOne, UpdateOne
from pymongo.collection import Collection

from shared.ledger.store import Document

FIRST_DELAY = timedelta(seconds=1)
LONGEST_DELAY = timedelta(minutes=5)
LOOK_EVERY = timedelta(seconds=0.5)


@dataclass(frozen=True, slots=True)
class Task:
    """One key to act on. `touch` tells a task that was touched again while it was worked on."""

    key: str
    touch: int
    attempts: int
    trace: str | None


class Work:
    """A persisted set of keys. Touching a key twice before it is worked on is working on it once."""

    def __init__(
        self, collection: Collection[Document], clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._tasks = collection
        self._clock = clock
        self._touched = 0
        self._nothing_until: datetime | None = None
        collection.create_index([("due", ASCENDING)])

    def touch(self, keys: Iterable[str], trace: str | None = None, due: datetime | None = None) -> None:
        """`due`: not before that time (a deadline); now if left out."""
        when = due or self._clock()
        operations = [
            UpdateOne(
                {"_id": key},
                {
                    "$min": {"due": when},
                    # Random, not counted: a count begins again once the task is done, and an old one might fit.
                    "$set": {"trace": trace, "touch": secrets.randbits(62)},
                    "$setOnInsert": {"attempts": 0},
                },
                upsert=True,
            )
            for key in sorted(set(keys))
        ]
        if operations:
            self._tasks.bulk_write(operations, ordered=False)
            self._touched += 1
            self._nothing_until = None

    def due(self, limit: int = 64) -> list[Task]:
        """What is to be done now, the longest due first.

        Asked again and again while nothing was touched here, the database is asked only every LOOK_EVERY: what
        another process touched, and what was put off, is found a moment later.
        """
        now, touched = self._clock(), self._touched
        if self._nothing_until is not None and self._nothing_until > now >= self._nothing_until - LOOK_EVERY:
            return []
        found = self._tasks.find({"due": {"$lte": now}}).sort("due", ASCENDING).limit(limit)
        tasks = [Task(raw["_id"], raw["touch"], raw.get("attempts", 0), raw.get("trace")) for raw in found]
        self._nothing_until = now + LOOK_EVERY if not tasks and touched == self._touched else None
        return tasks

    def done(self, task: Task) -> None:
        """Removes the task, unless it was touched again meanwhile."""
        self._tasks.delete_one({"_id": task.key, "touch": task.touch})

    def all_done(self, tasks: Sequence[Task]) -> None:
        """`done` for many at once."""
        if tasks:
            gone = [DeleteOne({"_id": task.key, "touch": task.touch}) for task in tasks]
            self._tasks.bulk_write(gone, ordered=False)

    def put_off(self, task: Task, error: str) -> None:
        """Tries again later, after a growing delay; the reason is kept for the operator."""
        delay = min(FIRST_DELAY * 2 ** min(task.attempts, 16), LONGEST_DELAY)
        self._tasks.update_one(
            {"_id": task.key},
            {"$inc": {"attempts": 1}, "$set": {"due": self._clock() + delay, "error": error[:500]}},
        )

    def still_waiting(self, keys: Iterable[str]) -> set[str]:
        """Which of these keys are due and not done."""
        found = self._tasks.find({"_id": {"$in": list(keys)}, "due": {"$lte": self._clock()}}, {"_id": 1})
        return {raw["_id"] for raw in found}

    def unfinished(self, keys: Iterable[str]) -> set[str]:
        """Which of these keys are not done, whether they are due or were put off."""
        return {raw["_id"] for raw in self._tasks.find({"_id": {"$in": list(keys)}}, {"_id": 1})}

    def waiting(self) -> int:
        return self._tasks.count_documents({})

    def troubled(self, limit: int = 50) -> list[dict[str, object]]:
        """Tasks that failed at least once: key, attempts, error."""
        found = self._tasks.find({"attempts": {"$gt": 0}}).limit(limit)
        return [{"key": raw["_id"], "attempts": raw["attempts"], "error": raw.get("error", "")} for raw in found]
