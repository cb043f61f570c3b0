"""The usual fold of a service: state rows for the kinds it follows, touched keys for what must still be done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from shared.facts.fact import Fact
from shared.facts.names import LedgerName
from shared.facts.verify import Head
from shared.ledger.documents import Rows
from shared.ledger.rows import FORMAT, Key, Row
from shared.telemetry import counter, span

Claimed = Callable[[Row, Sequence[str]], None]
"""Told of a new record whose id these other agencies use as well."""

Touched = Callable[[Mapping[Key, Row], Sequence[Fact]], None]
"""Told which rows a batch changed or repeated; persists what must be acted on before the cursor moves."""


class RowsFold:
    """Folds facts of `services` into `rows`, and tells `touched` before the follower moves on.

    `version` grows when the columns or their meaning change: everything is then folded again.
    """

    def __init__(
        self, name: str, version: int, rows: Rows, services: Iterable[str], touched: Touched | None = None
    ) -> None:
        self.name = name
        self.version = version * 1000 + FORMAT
        self.rows = rows
        self._services = frozenset(services)
        self._touched = touched
        self.rebuilt: Callable[[], None] | None = None
        """Called after a rebuild: what is set from rows must be set again."""
        self.claimed: Claimed | None = None

    def wants(self, ledger: LedgerName) -> bool:
        return ledger.service in self._services

    def fold(self, facts: Sequence[Fact]) -> None:
        mine = [fact for fact in facts if self.wants(fact.header.ledger)]
        if not mine:
            return
        with span(f"fold {self.name}", mine[0].trace, facts=len(mine)):
            rows = self.rows.fold(mine)
            if self._touched is not None:
                self._touched(rows, mine)
            self._look_for_claims(rows)
        counter("pilotmesh.follower.folded").add(len(mine), {"service": self.name})

    def _look_for_claims(self, rows: Mapping[Key, Row]) -> None:
        new = [row for key, row in rows.items() if row.revision == 0 and key[1] == self.name]
        if self.claimed is not None and new:
            for key, others in self.rows.sharing_ids(new).items():
                self.claimed(rows[key], others)

    def rebuild(self, ledgers: Iterable[tuple[str, Iterable[Sequence[Fact]]]]) -> dict[str, Head]:
        fresh = self.rows.beside("__rebuild")
        fresh.drop()
        done: dict[str, Head] = {}
        for ledger, batches in ledgers:
            for facts in batches:
                fresh.fold(facts)
                last = facts[-1]
                done[ledger] = Head(last.header.epoch, last.header.sequence, last.hash)
        fresh.take_the_place_of(self.rows)
        if self.rebuilt is not None:
            self.rebuilt()
        return done
