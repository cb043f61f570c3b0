"""Keys follow one another: each holds in the ledgers begun in its time until they are rekeyed; a revoked one no further
than its last good facts. Whatever the order in which a node learns of it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.facts.keys import KeyBook, KeyRange, Place, SigningKey, ledger_digest
from shared.facts.verify import Head, NotAuthentic, UnknownKey, check, in_order_of_learning, learn_key, verdict
from tests.unit.facts.chains import MESH, Chain, book_of, key_of

CIRCLES = [f"wfp.matching.0198c0de-0000-7000-8000-00000000c{number:03d}" for number in range(3)]
KEYS = [key_of("wfp"), key_of("second"), key_of("third")]


def announcement(old: SigningKey, new: SigningKey, *begun: str) -> dict[str, object]:
    digests = [ledger_digest(ledger) for ledger in begun]
    return {"public": new.public.hex(), "replaces": old.public.hex(), "begun": digests}


def announced(*begun: tuple[str, ...]) -> Chain:
    """The registry ledger with an announcement of the second key, and perhaps of the third."""
    chain = Chain()
    chain.add()
    for (old, new), listed in zip(pairwise(KEYS), begun, strict=False):
        state = announcement(old, new, "wfp.registry", *listed)
        chain.add(state, kind="ledger", verb="rekeyed", subject="ledger/wfp.registry", key=old)
    return chain


def learned(*chains: Chain) -> KeyBook:
    book = book_of("wfp")
    rekeyings = [fact for chain in chains for fact in chain.facts if fact.header.verb == "rekeyed"]
    for fact in in_order_of_learning(rekeyings):
        assert learn_key(fact, book)
    return book


def begun_under(key: SigningKey, ledger: str) -> Chain:
    chain = Chain(ledger=ledger, key=key)
    chain.add({"agency": "wfp"}, kind="response")
    return chain


def fits(chain: Chain, book: KeyBook) -> bool:
    head = Head()
    for fact in chain.facts:
        if verdict(fact, mesh=MESH, head=head, book=book) is not None:
            return False
        head = check(fact, mesh=MESH, head=head, book=book)
    return True


@pytest.mark.parametrize(("key", "listed"), [(0, True), (1, False)])
def test_a_ledger_is_begun_under_the_key_of_its_time_alone(key: int, listed: bool) -> None:
    book = learned(announced((CIRCLES[0],)))
    ledger = CIRCLES[0] if listed else CIRCLES[1]
    assert fits(begun_under(KEYS[key], ledger), book)
    assert not fits(begun_under(KEYS[1 - key], ledger), book)


def test_through_two_rotations_each_ledger_stands_under_its_own_key() -> None:
    """Circle 0 was begun under the first key, circle 1 under the second, circle 2 under the third."""
    book = learned(announced((CIRCLES[0],), (CIRCLES[0], CIRCLES[1])))
    for number, ledger in enumerate(CIRCLES):
        assert [fits(begun_under(key, ledger), book) for key in KEYS] == [number == one for one in range(3)]


def test_private_ledgers_are_nobody_elses_business() -> None:
    book = learned(announced(()))
    for key in KEYS[:2]:
        assert fits(begun_under(key, "wfp.matching.private"), book)


def test_before_the_announcement_is_known_a_ledger_under_the_new_key_waits() -> None:
    trouble = verdict(begun_under(KEYS[1], CIRCLES[0]).facts[0], mesh=MESH, head=Head(), book=book_of("wfp"))
    assert isinstance(trouble, UnknownKey)


def test_another_ledgers_rekeying_announces_nothing() -> None:
    chain = begun_under(KEYS[0], CIRCLES[0])
    state = announcement(KEYS[0], KEYS[1], CIRCLES[0])
    chain.add(state, kind="ledger", verb="rekeyed", subject="ledger/circle")
    book = learned(chain)
    assert not fits(begun_under(KEYS[1], CIRCLES[1]), book)
    assert fits(begun_under(KEYS[0], CIRCLES[1]), book)


@given(st.permutations(range(4)))
def test_rekeyings_learned_in_any_order_come_to_the_same(order: list[int]) -> None:
    first, later = announced((CIRCLES[0],)), begun_under(KEYS[1], CIRCLES[1])
    third = {"public": KEYS[2].public.hex()}
    later.add(third, kind="ledger", verb="rekeyed", subject="ledger/circle", key=KEYS[1])
    other = begun_under(KEYS[0], CIRCLES[0])
    other.add({"public": KEYS[1].public.hex()}, kind="ledger", verb="rekeyed", subject="ledger/other", key=KEYS[0])
    every = [fact for chain in (first, later, other) for fact in chain.facts if fact.header.verb == "rekeyed"]
    every.append(every[0])  # one comes twice
    book = book_of("wfp")
    for fact in in_order_of_learning(every[number] for number in order):
        learn_key(fact, book)
    later.add({"agency": "wfp"}, kind="response", version=2, key=KEYS[2])
    other.add({"agency": "wfp"}, kind="response", version=2, key=KEYS[1])
    assert fits(first, book)
    assert fits(later, book)
    assert fits(other, book)


def revoked(book: KeyBook, chain: Chain, last: int, successor: SigningKey | None = None) -> KeyBook:
    """The first key holds no further than the fact of this number in the chain."""
    fact = chain.facts[last - 1]
    place = Place(fact.header.epoch, fact.header.sequence, fact.hash)
    book.revoke("wfp", KEYS[0].keyid, {chain.ledger: place}, None if successor is None else successor.public)
    return book


@given(length=st.integers(1, 8), data=st.data())
def test_a_revoked_key_holds_up_to_the_last_good_fact_and_no_further(length: int, data: st.DataObject) -> None:
    chain = Chain()
    for version in range(1, length + 1):
        chain.add(version=version, time="2020-01-01T00:00:00.000000Z")
    last = data.draw(st.integers(1, length))
    book, head = revoked(book_of("wfp"), chain, last), Head()
    for number, fact in enumerate(chain.facts, start=1):
        trouble = verdict(fact, mesh=MESH, head=head, book=book)
        if number > last:
            assert isinstance(trouble, NotAuthentic)
            assert trouble.code == "key_range"
            return
        assert trouble is None
        head = Head(*fact.header.position, fact.hash)


def test_in_the_last_good_place_it_holds_for_the_fact_that_is_named_alone() -> None:
    named, other = Chain(), Chain()
    named.add()
    other.add({"lead_agency": "wfp", "title": "another"})
    book = revoked(book_of("wfp"), named, 1)
    assert fits(named, book)
    assert not fits(other, book)


def test_in_a_ledger_that_the_revocation_does_not_name_it_never_held() -> None:
    chain = Chain()
    chain.add()
    book = revoked(book_of("wfp"), chain, 1)
    assert not fits(begun_under(KEYS[0], CIRCLES[0]), book)
    assert fits(begun_under(KEYS[0], "wfp.matching.private"), book)


@pytest.mark.parametrize("by", ["successor", "recovery"])
def test_the_next_place_is_the_successors_or_what_the_recovery_key_rekeys(by: str) -> None:
    chain, thief = Chain(), Chain()
    for made in (chain, thief):
        made.add()
    thief.add(version=2)
    book = revoked(book_of("wfp"), chain, 1, key_of("new") if by == "successor" else None)
    if by == "recovery":
        state = {"public": key_of("new").public.hex()}
        chain.add(state, kind="ledger", verb="rekeyed", subject="ledger/wfp.registry", key=key_of("wfp recovery"))
    chain.add(version=3, key=key_of("new"))
    assert fits(chain, book)
    assert not fits(thief, book)


def test_what_the_revoked_key_rekeyed_beyond_is_not_learned() -> None:
    chain = Chain()
    chain.add()
    state = announcement(KEYS[0], key_of("thief"), "wfp.registry")
    chain.add(state, kind="ledger", verb="rekeyed", subject="ledger/wfp.registry")
    book = revoked(book_of("wfp"), chain, 1)
    assert not learn_key(chain.facts[1], book)
    chain.add(version=3, key=key_of("thief"))
    assert not fits(chain, book)
    assert not fits(begun_under(key_of("thief"), CIRCLES[0]), book)


def test_a_ledgers_digest_does_not_tell_its_name() -> None:
    assert ledger_digest(CIRCLES[0]) != ledger_digest(CIRCLES[1])
    assert CIRCLES[0].rsplit(".", maxsplit=1)[-1] not in ledger_digest(CIRCLES[0])
    assert KeyBook([KeyRange("wfp", KEYS[0].keyid, KEYS[0].public)]).owners(KEYS[0].keyid) == {"wfp"}
