"""What the mesh service folds: redactions, which every node carries out in its store and its streams."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from pymongo.collection import Collection

from shared.facts.fact import Fact
from shared.facts.names import LedgerName
from shared.facts.verify import REDACTED, Head
from shared.ledger.cutting import Cutting
from shared.ledger.rows import Redaction, redactions_in
from shared.ledger.store import Document, LedgerStore
from shared.ledger.work import Work

from .confirming import Confirmations
from .waiting import forget_waiting


class RedactionFold:
    """Overwrites redacted payloads wherever this service keeps facts, leaves a task to delete them from the streams,
    and an entry by which the node will say that it has done so."""

    version = 2

    def __init__(self, store: LedgerStore, work: Work, confirmations: Confirmations, waiting: Collection[Document]):
        self._store = store
        self._cutting = Cutting(store)
        self._work = work
        self._confirmations = confirmations
        self._waiting = waiting

    def wants(self, ledger: LedgerName) -> bool:  # noqa: ARG002 - any ledger may hold a redaction
        return True

    def fold(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            named = redactions_in(fact)
            for redaction in named:
                place = (redaction.ledger, redaction.epoch, redaction.sequence)
                self._store.forget(*place)
                self._cutting.forget(*place)
                forget_waiting(self._waiting, *place)
            self._work.touch((task_key(redaction) for redaction in named), fact.trace)
            if fact.header.type == REDACTED:  # the last: whoever sees the entry finds its tasks
                self._confirmations.note(fact)

    def rebuild(self, ledgers: Iterable[tuple[str, Iterable[Sequence[Fact]]]]) -> dict[str, Head]:
        done = {}
        for ledger, batches in ledgers:
            for facts in batches:
                self.fold(facts)
                last = facts[-1]
                done[ledger] = Head(last.header.epoch, last.header.sequence, last.hash)
        return done


def task_key(redaction: Redaction) -> str:
    return key_of_place(redaction.ledger, redaction.epoch, redaction.sequence)


def key_of_place(ledger: str, epoch: int, sequence: int) -> str:
    return json.dumps([ledger, epoch, sequence])


def place_of_task(key: str) -> tuple[str, int, int]:
    ledger, epoch, sequence = json.loads(key)
    return str(ledger), int(epoch), int(sequence)
