"""Walks every ledger of a node and proves sequence, chain, digests and signatures, or names the first wrong fact."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pymongo import ReplaceOne

from shared.facts.fact import Fact, Unreadable
from shared.facts.keys import KeyBook
from shared.facts.names import ANCHOR
from shared.facts.verify import Head, Trouble, check
from shared.ledger.cutting import Cutting
from shared.ledger.identity import Identity, Roster, key_book
from shared.ledger.rows import redactions_in
from shared.ledger.store import Document, LedgerStore, document_of, fact_of, stand_in_version

SHOWN = 50
"""Of witnessed heads that are gone, so many sentences are kept."""


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
    """Every ledger of which the store holds a fact, the roster first: whom the others are checked against.

    What was appended while the walk goes on may or may not be seen by it. Heads that others have witnessed are not
    this walk's business: a ledger that was cut short is a right one, only shorter.
    """
    book = _book(store, identity)
    counted = store.relist()
    reports = []
    for ledger in sorted(counted, key=lambda ledger: (not ledger.startswith(f"{ANCHOR}."), ledger)):
        report = _walk(store, identity, book, ledger)
        if report.fault is None and report.facts < counted[ledger]:
            at, beyond = report.head, counted[ledger] - report.facts
            report.fault = f"gap: {ledger}: {beyond} facts stand beyond a gap after {at.epoch}:{at.sequence}"
        reports.append(report)
        progress(report)
    return reports


NODE = "*"
"""In `verified`, the walk as a whole; no ledger is called so."""


def note_verification(
    store: LedgerStore, reports: Sequence[LedgerReport], missing: Sequence[str], now: datetime
) -> bool:
    """Keeps beside the ledgers when they were last walked, and what was found. Returns whether all is proven."""
    proven = not missing and all(report.fault is None for report in reports)
    walked: list[Document] = [
        {
            "_id": report.ledger,
            "at": now,
            "proven": report.fault is None,
            "epoch": report.head.epoch,
            "sequence": report.head.sequence,
            "fault": report.fault,
        }
        for report in reports
    ]
    whole: Document = {"_id": NODE, "at": now, "proven": proven, "missing": list(missing[:SHOWN])}
    notes = [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in (*walked, whole)]
    store.database["verified"].bulk_write(notes)
    return proven


def last_verifications(store: LedgerStore) -> dict[str, Document]:
    """By ledger, and for the node as a whole under NODE: `at`, `proven`, and per ledger how far it was walked."""
    return {one.pop("_id"): one for one in store.database["verified"].find({})}


def _book(store: LedgerStore, identity: Identity) -> KeyBook:
    try:
        return Roster(store, identity).book()
    except (ValueError, KeyError, TypeError, AttributeError):  # the walk over the roster's ledger says what is wrong
        return key_book(identity, None)


def _walk(store: LedgerStore, identity: Identity, book: KeyBook, ledger: str) -> LedgerReport:
    report = LedgerReport(ledger)
    forgotten: dict[tuple[int, int], str] = {}
    named: set[tuple[int, int]] = set()
    for document in store.walk(ledger):
        place = f"{ledger}:{document['epoch']}:{document['sequence']}"
        try:
            fact = fact_of(document)
            differing = _columns_that_differ(document, fact)
            if differing:
                report.fault = f"columns: {place}: {', '.join(differing)} differ from what was signed"
                return report
            report.head = check(fact, mesh=identity.mesh, head=report.head, book=book)
        except Trouble as trouble:
            report.fault = f"{trouble.code}: {trouble.detail}"
            return report
        except (Unreadable, KeyError, TypeError) as error:
            report.fault = f"unreadable: {place}: {error}"
            return report
        report.facts += 1
        named.update((one.epoch, one.sequence) for one in redactions_in(fact))
        if fact.payload is None:
            report.redacted += 1
            forgotten[fact.header.position] = place
    unexplained = {position for position in forgotten if position not in named}
    if unexplained:  # a thief may have redacted, and been carried out before the key was revoked
        unexplained -= _named_by_given_up(store, ledger)
    for position, place in forgotten.items():
        if position in unexplained:
            report.fault = f"redaction: {place}: the payload is gone, but no redaction in this ledger names it"
            break
    return report


def _named_by_given_up(store: LedgerStore, ledger: str) -> set[tuple[int, int]]:
    """Places that redactions named which were given up themselves: the contents are gone all the same."""
    return {(one.epoch, one.sequence) for fact in Cutting(store).redactions(ledger) for one in redactions_in(fact)}


def _columns_that_differ(document: Document, fact: Fact) -> list[str]:
    """Columns of the stored document that do not say what the signed bytes say: a query would mislead."""
    expected = document_of(fact, None, own=document["own"], at=document["stored_at"])
    columns = ("_id", "ledger", "epoch", "sequence", "agency", "service", "aggregate", "version", "type", "rekeys")
    if document.get("version") == stand_in_version(fact.hash):
        expected["version"] = document["version"]
    return [name for name in columns if document.get(name) != expected.get(name)]
