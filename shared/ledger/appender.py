"""Group commit: concurrent commands of a process share one ordered, journaled insert.

Each draft meets one of four ends: recorded; found already recorded (same command); refused, because its
version or its idempotency key is taken; or failed, because the store could not be reached. What was answered
as recorded is in the store. Several processes may append to one ledger: the unique index decides, and whoever
loses reads the new head, decides again and signs again.
"""

from __future__ import annotations

import itertools
import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime

from pymongo.errors import AutoReconnect, BulkWriteError, PyMongoError

from shared.facts.fact import SALT_BYTES, Fact, rfc3339
from shared.facts.ids import new_id
from shared.facts.keys import SigningKey, Unsigned, seal
from shared.facts.names import fact_type
from shared.facts.verify import Head
from shared.ledger.drafts import Draft, Recorded, payload_of
from shared.ledger.keyring import Keyring, Stamp
from shared.ledger.signing import signer
from shared.ledger.store import Command, LedgerStore
from shared.ledger.waiting import Waiting, answer_repetition, refuse, stale
from shared.problems import Conflict, Unavailable

log = logging.getLogger(__name__)

DUPLICATE_KEY = 11000
AWAY = "The ledger did not answer in time; it may have been recorded: repeat with the same Idempotency-Key."
STOPPING = "The node is stopping; send this again in a moment."
ATTEMPTS = 64
"""How often a draft is decided again after losing a race, before the client is asked to retry."""
PATIENCE_SECONDS = 20.0
"""How long the store may be away before what waits for it is refused; less than callers wait."""


class Appender:
    """One thread that numbers, signs and inserts. `on_committed` sees every batch before it is acknowledged."""

    def __init__(
        self,
        store: LedgerStore,
        keyring: Keyring,
        mesh: str,
        *,
        batch: int = 256,
        on_committed: Callable[[Sequence[Fact]], None] | None = None,
        after_commit: Callable[[Sequence[Fact]], None] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._mesh = mesh
        self._batch = batch
        self._on_committed = on_committed
        self._after_commit = after_commit
        self._clock = clock
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._heads: dict[str, Head] = {}
        self._keys: dict[str, SigningKey] = {}
        self._stamps: dict[str, Stamp | None] = {}
        self._thread = threading.Thread(target=self._run, name="appender", daemon=True)
        self._gate = threading.Lock()
        self._stopping = False
        self.frozen: dict[str, str] = {}
        """Ledgers that must not be written to, and why: they contradict what streams or witnesses hold.
        Filled before the start; a ledger that is reopened afterwards goes on at once."""
        self._frozen_in: dict[str, int] = {}

    def start(self) -> None:
        self._frozen_in = {ledger: self._store.head(ledger).epoch for ledger in self.frozen}
        self._thread.start()

    def stop(self) -> None:
        """Finishes what was submitted, then ends; nothing is taken in any more."""
        with self._gate:
            self._stopping = True
            self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=PATIENCE_SECONDS + 10)
        else:
            refuse([one for one in self._taken() if one is not None], Unavailable(STOPPING))

    # -- for callers -----------------------------------------------------------------------------------------

    def submit(self, draft: Draft) -> Future[Recorded]:
        """Raises TooLarge before anything is signed, Misdirected if the agency is not hosted here, Conflict if frozen.

        ValueError: no node would take such a fact (a kind of another service, another agency's record).
        """
        self._keyring.key(draft.agency)
        self._refuse_if_frozen(draft.ledger)
        waiting = Waiting(draft, payload_of(draft))
        with self._gate:
            if self._stopping:
                raise Unavailable(STOPPING)
            self._queue.put(waiting)
        return waiting.done

    def _refuse_if_frozen(self, ledger: str) -> None:
        remedy = f"Restore what is missing, or give it up: `pilotmesh ledger reopen {ledger} --recovery-key FILE`."
        if ledger in self.frozen and self._store.head(ledger).epoch <= self._frozen_in.get(ledger, 1):
            raise Conflict(f"{ledger} is frozen: {self.frozen[ledger]}. {remedy}")
        if ledger in self._store.frozen:
            raise Conflict(f"{ledger} is frozen: two facts claim one place in it. {remedy}")

    def record(self, draft: Draft, timeout: float = 30.0) -> Recorded:
        """Submits and waits for the commit. Raises Stale, ReusedKey, TooLarge, Misdirected or Unavailable."""
        return self.wait(self.submit(draft), timeout)

    def wait(self, done: Future[Recorded], timeout: float = 30.0) -> Recorded:
        """Waits for the commit of what was submitted. Raises as `record` does."""
        try:
            return done.result(timeout)
        except TimeoutError as error:
            done.cancel()  # if it still waits for its turn, it is not written after the caller was told to repeat it
            raise Unavailable(AWAY) from error

    # -- the thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            taken = [self._queue.get(), *itertools.islice(self._taken(), self._batch - 1)]
            batch = [one for one in taken if one is not None]
            if batch:
                self._commit_all(batch)
            if self._stopping and self._queue.empty():
                return

    def _taken(self) -> Iterator[Waiting | None]:
        """What waits in the queue just now."""
        while True:
            try:
                yield self._queue.get_nowait()
            except queue.Empty:
                return

    def _commit_all(self, batch: list[Waiting]) -> None:
        remaining = batch
        until = time.monotonic() + PATIENCE_SECONDS
        while remaining:
            try:
                remaining = self._commit_some(remaining)
            except PyMongoError as error:
                log.warning("ledger store: %s", error)
                self._forget()
                remaining = [one for one in remaining if not one.done.done()]
                if not isinstance(error, AutoReconnect) or time.monotonic() > until:
                    refuse(remaining, Unavailable(f"{AWAY} ({type(error).__name__})"))
                    return
                time.sleep(0.1)
            except Exception as error:  # one bad draft must not end the thread, nor take its neighbours with it
                log.exception("append failed")
                self._forget()
                remaining = [one for one in remaining if not one.done.done()]
                if len(remaining) == 1:
                    refuse(remaining, error)
                    return
                for one in remaining:
                    self._commit_all([one])
                return

    def _commit_some(self, batch: list[Waiting]) -> list[Waiting]:
        """Commits a prefix, settles conflicts, and returns who must be decided again."""
        ready = self._settle([one for one in batch if not one.done.done()])
        if not ready:
            return []
        facts = self._seal_all(ready)
        for waiting, fact in zip(ready, facts, strict=True):
            waiting.tried.append(fact)
        commands = [waiting.draft.command for waiting in ready]
        noted = False
        try:
            self._store.insert(facts, commands, own=True)
            committed, noted = len(facts), True
        except BulkWriteError as error:
            committed = int(error.details.get("nInserted", 0))
            if error.details.get("writeConcernErrors"):  # written, but is it on a majority's disk?
                committed = self._committed_after_lost_answer(facts)
            for problem in error.details.get("writeErrors", ()):
                if problem.get("code") != DUPLICATE_KEY:
                    told = Unavailable(f"The ledger store refused this: {problem.get('errmsg', '')}")
                    refuse([ready[problem["index"]]], told)
        except AutoReconnect:
            committed = self._committed_after_lost_answer(facts)
        if not noted:  # or whoever publishes would find them only when it looks at everything
            self._store.note_tails(facts[:committed])
        self._acknowledge(ready[:committed], facts[:committed])
        rest = [one for one in ready[committed:] if not one.done.done()]
        if rest:
            self._forget()
            for waiting in rest:
                waiting.attempts += 1
            exhausted = [waiting for waiting in rest if waiting.attempts > ATTEMPTS]
            refuse(exhausted, Unavailable("Many are writing to this ledger; send this again."))
            rest = [waiting for waiting in rest if waiting.attempts <= ATTEMPTS]
        return rest

    def _settle(self, batch: list[Waiting]) -> list[Waiting]:
        """Answers repeated commands and refuses taken versions, before anything is numbered."""
        keys = [waiting.draft.command.key for waiting in batch if waiting.draft.command]
        known = self._store.by_command(keys)
        versions = self._store.newest_versions(
            waiting.draft.aggregate for waiting in batch if waiting.draft.version > 1 or waiting.attempts
        )
        landed = self._store.hashes_present([fact.hash for waiting in batch for fact in waiting.tried])
        found = [fact for waiting in batch for fact in waiting.tried if fact.hash in landed]
        self._store.ensure_durable([*found, *(fact for _, fact in known.values())])
        ready: list[Waiting] = []
        keys_here: dict[str, Waiting] = {}
        for waiting in batch:
            draft = waiting.draft
            own = next((fact for fact in waiting.tried if fact.hash in landed), None)
            if own is not None:
                self._acknowledge([waiting], [own])
                continue
            if draft.command is not None:
                if draft.command.key in known:
                    earlier, fact = known[draft.command.key]
                    answer_repetition(waiting, earlier, fact)
                    continue
                if draft.command.key in keys_here:
                    self._queue.put(waiting)  # the twin is in this batch: the next one finds it recorded
                    continue
                keys_here[draft.command.key] = waiting
            there = versions.get(draft.aggregate, 0)
            checked = draft.aggregate in versions or draft.version > 1
            if checked and draft.version != there + 1:
                if draft.command is not None:
                    del keys_here[draft.command.key]
                refuse([waiting], stale(draft, there))
                continue
            versions[draft.aggregate] = draft.version
            ready.append(waiting)
        return ready

    def _seal_all(self, ready: list[Waiting]) -> list[Fact]:
        now = rfc3339(self._clock())
        heads: dict[str, Head] = {}
        keys: dict[str, SigningKey] = {}
        facts = []
        self._forget_if_touched({waiting.draft.agency for waiting in ready})
        for waiting in ready:
            draft = waiting.draft
            ledger = draft.ledger
            head = heads.get(ledger) or self._heads.get(ledger) or self._store.head(ledger)
            key = keys.get(ledger) or self._keys.get(ledger) or signer(self._store, self._keyring, ledger, head)
            unsigned = Unsigned(
                mesh=self._mesh,
                ledger=ledger,
                id=new_id(),
                type=fact_type(draft.kind, draft.verb),
                subject=draft.subject,
                version=draft.version,
                time=now,
                actor=draft.author.actor,
                role=draft.author.role,
                office=draft.author.office,
                payload=waiting.payload,
                rests_on=draft.rests_on,
                trace=draft.trace,
            )
            fact = seal(
                unsigned,
                epoch=head.epoch,
                sequence=head.sequence + 1,
                previous=head.hash,
                salt=secrets.token_bytes(SALT_BYTES),
                key=key,
            )
            heads[ledger] = Head(head.epoch, head.sequence + 1, fact.hash)
            keys[ledger] = key
            facts.append(fact)
        self._keys.update(keys)
        return facts

    def _forget_if_touched(self, agencies: set[str]) -> None:
        """A key that was replaced or put away, by whichever process of the node, ends what is remembered of its
        ledgers. As long as a remembered head is the newest, nothing but this appender has followed it, so that the
        remembered key holds: rekeying is a fact of the ledger itself."""
        for agency in agencies:
            stamp = self._keyring.stamp(agency)
            if self._stamps.get(agency) != stamp:
                self._stamps[agency] = stamp
                for known in (self._heads, self._keys):
                    for ledger in [one for one in known if one.startswith(f"{agency}.")]:
                        del known[ledger]

    def _forget(self) -> None:
        self._heads.clear()
        self._keys.clear()

    def _committed_after_lost_answer(self, facts: Sequence[Fact]) -> int:
        """The connection broke: looks for our own hashes, because the insert may have been done."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                there = self._store.hashes_present([fact.hash for fact in facts])
                self._store.barrier()  # after the look: what was seen is then known to be on disk
            except PyMongoError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
                continue
            committed = 0
            while committed < len(facts) and facts[committed].hash in there:
                committed += 1
            return committed

    def _acknowledge(self, waiting: Sequence[Waiting], facts: Sequence[Fact]) -> None:
        if not facts:
            return
        for fact in facts:
            ledger = str(fact.header.ledger)
            held = self._heads.get(ledger)
            if held is None or held.position < fact.header.position:
                self._heads[ledger] = Head(fact.header.epoch, fact.header.sequence, fact.hash)
        if self._on_committed is not None:
            try:
                self._on_committed(facts)
            except Exception:  # the facts are committed: the follower folds them, whatever the inline fold met
                log.exception("inline fold failed; the follower will fold these facts")
        for one, fact in zip(waiting, facts, strict=True):
            command: Command | None = one.draft.command
            if one.done.set_running_or_notify_cancel():
                one.done.set_result(Recorded(fact, answer=None if command is None else command.answer))
        if self._after_commit is not None:
            try:
                self._after_commit(facts)
            except Exception:  # a nudge is a courtesy: the relay and the followers also look by themselves
                log.exception("nudge failed")
