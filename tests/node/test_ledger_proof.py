"""Proving a node's ledgers: whatever is changed in the store is named, and nothing that is right is blamed."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bson import Binary

from shared.facts.fact import Fact
from shared.ledger.drafts import Author, Draft
from shared.ledger.store import Document
from shared.ledger.verification import LedgerReport, verify_node
from shared.settings import Settings
from tests.node.ledgers import LedgerNode, ledger_node, pilot
from tests.unit.facts.chains import Chain, key_of

LEDGER = "wfp.registry"


@pytest.fixture
def node(database_settings: Settings) -> Iterator[LedgerNode]:
    with ledger_node(database_settings) as made:
        made.host("wfp", "fao")
        appender = made.appender()
        for draft in (pilot(), pilot(), pilot(), pilot(audience="private"), pilot(agency="fao")):
            appender.record(draft)
        yield made


def faults(node: LedgerNode) -> dict[str, str]:
    return {report.ledger: report.fault for report in verify_node(node.store, node.identity) if report.fault}


def document(node: LedgerNode, sequence: int = 2, ledger: str = LEDGER) -> Document:
    found = node.store.facts.find_one({"ledger": ledger, "sequence": sequence})
    assert found is not None
    return found


def redact(node: LedgerNode, *sequences: int) -> Fact:
    facts = [node.store.at(LEDGER, 1, sequence) for sequence in sequences]
    named = [{"epoch": 1, "sequence": f.header.sequence, "subject": f.header.subject} for f in facts if f is not None]
    state = {"facts": named, "reason": "error"}
    draft = Draft("wfp", "registry", "fact", "redacted", f"r-{sequences[0]}", 1, state, Author("admin", "admin"))
    return node.appender().record(draft).fact


def test_a_node_as_it_is_written_is_proven(node: LedgerNode) -> None:
    seen: list[LedgerReport] = []
    reports = verify_node(node.store, node.identity, seen.append)
    assert {one.ledger: (one.facts, one.fault) for one in reports} == {
        "hub.mesh": (1, None),
        "fao.registry": (1, None),
        "wfp.registry": (3, None),
        "wfp.registry.private": (1, None),
    }
    assert reports[0].ledger == "hub.mesh"
    assert seen == reports
    assert all(report.head == node.store.head(report.ledger) for report in reports)


def flipped(value: bytes, place: int = 7) -> Binary:
    changed = bytearray(value)
    changed[place % len(changed)] ^= 0x20
    return Binary(bytes(changed))


CHANGES: dict[str, Callable[[Document], dict[str, Any]]] = {
    "protected": lambda d: {"protected": flipped(d["protected"])},
    "protected emptied": lambda _: {"protected": Binary(b"")},
    "payload": lambda d: {"payload": flipped(d["payload"])},
    "payload as text": lambda d: {"payload": d["payload"].decode()},
    "payload gone": lambda _: {"payload": None},
    "salt": lambda d: {"salt": flipped(d["salt"])},
    "payload and salt gone": lambda _: {"payload": None, "salt": None, "redacted": True},
    "signature": lambda d: {"signature": flipped(d["signature"])},
    "signature gone": lambda _: {"signature": None},
    "version": lambda _: {"version": 7},
    "aggregate": lambda _: {"aggregate": "pilot/another"},
    "agency": lambda _: {"agency": "fao"},
    "type": lambda _: {"type": "org.pilotmesh.pilot.withdrawn.v1"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_is_changed_in_a_document_is_named(node: LedgerNode, change: str) -> None:
    found = document(node)
    node.store.facts.update_one({"_id": found["_id"]}, {"$set": CHANGES[change](found)})
    told = faults(node)
    assert set(told) == {LEDGER}
    assert f"{LEDGER}:1:2" in told[LEDGER]


def test_a_fact_taken_out_is_named_by_the_one_after_it(node: LedgerNode) -> None:
    node.store.facts.delete_one({"_id": document(node)["_id"]})
    assert faults(node).keys() == {LEDGER}
    assert "expected sequence 2" in faults(node)[LEDGER]


def test_a_fact_moved_to_another_ledger_is_missed_where_it_was(node: LedgerNode) -> None:
    found = document(node)
    node.store.facts.update_one({"_id": found["_id"]}, {"$set": {"ledger": "fao.registry"}})
    told = faults(node)
    assert set(told) == {LEDGER, "fao.registry"}
    assert "fao.registry:1:2" in told["fao.registry"]


@pytest.mark.parametrize(
    "change", [{"sequence": 10**6}, {"epoch": 9}, {"epoch": 2**53}, {"sequence": "2"}, {"epoch": None}], ids=str
)
def test_a_fact_moved_out_of_sight_is_missed(node: LedgerNode, change: dict[str, object]) -> None:
    node.store.facts.update_one({"_id": document(node, 3)["_id"]}, {"$set": change})
    assert faults(node).keys() == {LEDGER}


def test_a_ledger_taken_off_the_list_is_proven_all_the_same(node: LedgerNode) -> None:
    node.store.database["ledgers"].delete_many({})
    node.store.facts.update_one({"_id": document(node)["_id"]}, {"$set": {"payload": Binary(b"{}")}})
    assert "digest" in faults(node)[LEDGER]


def test_one_wrong_ledger_does_not_hide_another(node: LedgerNode) -> None:
    for ledger in (LEDGER, "fao.registry"):
        found = document(node, 1, ledger)
        node.store.facts.update_one({"_id": found["_id"]}, {"$set": {"signature": flipped(found["signature"])}})
    assert faults(node).keys() == {LEDGER, "fao.registry"}


@pytest.mark.parametrize("payload", [b"no JSON", b"[]", b'{"agencies":7}', b'{"agencies":[{"agency":"wfp"}]}'])
def test_a_roster_that_cannot_be_read_is_named(node: LedgerNode, payload: bytes) -> None:
    node.store.facts.update_one({"ledger": "hub.mesh"}, {"$set": {"payload": Binary(payload)}})
    told = faults(node)
    assert told["hub.mesh"].startswith("digest: hub.mesh:1:1")
    assert "not in the roster" in told[LEDGER]


def test_a_forged_fact_beyond_the_head_is_named(node: LedgerNode) -> None:
    head = node.store.head(LEDGER)
    forger = Chain(key=key_of("mallory"), mesh=node.identity.mesh, head=head)
    node.store.insert([forger.add()], [None], own=True)
    assert "key" in faults(node)[LEDGER]
    assert f"{LEDGER}:1:4" in faults(node)[LEDGER]


def test_a_redaction_explains_what_is_gone_and_the_chain_still_proves(node: LedgerNode) -> None:
    redact(node, 1, 2)
    assert faults(node) == {}
    assert node.store.forget(LEDGER, 1, 1)
    assert node.store.forget(LEDGER, 1, 2)
    assert not node.store.forget(LEDGER, 1, 2)
    reports = {report.ledger: report for report in verify_node(node.store, node.identity)}
    assert (reports[LEDGER].facts, reports[LEDGER].redacted, reports[LEDGER].fault) == (4, 2, None)


def test_what_explains_a_ledger_is_not_forgotten(node: LedgerNode) -> None:
    redaction = redact(node, 1)
    assert not node.store.forget(LEDGER, 1, redaction.header.sequence)
    assert node.store.at(LEDGER, 1, redaction.header.sequence) == redaction


def test_proving_takes_no_more_memory_for_a_long_ledger(node: LedgerNode) -> None:
    """10 MB of facts, of which a window at a time is held."""
    chain = Chain(ledger="wfp.registry.private", key=node.keyring.key("wfp"), mesh=node.identity.mesh)
    chain.head = node.store.head(chain.ledger)
    for _ in range(2):
        written = [
            chain.add({"lead_agency": "wfp", "text": "x" * 25_000}, subject=f"pilot/p-{chain.head.sequence}")
            for _ in range(200)
        ]
        node.store.insert(written, [None] * 200, own=True)
        chain.facts.clear()
    tracemalloc.start()
    assert faults(node) == {}
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 8 * 2**20
