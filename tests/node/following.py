"""A follower's ground for tests: a node's ledgers, rows of pilots, cursors, leases, and replicas as wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import mongoengine
from mongoengine import IntField, StringField

from shared.facts.fact import Fact
from shared.ledger.documents import Rows, StateRow
from shared.ledger.folding import RowsFold
from shared.ledger.follower import Follower
from shared.ledger.lease import Lease, replica_name
from shared.ledger.rows import Key, Row, digest_of_rows
from shared.service import use_database
from shared.settings import Settings
from tests.node.ledgers import LedgerNode, ledger_node, until
from tests.unit.facts.chains import Chain

SERVICE = "followed"


class PilotRow(StateRow):
    meta = {  # noqa: RUF012 - mongoengine reads it so
        "db_alias": SERVICE,
        "collection": "pilots",
        "strict": False,
        "auto_create_index": False,
        "indexes": ["title"],
    }
    title = StringField()
    people = IntField()


def columns(row: Row) -> dict[str, Any]:
    return {"title": row.state.get("title"), "people": row.state.get("people"), "upper": upper(row)}


def upper(row: Row) -> str:
    return str(row.state.get("title", "").upper())


def key(pilot_id: str, agency: str = "wfp") -> Key:
    return (agency, "registry", f"pilot/{pilot_id}")


@dataclass
class Following:
    """A node with a follower's ground: rows, cursors, leases; replicas are made as wanted."""

    node: LedgerNode
    rows: Rows
    touched: Callable[[Mapping[Key, Row], Sequence[Fact]], None] | None = None
    replicas: list[Follower] = field(default_factory=list)

    def fold(self, version: int = 1) -> RowsFold:
        return RowsFold(SERVICE, version, self.rows, {"registry"}, self._touch)

    def _touch(self, rows: Mapping[Key, Row], facts: Sequence[Fact]) -> None:
        if self.touched is not None:
            self.touched(rows, facts)

    def replica(self, *, version: int = 1, seconds: float = 3.0, kind: type[Follower] = Follower) -> Follower:
        database = self.node.client[self.node.settings.database(SERVICE)]
        lease = Lease(database["leases"], "follower", replica_name(), seconds)
        made = kind(SERVICE, self.node.store, database["cursors"], lease, self.fold(version), poll=0.1)
        self.replicas.append(made)
        return made

    def started(self, **more: Any) -> Follower:
        made = self.replica(**more)
        made.start()
        until(made.caught_up.is_set, "caught up")
        return made

    def digest(self) -> str:
        return digest_of_rows(self.rows.all())

    def digest_of_rebuild(self) -> str:
        fresh = self.rows.beside("__proof")
        fresh.drop()
        for ledger in self.node.store.ledgers():
            fresh.fold(self.node.store.after(ledger, (1, 0), 10_000))
        return digest_of_rows(fresh.all())


@contextmanager
def following_in(settings: Settings) -> Iterator[Following]:
    """Also used in child processes."""
    with ledger_node(settings) as node:
        use_database(settings, SERVICE)
        rows = Rows({"pilot": PilotRow}, {"pilot": columns})
        rows.ensure_indexes()
        made = Following(node, rows)
        try:
            yield made
        finally:
            for replica in made.replicas:
                replica.stop()
            mongoengine.disconnect(SERVICE)


def own_chain(node: LedgerNode, ledger: str) -> Chain:
    """A chain under the agency's real key, so that the store's facts are right in every respect."""
    return Chain(ledger=ledger, key=node.keyring.key(ledger.split(".", 1)[0]), mesh=node.identity.mesh)


def put(node: LedgerNode, *facts: Fact) -> None:
    node.store.insert(facts, [None] * len(facts), own=True)


def ids(*facts: Fact) -> list[str]:
    return [fact.header.subject.split("/")[1] for fact in facts]


def chain_of(node: LedgerNode, ledger: str, count: int, **state: object) -> list[Fact]:
    chain = own_chain(node, ledger)
    agency = ledger.split(".", 1)[0]
    return [
        chain.add({"lead_agency": agency, **state}, subject=f"pilot/0198c0de-0000-7000-8000-{number:012d}")
        for number in range(count)
    ]
