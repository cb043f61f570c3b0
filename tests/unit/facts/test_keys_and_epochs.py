"""Keys hold for places, never for times; a replaced key signs nothing more; a frozen ledger is reopened by recovery."""

from __future__ import annotations

from itertools import pairwise

import pytest

from shared.facts.keys import KeyBook, KeyRange, SigningKey, signature_is_valid
from shared.facts.verify import ChainTrouble, Head, NotAuthentic, Trouble, UnknownKey, check, learn_key, verdict
from tests.unit.facts.chains import MESH, Chain, book_of, key_of


def walk(chain: Chain, book: KeyBook) -> Head:
    head = Head()
    for fact in chain.facts:
        head = check(fact, mesh=MESH, head=head, book=book)
    return head


def code_at_the_end(chain: Chain, book: KeyBook) -> tuple[type[Trouble], str]:
    """What is wrong with the last fact, all before it being right."""
    head = Head()
    for fact in chain.facts[:-1]:
        head = check(fact, mesh=MESH, head=head, book=book)
    trouble = verdict(chain.facts[-1], mesh=MESH, head=head, book=book)
    assert trouble is not None
    return type(trouble), trouble.code


def rekeyed(chain: Chain, new: SigningKey, by: SigningKey) -> None:
    chain.add({"public": new.public.hex()}, kind="ledger", verb="rekeyed", subject="ledger/wfp.registry", key=by)


def test_a_key_holds_for_a_range_of_places_in_one_ledger() -> None:
    key = key_of("wfp")
    book = KeyBook([KeyRange("wfp", key.keyid, key.public, "wfp.registry", (1, 1), (1, 2))])
    chain = Chain()
    chain.add()
    chain.add(version=2)
    assert walk(chain, book).sequence == 2
    chain.add(version=3)
    assert code_at_the_end(chain, book) == (NotAuthentic, "key_range")
    assert code_at_the_end(_one(Chain(ledger="wfp.registry.private")), book) == (NotAuthentic, "key_range")


def _one(chain: Chain) -> Chain:
    chain.add()
    return chain


@pytest.mark.parametrize("signer", ["wfp", "wfp recovery"])
def test_after_rekeying_the_new_key_signs_and_the_old_one_no_more(signer: str) -> None:
    new, book = key_of("new"), book_of("wfp")
    chain = Chain()
    chain.add()
    rekeyed(chain, new, key_of(signer))
    chain.add(version=2, key=new)
    assert walk(chain, book).sequence == 3
    chain.add(version=3, key=key_of("wfp"))
    assert code_at_the_end(chain, book) == (NotAuthentic, "key_range")


def test_a_stolen_key_cannot_undo_what_the_recovery_key_did() -> None:
    book, chain = book_of("wfp"), Chain()
    rekeyed(chain, key_of("new"), key_of("wfp recovery"))
    rekeyed(chain, key_of("thief"), key_of("wfp"))
    assert code_at_the_end(chain, book) == (NotAuthentic, "key_range")


def test_a_ledger_may_be_rekeyed_again_and_read_from_its_start_with_all_keys_known() -> None:
    book, chain = book_of("wfp"), Chain()
    keys = [key_of("wfp"), key_of("second"), key_of("third")]
    for version, (old, new) in enumerate(pairwise(keys), start=1):
        chain.add(version=version, key=old)
        rekeyed(chain, new, old)
    chain.add(version=9, key=keys[2])
    for fact in chain.facts:
        if fact.header.kind == "ledger":
            assert learn_key(fact, book)
    assert walk(chain, book).sequence == 5
    assert walk(chain, book).sequence == 5


def test_rekeying_one_ledger_leaves_the_agencys_others_alone() -> None:
    book, chain = book_of("wfp"), Chain()
    rekeyed(chain, key_of("new"), key_of("wfp"))
    walk(chain, book)
    private = Chain(ledger="wfp.registry.private")
    private.add(key=key_of("wfp"))
    assert walk(private, book).sequence == 1
    private.add(version=2, key=key_of("new"))
    assert code_at_the_end(private, book) == (NotAuthentic, "key_range")


@pytest.mark.parametrize("state", [{}, {"public": "zz"}, {"public": 7}, {"public": "ab" * 31}, b"not JSON"])
def test_a_rekeying_that_names_no_key_changes_nothing(state: dict[str, object] | bytes) -> None:
    book, chain = book_of("wfp"), Chain()
    chain.add(state, kind="ledger", verb="rekeyed", subject="ledger/wfp.registry")
    chain.add(version=1)
    assert walk(chain, book).sequence == 2


def test_a_stranger_rekeys_nothing() -> None:
    book, chain = book_of("wfp", "fao"), Chain()
    rekeyed(chain, key_of("new"), key_of("fao"))
    assert code_at_the_end(chain, book) == (UnknownKey, "key")
    chain = Chain()
    rekeyed(chain, key_of("new"), key_of("fao recovery"))
    assert code_at_the_end(chain, book) == (UnknownKey, "key")


def reopened(chain: Chain, by: SigningKey, epoch: int = 2) -> None:
    chain.add(
        {"reason": "the disk was restored"},
        kind="ledger",
        verb="reopened",
        subject="ledger/wfp.registry",
        epoch=epoch,
        key=by,
    )


def test_a_frozen_ledger_goes_on_in_the_next_epoch_by_the_recovery_key() -> None:
    book, chain = book_of("wfp"), Chain()
    chain.add()
    chain.add(version=2)
    reopened(chain, key_of("wfp recovery"))
    chain.add(version=3)
    assert walk(chain, book).position == (2, 2)


def test_the_signing_key_reopens_nothing() -> None:
    chain = Chain()
    chain.add()
    reopened(chain, key_of("wfp"))
    assert code_at_the_end(chain, book_of("wfp")) == (NotAuthentic, "key")


def test_reopening_names_the_hash_it_goes_on_from() -> None:
    book, known, other = book_of("wfp"), Chain(), Chain()
    known.add()
    other.add({"lead_agency": "wfp", "title": "another history"})
    reopened(other, key_of("wfp recovery"))
    trouble = verdict(other.facts[-1], mesh=MESH, head=known.head, book=book)
    assert isinstance(trouble, ChainTrouble)
    assert known.head.hash in trouble.detail
    assert isinstance(verdict(other.facts[-1], mesh=MESH, head=Head(), book=book), ChainTrouble)


def test_an_epoch_is_neither_skipped_nor_begun_without_reopening() -> None:
    book, chain = book_of("wfp"), Chain()
    chain.add()
    reopened(chain, key_of("wfp recovery"), epoch=3)
    assert code_at_the_end(chain, book) == (ChainTrouble, "gap")
    chain = Chain()
    chain.add()
    chain.add(version=2, epoch=2)
    assert code_at_the_end(chain, book) == (ChainTrouble, "gap")


def test_a_key_and_its_name_are_one() -> None:
    key = SigningKey.make()
    assert SigningKey.from_bytes(key.secret()).keyid == key.keyid
    assert key.secret().hex() not in repr(key)
    assert not signature_is_valid(b"short", "00" * 32, b"")
    assert not signature_is_valid(key.public, "00" * 32, b"\0" * 64)
