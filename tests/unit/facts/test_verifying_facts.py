"""Whether a fact is what it says: tampering is found wherever it happens, and each trouble is told by its kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from shared.facts.fact import MAX_BYTES, Fact, to_bytes
from shared.facts.keys import KeyBook
from shared.facts.verify import (
    ChainTrouble,
    Head,
    NotAuthentic,
    Trouble,
    UnknownKey,
    check,
    check_chain,
    verdict,
)
from tests.unit.facts.chains import MESH, Chain, book_of, key_of, resigned


def three_facts() -> list[Fact]:
    chain = Chain()
    for version in (1, 2, 3):
        chain.add({"lead_agency": "wfp", "people_reached": version * 1000}, version=version)
    return chain.facts


FACTS = three_facts()


def first_wrong(facts: Sequence[Fact], book: KeyBook | None = None) -> tuple[int, Trouble] | None:
    """Walks a ledger: number of the first fact that is wrong (from 0), and what is wrong with it."""
    book, head = book or book_of("wfp"), Head()
    for number, fact in enumerate(facts):
        try:
            head = check(fact, mesh=MESH, head=head, book=book)
        except Trouble as trouble:
            return number, trouble
    return None


def test_an_untouched_ledger_is_proven() -> None:
    assert first_wrong(FACTS) is None


@given(
    number=st.integers(0, 2),
    part=st.sampled_from(["protected", "payload", "salt", "signature"]),
    place=st.integers(0, 10_000),
    mask=st.integers(1, 255),
)
@hypothesis_settings(max_examples=400)
def test_any_changed_byte_anywhere_is_found_in_the_fact_where_it_is(
    number: int, part: str, place: int, mask: int
) -> None:
    changed = bytearray(getattr(FACTS[number], part))
    changed[place % len(changed)] ^= mask
    tampered = list(FACTS)
    tampered[number] = replace(FACTS[number], **{part: bytes(changed)})  # type: ignore[arg-type]
    found = first_wrong(tampered)
    assert found is not None
    assert found[0] == number
    assert isinstance(found[1], NotAuthentic | UnknownKey | ChainTrouble)


def test_bytes_moved_between_salt_and_payload_are_found_although_the_digest_fits() -> None:
    fact = FACTS[0]
    assert fact.salt is not None
    assert fact.payload is not None
    for moved in (
        replace(fact, salt=fact.salt[:-1], payload=fact.salt[-1:] + fact.payload),
        replace(fact, salt=fact.salt + fact.payload[:1], payload=fact.payload[1:]),
        replace(fact, salt=fact.salt + fact.payload, payload=b""),
    ):
        trouble = verdict(moved, mesh=MESH, head=Head(), book=book_of("wfp"))
        assert isinstance(trouble, NotAuthentic)
        assert trouble.code == "digest"


def test_payload_and_salt_go_together() -> None:
    for half in (replace(FACTS[0], payload=None), replace(FACTS[0], salt=None)):
        trouble = verdict(half, mesh=MESH, head=Head(), book=book_of("wfp"))
        assert isinstance(trouble, NotAuthentic)
        assert trouble.code == "digest"


def test_a_redacted_fact_proves_the_chain_as_before() -> None:
    assert first_wrong([FACTS[0], replace(FACTS[1], payload=None, salt=None), FACTS[2]]) is None


@pytest.mark.parametrize("order", [(0, 2), (1,), (0, 2, 1), (0, 0), (1, 0), (0, 1, 1)])
def test_a_missing_repeated_or_swapped_fact_breaks_the_chain(order: tuple[int, ...]) -> None:
    found = first_wrong([FACTS[number] for number in order])
    assert found is not None
    assert isinstance(found[1], ChainTrouble)


def test_two_facts_for_one_place_are_a_fork_whichever_came_first() -> None:
    here, there = Chain(), Chain()
    here.add()
    there.add()
    ours, theirs = here.add({"title": "one"}, version=2), there.add({"title": "another"}, version=2)
    for first, second in ((ours, theirs), (theirs, ours)):
        head = Head(1, 2, first.hash)
        with pytest.raises(ChainTrouble) as said:
            check_chain(second, head)
        assert said.value.code == "fork"
    branch = there.add(version=3)
    with pytest.raises(ChainTrouble) as said:
        check_chain(branch, Head(1, 2, ours.hash))
    assert said.value.code == "fork"


def test_a_gap_is_told_apart_from_an_old_fact_that_comes_again() -> None:
    with pytest.raises(ChainTrouble) as said:
        check_chain(FACTS[2], Head(1, 1, FACTS[0].hash))
    assert said.value.code == "gap"
    assert "expected sequence 2" in said.value.detail
    with pytest.raises(ChainTrouble) as said:
        check_chain(FACTS[0], Head(1, 2, FACTS[1].hash))
    assert said.value.code == "position"


def refused(fact: Fact, *agencies: str) -> Trouble:
    trouble = verdict(fact, mesh=MESH, head=Head(), book=book_of(*(agencies or ("wfp", "fao", "hub"))))
    assert trouble is not None
    assert fact.place in trouble.detail
    return trouble


def code_of(fact: Fact) -> str:
    trouble = refused(fact)
    assert isinstance(trouble, NotAuthentic)
    return trouble.code


def test_a_forged_signature_is_not_authentic() -> None:
    assert code_of(replace(FACTS[0], signature=key_of("mallory").sign(FACTS[0].hash))) == "signature"
    assert code_of(replace(FACTS[0], signature=b"")) == "signature"


def test_another_agencys_key_does_not_sign_for_this_one() -> None:
    trouble = refused(resigned(FACTS[0], key_of("fao")))
    assert isinstance(trouble, UnknownKey)
    assert trouble.code == "key"


def test_a_key_under_anothers_name_is_a_forgery() -> None:
    assert code_of(resigned(FACTS[0], key_of("fao"), keyid=key_of("wfp").keyid)) == "signature"


def test_a_fact_about_another_agencys_aggregate_has_no_right_to_be_there() -> None:
    assert code_of(Chain().add({"lead_agency": "fao"})) == "owner"
    assert code_of(Chain().add({"lead_agency": {"slug": "wfp"}})) == "owner"
    assert code_of(Chain().add({"slug": "fao"}, kind="agency", subject="agency/fao")) == "owner"
    assert code_of(Chain().add({}, kind="agency", subject="agency/fao")) == "owner"
    own = Chain(ledger="fao.matching", key=key_of("fao"))
    assert code_of(own.add({"agency": "wfp"}, kind="response", verb="given")) == "owner"


def test_an_unknown_agency_or_key_waits_for_the_roster() -> None:
    trouble = refused(FACTS[0], "fao")
    assert isinstance(trouble, UnknownKey)
    assert trouble.code == "agency"
    trouble = refused(resigned(FACTS[0], key_of("new key")))
    assert isinstance(trouble, UnknownKey)
    assert trouble.code == "key"


def test_a_fact_of_another_mesh_never_counts() -> None:
    assert code_of(Chain(mesh="0198c0de-0000-7000-8000-00000000ffff").add()) == "mesh"


def test_a_newer_version_of_a_type_is_authentic_and_the_ledger_goes_on() -> None:
    chain = Chain()
    chain.add({"lead_agency": "wfp", "shape": {"new": True}}, type_version=7)
    chain.add(version=2)
    assert first_wrong(chain.facts) is None


def test_a_service_writes_only_its_own_kinds() -> None:
    assert code_of(Chain().add({}, kind="testbed", verb="formed")) == "kind"
    assert code_of(Chain().add({}, kind="gift", verb="given")) == "kind"
    assert code_of(Chain().add({}, kind="pilot", subject="capability/1")) == "subject"


def test_raw_observations_never_stand_in_a_mesh_wide_ledger() -> None:
    open_ledger = Chain(ledger="wfp.metrics")
    assert code_of(open_ledger.add({}, kind="observations", verb="pushed", subject="observations/1")) == "audience"
    private = Chain(ledger="wfp.metrics.private")
    private.add({}, kind="observations", verb="pushed", subject="observations/1")
    assert first_wrong(private.facts) is None


def test_only_the_anchor_issues_a_roster_and_it_issues_nothing_else() -> None:
    own = Chain(ledger="wfp.mesh")
    assert code_of(own.add({"agencies": []}, kind="roster", verb="issued", subject="roster/mesh")) == "writer"
    anchor = Chain(ledger="hub.registry", key=key_of("hub"))
    assert code_of(anchor.add({})) == "writer"
    roster = Chain(ledger="hub.mesh", key=key_of("hub"))
    roster.add({"agencies": []}, kind="roster", verb="issued", subject="roster/mesh")
    assert first_wrong(roster.facts, book_of("hub")) is None


def test_a_fact_larger_than_a_fact_may_be_is_refused_redacted_or_not() -> None:
    large = Chain().add(to_bytes({"lead_agency": "wfp", "text": "x" * MAX_BYTES}))
    assert code_of(large) == "size"
    wide = resigned(FACTS[0], key_of("wfp"), padding="x" * MAX_BYTES)
    assert code_of(wide) == "size"
    assert code_of(replace(wide, payload=None, salt=None)) == "size"


def test_unreadable_bytes_are_not_authentic_and_no_crash() -> None:
    for protected in (b"", b"{}", b"[" * 5000, FACTS[0].protected[:-2]):
        trouble = verdict(replace(FACTS[0], protected=protected), mesh=MESH, head=Head(), book=book_of("wfp"))
        assert isinstance(trouble, NotAuthentic)
        assert trouble.code == "unreadable"


def test_a_payload_that_cannot_be_read_is_authentic_all_the_same() -> None:
    for payload in (b"not JSON", b"[1]", b'{"a":' * 20_000):
        assert first_wrong([Chain().add(payload)]) is None
