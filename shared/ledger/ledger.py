"""A service's side of its ledgers: what stands, what was asked before, and how a change is recorded."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Required, TypedDict, Unpack

from shared.facts.fact import Fact
from shared.ledger.appender import Appender
from shared.ledger.drafts import SYSTEM, Author, Draft, Recorded
from shared.ledger.keyring import Keyring
from shared.ledger.rows import WITHDRAWN
from shared.ledger.store import Command, LedgerStore
from shared.problems import NotFound, ReusedKey, Stale
from shared.telemetry import traceparent


class Gone(NotFound):
    """The record was here and was withdrawn."""

    status, slug, title = 410, "gone", "The record was withdrawn"


class Terms(TypedDict, total=False):
    """What may be said of a reaction besides what it records; its version must be."""

    version: Required[int]
    audience: str
    trace: str | None
    author: Author
    rests_on: tuple[Any, ...]


class Ledger:
    """What one service may do with the ledgers of the agencies this node hosts."""

    def __init__(
        self,
        service: str,
        store: LedgerStore,
        appender: Appender,
        keyring: Keyring,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.service = service
        self.store = store
        self._appender = appender
        self._keyring = keyring
        self.now = clock

    def hosts(self, agency: str) -> bool:
        return self._keyring.hosts(agency)

    def hosted(self) -> list[str]:
        return self._keyring.hosted()

    def newest(self, agency: str, kind: str, aggregate_id: str) -> Fact | None:
        """The newest fact about an aggregate of this service, whatever it says."""
        return self.store.newest(agency, self.service, f"{kind}/{aggregate_id}")

    def current(self, agency: str, kind: str, aggregate_id: str) -> tuple[dict[str, Any], int, Fact]:
        """State, version and newest fact of a record that lives. Raises NotFound or Gone.

        A record that was narrowed has a `withdrawn` as its newest fact and lives on in the narrower ledger.
        """
        newest = self.newest(agency, kind, aggregate_id)
        if newest is None:
            raise NotFound(f"No {kind} {aggregate_id} of {agency} here.")
        living = newest
        if newest.header.verb == WITHDRAWN:
            found = self._living(agency, kind, aggregate_id)
            if found is None:
                raise Gone(f"This {kind} was withdrawn by {agency}.")
            living = found
        if living.state is None:
            raise Gone(f"The content of this {kind} was redacted by {agency}.")
        return dict(living.state), newest.header.version, living

    def _living(self, agency: str, kind: str, aggregate_id: str) -> Fact | None:
        """The newest full state, unless its own ledger has withdrawn it: the rule by which rows show it."""
        newest: Fact | None = None
        for fact in self.store.versions(agency, self.service, f"{kind}/{aggregate_id}"):
            if fact.header.verb != WITHDRAWN:
                newest = fact
            elif newest is not None and fact.header.ledger == newest.header.ledger:
                newest = None
        return newest

    def earlier_answer(self, command: Command | None) -> Recorded | None:
        """What the same command was answered with before. Raises ReusedKey if its body was another."""
        if command is None:
            return None
        found = self.store.by_command([command.key]).get(command.key)
        if found is None:
            return None
        earlier, fact = found
        if earlier.digest != command.digest:
            raise ReusedKey("This Idempotency-Key came with another body before; send a new key with a new request.")
        self.store.ensure_durable([fact])
        return Recorded(fact, replayed=True, answer=earlier.answer)

    def record(self, draft: Draft) -> Recorded:
        """Commits one change. What is returned is in the store, journaled on a majority."""
        return self._appender.record(self._traced(draft))

    def submit(self, draft: Draft) -> Future[Recorded]:
        """Like `record`, without waiting: for many changes that may share one insert."""
        return self._appender.submit(self._traced(draft))

    def react(
        self,
        cause: str,
        agency: str,
        kind: str,
        verb: str,
        aggregate_id: str,
        state: dict[str, Any],
        **terms: Unpack[Terms],
    ) -> Recorded | None:
        """Records what follows from a cause; done twice it is done once. None if a later change overtook it."""
        return self.outcome(self.submit_reaction(cause, agency, kind, verb, aggregate_id, state, **terms))

    def outcome(self, reaction: Future[Recorded]) -> Recorded | None:
        """What became of a reaction, once it is settled; None if a later change overtook it."""
        try:
            return self._appender.wait(reaction)
        except Stale:
            return None

    def submit_reaction(
        self,
        cause: str,
        agency: str,
        kind: str,
        verb: str,
        aggregate_id: str,
        state: dict[str, Any],
        *,
        version: int,
        audience: str = "mesh",
        trace: str | None = None,
        author: Author = SYSTEM,
        rests_on: tuple[Any, ...] = (),
    ) -> Future[Recorded]:
        """Like `react`, without waiting: for many that may share one insert. Hand the answer to `outcome`."""
        key = f"reaction|{agency}|{self.service}|{kind}|{verb}|{aggregate_id}|{cause}"
        draft = Draft(
            agency=agency,
            service=self.service,
            kind=kind,
            verb=verb,
            id=aggregate_id,
            version=version,
            state=state,
            author=author,
            audience=audience,
            rests_on=tuple(rests_on),
            command=Command(key, "reaction", aggregate_id),
            trace=trace,
        )
        return self._appender.submit(draft)

    @staticmethod
    def _traced(draft: Draft) -> Draft:
        if draft.trace is not None:
            return draft
        return replace(draft, trace=traceparent())
