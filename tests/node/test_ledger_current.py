"""What a command decides on: the newest full state of a record, wherever it lives, or why there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.ledger.drafts import Author, Draft
from shared.ledger.ledger import Gone, Ledger
from shared.ledger.rows import fold_all
from shared.ledger.store import Command
from shared.problems import NotFound, ReusedKey
from shared.settings import Settings
from tests.node.ledgers import LedgerNode, ledger_node, pilot

PILOT = "0198c0de-0000-7000-8000-0000000000aa"


@pytest.fixture
def node(database_settings: Settings) -> Iterator[LedgerNode]:
    with ledger_node(database_settings) as made:
        yield made.host("wfp")


@pytest.fixture
def ledger(node: LedgerNode) -> Ledger:
    return node.ledger()


def write(ledger: Ledger, *steps: tuple[str, str, str]) -> None:
    for verb, audience, title in steps:
        newest = ledger.newest("wfp", "pilot", PILOT)
        version = 1 if newest is None else newest.header.version + 1
        ledger.record(pilot(id=PILOT, version=version, verb=verb, audience=audience, title=title))


def title(ledger: Ledger) -> str:
    """The current title; said by rows folded from the same facts as well."""
    state, version, fact = ledger.current("wfp", "pilot", PILOT)
    facts = ledger.store.versions("wfp", "registry", f"pilot/{PILOT}")
    (row,) = fold_all({}, facts, frozenset({"pilot"})).values()
    assert row.is_live
    assert (row.state, row.version, row.shown.hash) == (state, version, fact.hash)
    return str(state["title"])


def assert_gone(ledger: Ledger, why: str) -> None:
    with pytest.raises(Gone, match=why):
        ledger.current("wfp", "pilot", PILOT)
    facts = ledger.store.versions("wfp", "registry", f"pilot/{PILOT}")
    (row,) = fold_all({}, facts, frozenset({"pilot"})).values()
    assert not row.is_live


def test_a_record_that_nobody_wrote_is_not_found(ledger: Ledger) -> None:
    with pytest.raises(NotFound):
        ledger.current("wfp", "pilot", PILOT)
    with pytest.raises(NotFound):
        ledger.current("fao", "pilot", PILOT)


def test_the_newest_state_is_decided_on(ledger: Ledger) -> None:
    write(ledger, ("registered", "mesh", "one"), ("revised", "mesh", "two"))
    assert title(ledger) == "two"
    assert ledger.current("wfp", "pilot", PILOT)[1] == 2


def test_a_narrowed_record_lives_on_and_its_next_version_follows_the_withdrawal(ledger: Ledger) -> None:
    write(ledger, ("registered", "mesh", "open"), ("revised", "private", "closed"), ("withdrawn", "mesh", ""))
    assert title(ledger) == "closed"
    assert ledger.current("wfp", "pilot", PILOT)[1] == 3
    write(ledger, ("revised", "private", "closed and revised"))
    assert title(ledger) == "closed and revised"


def test_a_widened_record_that_is_withdrawn_is_gone(ledger: Ledger) -> None:
    write(ledger, ("registered", "private", "draft"), ("revised", "mesh", "published"))
    assert title(ledger) == "published"
    write(ledger, ("withdrawn", "mesh", ""))
    assert_gone(ledger, "withdrawn")
    write(ledger, ("registered", "mesh", "again"))
    assert title(ledger) == "again"


def test_a_redacted_record_is_gone_until_it_is_written_again(ledger: Ledger) -> None:
    write(ledger, ("registered", "private", "draft"), ("revised", "mesh", "names a person"))
    fact = ledger.newest("wfp", "pilot", PILOT)
    assert fact is not None
    named = [{"epoch": 1, "sequence": 1, "subject": fact.header.subject}]
    state = {"facts": named, "reason": "personal_data"}
    ledger.record(Draft("wfp", "registry", "fact", "redacted", "r-1", 1, state, Author("admin", "admin")))
    ledger.store.forget("wfp.registry", 1, 1)
    assert_gone(ledger, "redacted")
    write(ledger, ("revised", "mesh", "names nobody"))
    assert title(ledger) == "names nobody"


def test_what_was_asked_before_is_answered_as_before(ledger: Ledger) -> None:
    assert ledger.earlier_answer(None) is None
    first = ledger.record(pilot(id=PILOT, key="k1"))
    command = Command("k1", "digest of a body", "another id")
    again = ledger.earlier_answer(command)
    assert again is not None
    assert (again.fact, again.replayed, again.answer) == (first.fact, True, PILOT)
    assert ledger.earlier_answer(Command("k2", "digest of a body", "id")) is None
    with pytest.raises(ReusedKey):
        ledger.earlier_answer(Command("k1", "another digest", "id"))


def test_the_roster_is_read_again_only_when_it_has_grown(database_settings: Settings) -> None:
    with ledger_node(database_settings) as node:
        roster = node.host("wfp").roster
        first = roster.state()
        assert roster.state() is first
        node.host("fao")
        assert [member.agency for member in roster.members()] == ["fao", "wfp"]
