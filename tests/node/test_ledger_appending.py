"""Appending to a ledger of a real store: what was answered is there once, what was refused is not, whoever races."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from pymongo.errors import OperationFailure

from shared.facts.fact import Rest
from shared.facts.ids import derived_id, new_id
from shared.ledger.appender import Appender
from shared.ledger.drafts import Recorded
from shared.ledger.keyring import Keyring
from shared.ledger.verification import verify_node
from shared.problems import Misdirected, Problem, ReusedKey, Stale, TooLarge, Unavailable
from shared.settings import Settings
from tests.node.ledgers import LedgerNode, ledger_node, pilot, until


@pytest.fixture
def node(database_settings: Settings) -> Iterator[LedgerNode]:
    with ledger_node(database_settings) as made:
        yield made.host("wfp", "fao")


def outcome(done: Future[Recorded]) -> Recorded | BaseException:
    error = done.exception(timeout=60)
    return done.result() if error is None else error


def assert_proven(node: LedgerNode) -> None:
    faults = [report.fault for report in verify_node(node.store, node.identity) if report.fault]
    assert faults == []


def stored(node: LedgerNode, ledger: str = "wfp.registry") -> int:
    return node.store.facts.count_documents({"ledger": ledger})


def test_what_was_recorded_is_in_the_store_as_it_was_signed(node: LedgerNode) -> None:
    recorded = node.appender().record(pilot(title={"en": "Crop loss"}))
    fact = recorded.fact
    assert node.store.at("wfp.registry", 1, 1) == fact
    assert fact.state == {"lead_agency": "wfp", "title": {"en": "Crop loss"}}
    assert_proven(node)


def test_many_at_once_stand_in_one_chain_without_gaps(node: LedgerNode) -> None:
    appender = node.appender()
    with ThreadPoolExecutor(16) as clients:
        agencies = ("wfp", "fao")
        facts = list(clients.map(lambda n: appender.record(pilot(agency=agencies[n % 2])).fact, range(200)))
    assert len({fact.hash for fact in facts}) == 200
    assert node.store.head("wfp.registry").sequence == node.store.head("fao.registry").sequence == 100
    assert_proven(node)


def test_of_changes_made_for_the_same_version_one_is_recorded_and_the_others_are_told(node: LedgerNode) -> None:
    appender = node.appender()
    first = appender.record(pilot()).fact
    name = first.header.subject.split("/")[1]
    outcomes = [outcome(done) for done in [appender.submit(pilot(id=name, version=2)) for _ in range(20)]]
    assert sum(isinstance(one, Recorded) for one in outcomes) == 1
    stale = [one for one in outcomes if isinstance(one, Stale)]
    assert len(stale) == 19
    assert {one.more["current_version"] for one in stale} == {2}


def test_conflicts_in_the_middle_of_a_batch_take_nothing_from_their_neighbours(node: LedgerNode) -> None:
    """Creations are not looked up beforehand: their conflicts show only in the insert, which stops there."""
    appender = node.appender()
    there = [appender.record(pilot()).fact.header.subject.split("/")[1] for _ in range(5)]
    drafts = [pilot(id=there[number // 8]) if number % 8 == 7 else pilot() for number in range(40)]
    outcomes = [outcome(done) for done in [appender.submit(draft) for draft in drafts]]
    for number, one in enumerate(outcomes):
        assert isinstance(one, Stale if number % 8 == 7 else Recorded), (number, one)
    assert stored(node) == 5 + 35
    assert_proven(node)


def test_changes_of_one_record_in_one_batch_go_in_their_order(node: LedgerNode) -> None:
    appender = node.appender()
    name = new_id()
    outcomes = [outcome(done) for done in [appender.submit(pilot(id=name, version=v)) for v in (1, 2, 3, 5, 4)]]
    assert [type(one) for one in outcomes] == [Recorded, Recorded, Recorded, Stale, Recorded]
    assert_proven(node)


def test_several_replicas_append_to_one_ledger(node: LedgerNode) -> None:
    replicas = [node.appender() for _ in range(3)]
    with ThreadPoolExecutor(12) as clients:
        list(clients.map(lambda n: replicas[n % 3].record(pilot()), range(120)))
    assert stored(node) == 120
    assert_proven(node)


def append_in_another_process(settings: Settings, name: str, answers: multiprocessing.SimpleQueue[int]) -> None:
    with ledger_node(settings) as node:
        appender = node.appender()
        recorded = 0
        for number in range(12):
            with ThreadPoolExecutor(4) as clients:
                recorded += sum(1 for _ in clients.map(lambda _: appender.record(pilot()), range(2)))
            try:
                appender.record(pilot(id=name, version=number + 2))
                recorded += 1
            except Stale:
                continue
    answers.put(recorded)


def test_several_processes_append_to_one_ledger(node: LedgerNode) -> None:
    name = node.appender().record(pilot()).fact.header.subject.split("/")[1]
    spawning = multiprocessing.get_context("spawn")
    answers: multiprocessing.SimpleQueue[int] = spawning.SimpleQueue()
    processes = [
        spawning.Process(target=append_in_another_process, args=(node.settings, name, answers)) for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert stored(node) == 1 + sum(answers.get() for _ in processes)
    versions = [fact.header.version for fact in node.store.versions("wfp", "registry", f"pilot/{name}")]
    assert versions == list(range(1, len(versions) + 1))
    assert_proven(node)


def test_a_repeated_command_is_answered_with_the_first_ones_fact(node: LedgerNode) -> None:
    appender = node.appender()
    first = appender.record(pilot(key="k1"))
    again = appender.record(pilot(key="k1"))
    assert again.replayed
    assert not first.replayed
    assert again.fact == first.fact
    assert again.answer == first.answer == first.fact.header.subject.split("/")[1]
    assert stored(node) == 1


def test_the_same_key_with_another_body_is_refused(node: LedgerNode) -> None:
    appender = node.appender()
    appender.record(pilot(key="k1", body="one"))
    with pytest.raises(ReusedKey):
        appender.record(pilot(key="k1", body="another"))
    assert stored(node) == 1


@pytest.mark.parametrize("replicas", [1, 2])
def test_one_command_from_sixteen_threads_is_done_once(node: LedgerNode, replicas: int) -> None:
    appenders = [node.appender() for _ in range(replicas)]
    together = threading.Barrier(16)

    def command(number: int) -> Recorded:
        together.wait()
        return appenders[number % replicas].record(pilot(key="the same"))

    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(command, range(16)))
    assert len({one.fact.hash for one in answers}) == 1
    assert len({one.answer for one in answers}) == 1
    assert sum(not one.replayed for one in answers) == 1
    assert stored(node) == 1


def test_twins_in_one_batch_with_different_bodies_have_one_winner(node: LedgerNode) -> None:
    appender = node.appender()
    futures = [appender.submit(pilot(key="twins", body=str(number % 2))) for number in range(10)]
    outcomes = [outcome(done) for done in futures]
    assert sum(isinstance(one, Recorded) for one in outcomes) == 5
    assert sum(isinstance(one, ReusedKey) for one in outcomes) == 5
    assert stored(node) == 1


def test_a_refused_command_may_be_repeated_with_its_key_and_is_decided_again(node: LedgerNode) -> None:
    appender = node.appender()
    name = new_id()
    with pytest.raises(Stale):
        appender.record(pilot(id=name, version=2, key="k1"))
    appender.record(pilot(id=name))
    assert not appender.record(pilot(id=name, version=2, key="k1")).replayed


def test_a_reaction_done_twice_or_by_two_at_once_is_done_once(node: LedgerNode) -> None:
    ledgers = [node.ledger(), node.ledger()]
    cause = ledgers[0].record(pilot()).fact
    name = derived_id(cause.hash, "capability")

    def react(number: int) -> Recorded | None:
        return ledgers[number % 2].react(cause.hash, "wfp", "capability", "offered", name, {"agency": "wfp"}, version=1)

    with ThreadPoolExecutor(8) as workers:
        done = list(workers.map(react, range(16)))
    assert len({one.fact.hash for one in done if one is not None}) == 1
    assert None not in done
    assert len(node.store.versions("wfp", "registry", f"capability/{name}")) == 1


def test_a_reaction_that_was_overtaken_changes_nothing(node: LedgerNode) -> None:
    ledger = node.ledger()
    name = ledger.record(pilot()).fact.header.subject.split("/")[1]
    ledger.record(pilot(id=name, version=2))
    assert ledger.react("cause", "wfp", "pilot", "revised", name, {"lead_agency": "wfp"}, version=2) is None
    assert stored(node) == 2


def test_an_agency_that_is_not_hosted_here_is_said_so_before_anything_happens(node: LedgerNode) -> None:
    with pytest.raises(Misdirected):
        node.appender().submit(pilot(agency="who"))


def test_what_is_larger_than_a_fact_is_refused_before_it_is_signed(node: LedgerNode) -> None:
    appender = node.appender()
    with pytest.raises(TooLarge):
        appender.submit(pilot(text="é" * 130_000))
    rests = tuple(Rest("fao.matching", 1, number, "0" * 64) for number in range(1, 1200))
    large = pilot(text="x" * 200_000)
    with pytest.raises(TooLarge):
        appender.submit(replace(large, rests_on=rests))
    just_fits = appender.record(pilot(text="x" * 257_000))
    assert len(just_fits.fact.protected) + len(just_fits.fact.payload or b"") <= 256 * 1024
    assert_proven(node)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "testbed"},
        {"kind": "Pilot"},
        {"verb": "has moved"},
        {"id": "a/b"},
        {"id": "x" * 65},
        {"version": 0},
        {"version": 2**60},
        {"audience": "everybody"},
        {"service": "banking"},
        {"state": {"lead_agency": "fao"}},
        {"state": {"share": float("nan")}},
        {"state": {"title": "\ud800"}},
    ],
    ids=str,
)
def test_a_draft_that_no_node_would_take_fails_alone_and_unsigned(node: LedgerNode, change: dict[str, object]) -> None:
    appender = node.appender()
    changed = replace(pilot(), **change)  # type: ignore[arg-type]
    neighbour = appender.submit(pilot())
    with pytest.raises(ValueError, match=r".+"):
        appender.submit(changed)
    assert isinstance(outcome(neighbour), Recorded)
    assert stored(node) == 1


def test_an_inline_fold_that_fails_takes_nothing_back(node: LedgerNode) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("the fold has a fault")

    appender = node.appender(on_committed=broken, after_commit=broken)
    assert appender.record(pilot()).fact.header.sequence == 1
    assert appender.record(pilot()).fact.header.sequence == 2


def test_the_inline_fold_sees_a_fact_before_its_client_does(node: LedgerNode) -> None:
    seen: list[str] = []
    appender = node.appender(on_committed=lambda facts: seen.extend(fact.hash for fact in facts))
    for _ in range(5):
        assert appender.record(pilot()).fact.hash == seen[-1]


def test_one_that_cannot_be_stored_takes_nobody_with_it(node: LedgerNode) -> None:
    appender = node.appender()
    broken = replace(pilot(), trace="\ud800")
    outcomes = [outcome(done) for done in [appender.submit(draft) for draft in (pilot(), broken, pilot())]]
    assert [type(one) for one in outcomes] == [Recorded, UnicodeEncodeError, Recorded]
    assert_proven(node)


def test_stopping_finishes_what_was_taken_in_and_refuses_the_rest(node: LedgerNode) -> None:
    appender = node.appender()
    futures: list[Future[Recorded]] = []
    refused = 0

    def submit_until_refused() -> None:
        nonlocal refused
        while True:
            try:
                futures.append(appender.submit(pilot()))
            except Unavailable:
                refused += 1
                return

    clients = [threading.Thread(target=submit_until_refused) for _ in range(4)]
    for client in clients:
        client.start()
    until(lambda: len(futures) > 50, "some are submitted")
    appender.stop()
    for client in clients:
        client.join(10)
    assert refused == 4
    assert all(isinstance(outcome(done), Recorded) for done in futures)
    assert stored(node) == len(futures)


def test_an_appender_that_never_started_answers_what_it_was_given(database_settings: Settings) -> None:
    with ledger_node(database_settings) as node:
        node.keyring.make("wfp")
        idle = Appender(node.store, node.keyring, node.identity.mesh)
        waiting = idle.submit(pilot())
        idle.stop()
        assert isinstance(waiting.exception(timeout=1), Unavailable)


def test_what_nobody_waits_for_any_more_is_not_written(database_settings: Settings) -> None:
    with ledger_node(database_settings) as node:
        node.host("wfp")
        slow = Appender(node.store, node.keyring, node.identity.mesh)
        with pytest.raises(Unavailable, match="Idempotency-Key"):
            slow.record(pilot(), timeout=0.05)
        slow.start()
        assert slow.record(pilot()).fact.header.sequence == 1
        slow.stop()
        assert stored(node) == 1


def test_a_store_that_refuses_one_document_keeps_and_answers_the_others(node: LedgerNode) -> None:
    """A validator stands in for whatever else a server may have against a single document."""
    try:
        node.store.database.command(
            "collMod", "facts", validator={"aggregate": {"$not": {"$regex": "0bad0bad"}}}, validationLevel="strict"
        )
        node.store.facts.insert_one({"_id": "probe", "aggregate": "pilot/0bad0bad"})
        node.store.facts.delete_one({"_id": "probe"})
        pytest.skip("this database has no document validation")
    except OperationFailure as refused:
        if "validat" not in str(refused).lower():
            pytest.skip("this database has no document validation")
    appender = node.appender()
    drafts = [pilot(), pilot(), pilot(id="0bad0bad"), pilot()]
    outcomes = [outcome(done) for done in [appender.submit(draft) for draft in drafts]]
    assert [isinstance(one, Recorded) for one in outcomes] == [True, True, False, True]
    assert isinstance(outcomes[2], Problem)
    assert stored(node) == 3


def test_keys_are_made_once_even_by_many_at_once(tmp_path: Path) -> None:
    for attempt in range(10):
        keyring = Keyring(tmp_path / str(attempt))
        together = threading.Barrier(8)

        def make(_: int, keyring: Keyring = keyring, together: threading.Barrier = together) -> str | None:
            together.wait()
            try:
                return keyring.make("wfp").keyid
            except FileExistsError:
                return None

        with ThreadPoolExecutor(8) as threads:
            made = [keyid for keyid in threads.map(make, range(8)) if keyid]
        assert made == [Keyring(keyring.folder).key("wfp").keyid]
        assert [path.name for path in keyring.folder.iterdir()] == ["wfp.key"]
        assert (keyring.folder / "wfp.key").stat().st_mode & 0o777 == 0o600
