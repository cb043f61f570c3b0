"""Evidence is checked by itself: whatever is changed in it is found, also by somebody who makes the digest anew."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.facts.fact import Fact
from shared.facts.keys import ledger_digest
from shared.facts.verify import Head, head_statement
from shared.ledger.evidence import FORMAT, Verdict, check_evidence, pack, public_anchor, shown, written
from shared.ledger.gathering import EXPLAINING
from shared.ledger.identity import Member, roster_state
from tests.unit.facts.chains import MESH, PILOT, Chain, key_of

ANCHOR = key_of("hub")
PILOT_SUBJECT = f"pilot/{PILOT}"
PROPOSAL = "0198c0de-0000-7000-8000-0000000000bb"


def roster(*states: Mapping[str, Any]) -> Chain:
    chain = Chain(ledger="hub.mesh", key=ANCHOR)
    for version, state in enumerate(states, start=1):
        chain.add(state, kind="roster", verb="issued", subject="roster/mesh", version=version)
    return chain


def members(*more: Member) -> dict[str, Any]:
    wfp = Member("wfp", key_of("wfp").public, key_of("wfp recovery").public)
    fao = Member("fao", key_of("fao").public, key_of("fao recovery").public)
    return roster_state([wfp, fao, *more])


def registry() -> Chain:
    """A pilot, another one, a rekeying, a change under the new key, a redaction of the first fact."""
    chain = Chain()
    chain.add({"lead_agency": "wfp", "title": {"en": "Alerte précoce"}})
    chain.add({"lead_agency": "wfp"}, subject="pilot/0198c0de-0000-7000-8000-0000000000cc")
    announcement = {
        "public": key_of("new").public.hex(),
        "replaces": key_of("wfp").public.hex(),
        "begun": [ledger_digest("wfp.registry")],
    }
    chain.add(announcement, kind="ledger", verb="rekeyed", subject="ledger/wfp")
    chain.key = key_of("new")
    chain.add({"lead_agency": "wfp", "title": {"en": "Early warning"}}, verb="revised", version=2)
    named = {"facts": [{"epoch": 1, "sequence": 1, "subject": PILOT_SUBJECT}], "reason": "error"}
    chain.add(named, kind="fact", verb="redacted", subject="fact/r1")
    first = chain.facts[0]
    chain.facts[0] = Fact(first.protected, None, None, first.signature)
    return chain


def matching() -> Chain:
    chain = Chain(ledger="fao.matching", key=key_of("fao"))
    chain.add({"agency": "fao", "proposal": PROPOSAL}, kind="response", verb="accepted", subject=f"response/{PROPOSAL}")
    return chain


def signed_head(chain: Chain, number: int) -> dict[str, Any]:
    fact, key = chain.facts[number], key_of("wfp")
    head = Head(*fact.header.position, fact.hash)
    signature = key.private.sign(head_statement(MESH, chain.ledger, head))
    told = {"ledger": chain.ledger, "epoch": head.epoch, "sequence": head.sequence, "hash": head.hash}
    return {**told, "keyid": key.keyid, "signature": base64.b64encode(signature).decode()}


def packed(chain: Chain) -> dict[str, Any]:
    return pack((fact, chain.ledger == "hub.mesh" or fact.header.type in EXPLAINING) for fact in chain.facts)


def document(*chains: Chain, of: Sequence[Fact] = (), **more: Any) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "about": PILOT_SUBJECT,
        "mesh": MESH,
        "anchor": ANCHOR.public.hex(),
        "made_at": "2026-03-01T09:00:00.000000Z",
        "private": False,
        "left_out": {},
        "shown": [shown(fact) for fact in of],
        "ledgers": {chain.ledger: packed(chain) for chain in chains},
        "heads": [],
        **more,
    }


@cache
def whole() -> dict[str, Any]:
    wfp, fao = registry(), matching()
    of = [*fao.facts, wfp.facts[0], wfp.facts[3]]
    return document(roster(members()), wfp, fao, of=of, heads=[signed_head(wfp, 1)], left_out={"private": 2})


def checked(told: Mapping[str, Any], anchor: bytes | None = None) -> Verdict:
    return check_evidence(written(told), anchor)


def test_what_is_right_is_proven_and_what_is_not_is_said() -> None:
    verdict = checked(whole())
    assert verdict.fault is None
    assert [(one.place, one.agency, one.state is None) for one in verdict.facts] == [
        ("fao.matching:1:1", "fao", False),
        ("wfp.registry:1:1", "wfp", True),
        ("wfp.registry:1:4", "wfp", False),
    ]
    said = " ".join(verdict.not_proven)
    assert ANCHOR.public.hex() in said
    assert "wfp.registry:1:1 said: its content was redacted" in said
    assert "2 facts in private ledgers were left out" in said
    assert "times" in said
    assert "wfp.registry: 5 facts in one unbroken chain" in " ".join(verdict.proven)


def test_the_anchor_that_was_published_settles_which_mesh_it_is() -> None:
    assert not any("Which mesh" in one for one in checked(whole(), ANCHOR.public).not_proven)
    refused = checked(whole(), key_of("another").public)
    assert "your mesh" in str(refused.fault)
    assert refused.facts == []
    assert public_anchor(f" {ANCHOR.public.hex()}\n") == ANCHOR.public
    for text in ("", "zz", "ab"):
        with pytest.raises(ValueError, match=r".*"):
            public_anchor(text)


@given(place=st.integers(0), change=st.integers(1, 255))
@settings(max_examples=400, deadline=None)
def test_any_byte_that_is_changed_is_found(place: int, change: int) -> None:
    raw = bytearray(written(whole()))
    raw[place % len(raw)] ^= change
    assert check_evidence(bytes(raw)).fault is not None


@given(first=st.integers(0), length=st.integers(0, 300), other=st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_bytes_that_are_taken_out_or_put_in_are_found(first: int, length: int, other: bytes) -> None:
    raw = written(whole())
    first %= len(raw)
    changed = raw[:first] + other + raw[first + length :]
    assert changed == raw or check_evidence(changed).fault is not None


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_rubbish_is_no_evidence(rubbish: bytes) -> None:
    assert check_evidence(rubbish).fault is not None


def lines_of(told: Mapping[str, Any], ledger: str) -> list[list[Any]]:
    text = zlib.decompress(base64.b64decode(told["ledgers"][ledger]["chain"])).decode()
    return [json.loads(line) for line in text.split("\n")]


def with_lines(told: Mapping[str, Any], ledger: str, lines: Sequence[Sequence[Any]]) -> dict[str, Any]:
    chain = base64.b64encode(zlib.compress("\n".join(json.dumps(line) for line in lines).encode())).decode()
    return {**told, "ledgers": {**told["ledgers"], ledger: {"facts": len(lines), "chain": chain}}}


def flipped(text: str, place: int) -> str:
    at = place % len(text)
    other = "0" if text[at] != "0" else "1"
    return text[:at] + other + text[at + 1 :]


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_whoever_makes_the_digest_anew_still_cannot_change_what_was_signed(data: st.DataObject) -> None:
    told = whole()
    ledger = data.draw(st.sampled_from(sorted(told["ledgers"])))
    lines = lines_of(told, ledger)
    line = data.draw(st.sampled_from(lines))
    part = data.draw(st.sampled_from([number for number, text in enumerate(line) if text]))
    place = data.draw(st.integers(0, len(line[part]) - 1))
    changed = [list(one) for one in lines]
    changed[lines.index(line)][part] = flipped(line[part], place)
    before, after = line[part], changed[lines.index(line)][part]
    if part in (1, 3):  # base64: the last digit has bits to spare
        same = base64.b64decode(before) == _decoded(after)
        if same:
            return
    assert checked(with_lines(told, ledger, changed)).fault is not None


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None


@given(number=st.integers(0, 2), field=st.sampled_from(["place", "payload", "salt"]), place=st.integers(0))
@settings(max_examples=200, deadline=None)
def test_nor_what_is_shown(number: int, field: str, place: int) -> None:
    told = json.loads(json.dumps(whole()))
    one = told["shown"][number]
    if one[field] is None:
        one[field] = "{}" if field == "payload" else base64.b64encode(bytes(32)).decode()
    else:
        before = one[field]
        one[field] = flipped(before, place)
        if field == "salt" and _decoded(one[field]) == base64.b64decode(before):
            return
    assert checked(told).fault is not None


LIES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a fact about the record is left out": lambda told: told["shown"].pop(),
    "a fact is shown twice": lambda told: told["shown"].append(told["shown"][0]),
    "nothing is shown": lambda told: told.update(shown=[], about="pilot/none"),
    "another mesh": lambda told: told.update(mesh="0198c0de-0000-7000-8000-000000000002"),
    "another anchor": lambda told: told.update(anchor=key_of("another").public.hex()),
    "no roster": lambda told: told["ledgers"].pop("hub.mesh"),
    "a ledger under another name": lambda told: told["ledgers"].update(
        {"wfp.matching": told["ledgers"].pop("wfp.registry")}
    ),
    "a witnessed head of another history": lambda told: told["heads"][0].update(hash="ab" * 32),
    "a witnessed head that nobody signed": lambda told: told["heads"][0].update(sequence=7),
    "more facts announced": lambda told: told["ledgers"]["fao.matching"].update(facts=2),
    "bytes behind a chain": lambda told: told["ledgers"]["fao.matching"].update(
        chain=base64.b64encode(base64.b64decode(told["ledgers"]["fao.matching"]["chain"]) + b"x").decode()
    ),
    "a content withheld and called redacted": lambda told: told["shown"][2].update(payload=None, salt=None),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_under_a_right_digest_is_found(lie: str) -> None:
    told = json.loads(json.dumps(whole()))
    LIES[lie](told)
    assert checked(told).fault is not None


@pytest.mark.parametrize("dropped", range(5))
def test_a_fact_taken_out_of_a_chain_is_missed(dropped: int) -> None:
    told = whole()
    lines = lines_of(told, "wfp.registry")
    del lines[dropped]
    verdict = checked(with_lines(told, "wfp.registry", lines))
    # The last one here is the redaction that explains why the first has no content.
    assert verdict.fault is not None


def test_a_roster_that_binds_a_second_recovery_key_is_no_roster() -> None:
    other = roster_state([Member("wfp", key_of("wfp").public, key_of("another").public)])
    told = document(roster(members(), other), matching(), of=matching().facts, about=f"response/{PROPOSAL}")
    assert "second recovery key" in str(checked(told).fault)


def test_ten_thousand_facts_make_a_file_of_a_few_megabytes() -> None:
    chain = Chain()
    for number in range(10_000):
        chain.add({"lead_agency": "wfp"}, subject=f"pilot/0198c0de-0000-7000-8000-{number:012d}")
    last = chain.facts[-1]
    told = document(roster(members()), chain, of=[last], about=last.header.subject)
    raw = written(told)
    assert len(raw) < 4_000_000, len(raw)
    verdict = check_evidence(raw)
    assert verdict.fault is None
    assert "10000 facts" in " ".join(verdict.proven)
