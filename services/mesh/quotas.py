"""Quotas: how much of one agency a hub takes in, so that one that floods, even with authentic facts, hurts nobody else.

Three levels per agency rise with what is taken in and sink evenly: facts and bytes within a day, and bytes within the
time that streams keep them, of which an agency gets a share. At the top of any its facts are taken in no faster than
the level sinks. Nothing is lost by it: they stay with their agency, and are pulled or asked for later. The levels of a
new agency, and of one that was away, are at the bottom: a backlog of up to a day's quota comes in at full speed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pymongo.collection import Collection

from shared.facts.fact import Fact
from shared.facts.names import ANCHOR
from shared.ledger.store import Document
from shared.settings import Settings

log = logging.getLogger(__name__)

DAY_SECONDS = 86_400.0
HEADERS_BYTES = 512
"""About what a message in a stream takes beside the fact."""
WRITTEN_EVERY_SECONDS = 1.0
"""A crash may forget what was counted for so long."""
EASED = 0.98
"""A flood is over when its level has sunk this far: nobody's intake starts and stops with each fact."""


@dataclass(frozen=True, slots=True)
class Quota:
    """One of the three: its top, and how many seconds it takes to sink from there to the bottom."""

    name: str
    top: float
    seconds: float
    setting: str
    unit: str


def quotas_of(settings: Settings) -> tuple[Quota, ...]:
    kept = settings.stream_max_bytes * settings.quota_stream_share
    age = settings.stream_max_age_days * DAY_SECONDS
    return (
        Quota("facts", settings.quota_facts, DAY_SECONDS, "PILOTMESH_QUOTA_FACTS", "facts a day"),
        Quota("bytes", settings.quota_bytes, DAY_SECONDS, "PILOTMESH_QUOTA_BYTES", "bytes a day"),
        Quota("kept", kept, age, "PILOTMESH_QUOTA_STREAM_SHARE", "bytes of what streams keep"),
    )


class Quotas:
    """One at a time: whoever counts holds the intake's lock. Reading is open to all threads."""

    def __init__(
        self, collection: Collection[Document], quotas: Iterable[Quota], clock: Callable[[], float] = time.time
    ) -> None:
        self._collection = collection
        self._quotas = tuple(quotas)
        self._clock = clock
        self._levels: dict[str, tuple[dict[str, float], float]] = {}
        self._over: dict[str, str] = {}
        self._written: dict[str, float] = {}

    def reload(self) -> None:
        """As another replica may have left them."""
        found = list(self._collection.find({}))
        names = [quota.name for quota in self._quotas]
        self._levels = {one["_id"]: ({name: one.get(name, 0.0) for name in names}, one["at"]) for one in found}
        self._written, self._over = {one["_id"]: one["at"] for one in found}, {}

    def notice_lifted(self) -> None:
        """Another replica may have been told to forget what was counted for an agency."""
        if self._written:
            there = {one["_id"] for one in self._collection.find({}, {"_id": 1})}
            for agency in self._written.keys() - there:
                self._levels.pop(agency, None)
                del self._written[agency]

    def count(self, agency: str, facts: Iterable[Fact]) -> None:
        """These were taken in."""
        if agency == ANCHOR:
            return
        sizes = [len(fact.protected) + len(fact.payload or b"") + HEADERS_BYTES for fact in facts]
        taken = {"facts": len(sizes), "bytes": sum(sizes), "kept": sum(sizes)}
        now = self._clock()
        levels = {name: level + taken[name] for name, level in self._now(agency, now).items()}
        self._levels[agency] = (levels, now)
        if now - self._written.get(agency, 0.0) >= WRITTEN_EVERY_SECONDS:
            self._written[agency] = now
            self._collection.replace_one({"_id": agency}, {"_id": agency, **levels, "at": now}, upsert=True)

    def over(self, agency: str) -> str | None:
        """Why no more of this agency is taken in just now; None if there is room."""
        levels = self._now(agency, self._clock())
        share = EASED if agency in self._over else 1.0
        full = next((quota for quota in self._quotas if levels[quota.name] >= quota.top * share), None)
        if full is None:
            self._over.pop(agency, None)
            return None
        why = (
            f"{agency} has sent as much as {full.setting} allows ({full.top:,.0f} {full.unit}): what follows is taken "
            "in slowly, and what others send as ever"
        )
        if agency not in self._over:
            log.error("quota: %s", why)
        self._over[agency] = why
        return why

    def all_over(self) -> Mapping[str, str]:
        """Agencies of which no more is taken in just now, and why."""
        told = {agency: self.over(agency) for agency in list(self._levels)}
        return {agency: why for agency, why in sorted(told.items()) if why is not None}

    def lift(self, agency: str) -> None:
        """What was counted for this agency is forgotten: an operator says that it is right."""
        self._levels.pop(agency, None)
        self._written.pop(agency, None)
        self._collection.delete_one({"_id": agency})

    def _now(self, agency: str, now: float) -> dict[str, float]:
        levels, at = self._levels.get(agency, ({}, now))
        passed = max(0.0, now - at)
        return {
            quota.name: max(0.0, levels.get(quota.name, 0.0) - passed * quota.top / quota.seconds)
            for quota in self._quotas
        }
