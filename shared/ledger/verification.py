"""Walks every ledger of a node and proves sequence, chain, digests and signatures, or names the first wrong fact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from shared.facts.fact import Fact
from shared.facts.names import ANCHOR
from shared.facts.verify import Head, Trouble, check
from shared.ledger.identity import Identity, Roster
from shared.ledger.store import Document, LedgerStore, document_of, fact_of


@dataclass(slots=True)
class LedgerReport:
    """What the walk found in one ledger. `fault` is None if everything is proven."""

    ledger: str
    facts: int = 0
    redacted: int = 0
    head: Head = field(default_factory=Head)
    fault: str | None = None


def verify_node(
    store: LedgerStore, identity: Identity, progress: Callable[[LedgerReport], None] = lambda _: None
) -> list[LedgerReport]:
    """Every ledger in the store, the roster first: whom the others are checked against stands there."""
    book = Roster(store, identity).book()
    reports = []
    ledgers = sorted(store.ledgers(), key=lambda ledger: (not ledger.startswith(f"{ANCHOR}."), ledger))
    for ledger in ledgers:
        report = LedgerReport(ledger)
        for document in store.walk(ledger):
            fact = fact_of(document)
            try:
                report.head = check(fact, mesh=identity.mesh, head=report.head, book=book)
            except Trouble as trouble:
                report.fault = f"{trouble.code}: {trouble.detail}"
                break
            differing = _columns_that_differ(document, fact)
            if differing:
                report.fault = f"columns: {fact.place}: {', '.join(differing)} differ from what was signed"
                break
            report.facts += 1
            report.redacted += fact.payload is None
        reports.append(report)
        progress(report)
    return reports


def _columns_that_differ(document: Document, fact: Fact) -> list[str]:
    """Columns of the stored document that do not say what the signed bytes say: a query would mislead."""
    expected = document_of(fact, None, own=document["own"], at=document["stored_at"])
    columns = ("_id", "ledger", "epoch", "sequence", "agency", "service", "aggregate", "version", "type")
    return [name for name in columns if document.get(name) != expected[name]]
