"""Who may act: tokens, sessions and links are good as long as their actor is there, and a link is good once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from pymongo import MongoClient

from shared.access.actors import CACHE_SECONDS, LINK_LENGTH, SESSION_LENGTH, Actor, Actors, digest_of, require
from shared.ledger.quarantine import KEPT_PER_SOURCE, Quarantine
from shared.ledger.store import Document
from shared.problems import Forbidden, NotFound, Unauthenticated
from shared.settings import Settings


class Clock:
    def __init__(self) -> None:
        self.time = datetime.now(UTC)  # the database drops expired sessions by its own clock

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def client(database_settings: Settings) -> Iterator[MongoClient[Document]]:
    with MongoClient[Document](database_settings.mongodb_uri, tz_aware=True) as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def actors(client: MongoClient[Document], database_settings: Settings, clock: Clock) -> Actors:
    made = Actors(client[database_settings.database("node")], clock)
    made.ensure_indexes()
    return made


def another_process(actors: Actors) -> Actors:
    """The same actors as another replica sees them: nothing cached."""
    return Actors(actors._actors.database, actors._clock)


def test_a_token_names_its_actor_and_only_its_digest_is_kept(actors: Actors) -> None:
    actor, token = actors.add("wfp", ["officer", "monitor"], office="ZMB", countries=["ZMB"], name="A. Officer")
    assert actors.by_token(token) == actor
    assert token not in str(list(actors._actors.find({})))
    assert "A. Officer" not in repr(actor)
    for wrong in ("", token[:-1], token + "x", digest_of(token), "'; drop", "\udce9"[:0]):
        with pytest.raises(Unauthenticated):
            actors.by_token(wrong)


def test_who_leaves_is_out_at_once_here_and_soon_everywhere(actors: Actors) -> None:
    actor, token = actors.add("wfp", ["officer"], name="A. Officer")
    replica = another_process(actors)
    code, unused = actors.make_link(actor.id), actors.make_link(actor.id)
    _, session = actors.sign_in(code)
    for bearer in (token, session):
        assert actors.by_token(bearer).id == actor.id
        assert replica.by_token(bearer).id == actor.id
    actors.leave(actor.id)
    for bearer in (token, session):
        with pytest.raises(Unauthenticated):
            actors.by_token(bearer)
        with pytest.raises(Unauthenticated):
            another_process(actors).by_token(bearer)
    assert CACHE_SECONDS <= 5
    with pytest.raises(NotFound):
        actors.sign_in(unused)
    assert actors.get(actor.id).name is None
    assert actors.of_agency("wfp") == []


def test_nobody_makes_or_uses_a_link_for_one_who_left(actors: Actors) -> None:
    actor, _ = actors.add("wfp", ["officer"])
    code = actors.make_link(actor.id)
    link = actors._links.find_one({})
    assert link is not None
    actors.leave(actor.id)
    actors._links.insert_one(link)  # one that was made in the instant in which the actor left
    for act in (lambda: actors.make_link(actor.id), lambda: actors.whose_link(code), lambda: actors.sign_in(code)):
        with pytest.raises(NotFound):
            act()
    with pytest.raises(NotFound):
        actors.make_link("nobody")


def test_a_link_is_good_once_even_for_many_at_once(actors: Actors) -> None:
    actor, _ = actors.add("wfp", ["officer"])
    for _ in range(5):
        code = actors.make_link(actor.id)
        assert actors.whose_link(code) == actors.whose_link(code) == actor
        together = threading.Barrier(16)

        def sign_in(_: int, code: str = code, together: threading.Barrier = together) -> str | None:
            together.wait()
            try:
                return actors.sign_in(code)[1]
            except NotFound:
                return None

        with ThreadPoolExecutor(16) as clients:
            (session,) = [token for token in clients.map(sign_in, range(16)) if token]
        assert actors.by_token(session) == actor
        with pytest.raises(NotFound):
            actors.whose_link(code)


def test_links_and_sessions_end(actors: Actors, clock: Clock) -> None:
    actor, _ = actors.add("wfp", ["officer"])
    late = actors.make_link(actor.id)
    _, session = actors.sign_in(actors.make_link(actor.id))
    clock.time += SESSION_LENGTH + timedelta(seconds=1)
    with pytest.raises(Unauthenticated):
        another_process(actors).by_token(session)
    clock.time += LINK_LENGTH
    with pytest.raises(NotFound):
        actors.sign_in(late)


def test_signing_out_ends_the_session_and_not_the_actors_token(actors: Actors) -> None:
    actor, token = actors.add("wfp", ["officer"])
    _, session = actors.sign_in(actors.make_link(actor.id))
    assert actors.by_token(session) == actor
    actors.sign_out(session)
    with pytest.raises(Unauthenticated):
        actors.by_token(session)
    assert actors.by_token(token) == actor


def test_nobody_answers_for_another_agency_nor_beyond_the_roles_held() -> None:
    officer = Actor("a", "wfp", frozenset({"officer"}), "ZMB")
    assert require(officer, "wfp", "approver", "officer").role == "officer"
    with pytest.raises(Forbidden, match="fao"):
        require(officer, "fao", "officer")
    with pytest.raises(Forbidden, match="approver"):
        require(officer, "wfp", "approver")
    assert not officer.is_operator
    assert not Actor("b", "wfp", frozenset({"admin"})).is_operator
    assert not Actor("c", "node", frozenset({"officer"})).is_operator


@pytest.fixture
def quarantine(client: MongoClient[Document], database_settings: Settings) -> Quarantine:
    return Quarantine(client[database_settings.database("node")]["quarantine"])


def entry(quarantine: Quarantine, content: bytes, source: str = "stream facts.wfp", detail: str = "why") -> None:
    quarantine.add(source=source, kind="not_authentic", code="signature", detail=detail, content=content)


def test_the_same_refused_thing_is_one_entry_with_a_count(quarantine: Quarantine) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: entry(quarantine, b"the same"), range(40)))
    (told,) = quarantine.entries()
    assert told["count"] == 40
    assert "Tell the agency" in told["remedy"]


def test_a_flooder_fills_nobodys_disk_and_hides_nobody_else(
    quarantine: Quarantine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert KEPT_PER_SOURCE == 1000
    monkeypatch.setattr("shared.ledger.quarantine.KEPT_PER_SOURCE", 20)
    for number in range(60):
        entry(quarantine, str(number).encode())
    entry(quarantine, b"one", source="stream facts.fao")
    entries = quarantine.entries()
    assert len(entries) == 22
    (overflow,) = [one for one in entries if one["code"] == "overflow"]
    assert overflow["count"] == 40


def test_whatever_a_forger_writes_can_be_recorded(quarantine: Quarantine) -> None:
    entry(quarantine, b"\xff\0", detail="half a pair \ud800, a nul \0, and much more " + "x" * 100_000)
    (told,) = quarantine.entries()
    assert len(told["detail"]) <= 2100
