"""What the mesh service folds: redactions, which every node carries out in its store and its streams."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from shared.facts.fact import Fact
from shared.facts.names import LedgerName
from shared.facts.verify import Head
from shared.ledger.rows import Redaction, redactions_in
from shared.ledger.store import LedgerStore
from shared.ledger.work import Work


class RedactionFold:
    """Overwrites redacted payloads in the store, and leaves a task to delete them from the streams."""

    version = 1

    def __init__(self, store: LedgerStore, work: Work) -> None:
        self._store = store
        self._work = work

    def wants(self, ledger: LedgerName) -> bool:  # noqa: ARG002 - any ledger may hold a redaction
        return True

    def fold(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            named = redactions_in(fact)
            for redaction in named:
                self._store.forget(redaction.ledger, redaction.epoch, redaction.sequence)
            self._work.touch((task_key(redaction) for redaction in named), fact.trace)

    def rebuild(self, ledgers: Iterable[tuple[str, Iterable[Sequence[Fact]]]]) -> dict[str, Head]:
        done = {}
        for ledger, batches in ledgers:
            for facts in batches:
                self.fold(facts)
                last = facts[-1]
                done[ledger] = Head(last.header.epoch, last.header.sequence, last.hash)
        return done


def task_key(redaction: Redaction) -> str:
    return json.dumps([redaction.ledger, redaction.epoch, redaction.sequence])


def place_of_task(key: str) -> tuple[str, int, int]:
    ledger, epoch, sequence = json.loads(key)
    return str(ledger), int(epoch), int(sequence)
