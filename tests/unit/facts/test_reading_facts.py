"""Bytes from elsewhere are read strictly: whatever comes, the answer is a fact or a sentence, never a crash."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.facts.fact import Unreadable, fact_hash, from_wire, read_header, read_state, to_bytes, to_wire
from shared.facts.keys import Unsigned, seal
from tests.unit.facts.chains import Chain, key_of

FACT = Chain().add({"lead_agency": "wfp", "title": {"en": "Crop loss", "ar": "فقدان المحاصيل"}})
HEADER: dict[str, Any] = json.loads(FACT.protected)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def header_with(**changes: Any) -> bytes:
    return json.dumps({**HEADER, **changes}).encode()


@pytest.mark.parametrize("missing", [name for name in HEADER if name not in ("office", "rests_on")])
def test_a_header_without_one_of_its_attributes_is_none(missing: str) -> None:
    protected = to_bytes({name: value for name, value in HEADER.items() if name != missing})
    with pytest.raises(Unreadable, match=missing):
        read_header(protected)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        *(
            (name, value)
            for name in ("epoch", "sequence", "version")
            for value in (0, -1, 1.0, True, "1", 2**53, 10**30)
        ),
        *(
            ("time", value)
            for value in ("2026-03-01T09:00:00", "yesterday", "2026-W01-1T00:00:00Z", "20260301T090000Z")
        ),
        ("time", "0001-01-01T00:00:00+23:59"),
        ("time", "9999-12-31T23:59:59-23:59"),
        ("time", "٢٠٢٦-03-01T09:00:00Z"),
        *(("ledger", value) for value in ("", "wfp", "WFP.registry", "wfp.banking", "wfp.registry.everybody", "a..b")),
        *(("type", value) for value in ("pilot.registered", "org.pilotmesh.pilot.registered", "org.pilotmesh.p.r.v0")),
        *(
            ("subject", value)
            for value in ("pilot", "pilot/", "pilot/a/b", "pilot/../x", "Pilot/1", "pilot/" + "x" * 65)
        ),
        *(("previous", value) for value in ("abc", "F" * 64, "0" * 63)),
        *(("payload_digest", value) for value in ("", "g" * 64)),
        *(("office", value) for value in (1, [], {})),
        *(("mesh", value) for value in (None, 7, "\ud800")),
        *(("rests_on", value) for value in (7, ["x"], [{}], {"a": 1})),
        ("rests_on", [{"ledger": "fao.matching", "epoch": "1", "sequence": 1, "hash": "0" * 64}]),
        ("rests_on", [{"ledger": "fao.matching", "epoch": 1, "sequence": 10**30, "hash": "0" * 64}]),
        ("rests_on", [{"ledger": "fao.matching", "epoch": 1, "sequence": 1, "hash": "short"}]),
    ],
)
def test_a_header_that_readers_could_take_differently_is_refused(attribute: str, value: object) -> None:
    with pytest.raises(Unreadable):
        read_header(header_with(**{attribute: value}))


@pytest.mark.parametrize(
    "protected",
    [
        b"",
        b"[]",
        b"null",
        b"\xff\xfe" + FACT.protected,
        b"\xef\xbb\xbf" + FACT.protected,
        FACT.protected.decode().encode("utf-16"),
        FACT.protected[:-1],
        FACT.protected + b"{}",
        FACT.protected[:-1] + b',"sequence":1}',
        FACT.protected[:-1] + b',"more":NaN}',
        b"[" * 100_000,
        FACT.protected[:-1] + b',"more":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        FACT.protected[:-1] + b',"more":' + b"9" * 5000 + b"}",
    ],
    ids=range(13),
)
def test_bytes_that_are_no_header_are_refused_with_a_sentence(protected: bytes) -> None:
    with pytest.raises(Unreadable, match="protected"):
        read_header(protected)


def test_attributes_of_later_versions_are_ignored_and_covered_by_the_hash() -> None:
    later = header_with(confidence={"level": "high"})
    assert read_header(later).subject == FACT.header.subject
    assert fact_hash(later) != FACT.hash


def test_a_fact_survives_the_wire_byte_for_byte() -> None:
    assert from_wire(to_wire(FACT)) == FACT
    redacted = Chain().add()
    forgotten = type(redacted)(redacted.protected, None, None, redacted.signature)
    assert from_wire(to_wire(forgotten)) == forgotten


@given(st.binary(max_size=300))
@settings(max_examples=150)
def test_no_bytes_crash_the_reader_of_messages(message: bytes) -> None:
    with pytest.raises(Unreadable):
        from_wire(message)


@given(attribute=st.sampled_from(["protected", "payload", "salt", "signature"]), value=ANY_JSON)
@settings(max_examples=200)
def test_no_message_of_the_right_shape_crashes_the_reader(attribute: str, value: object) -> None:
    message = json.dumps({**json.loads(to_wire(FACT)), attribute: value}).encode()
    with suppress(Unreadable):
        assert from_wire(message).header.sequence == 1


@given(attribute=st.sampled_from(sorted(HEADER)), value=ANY_JSON)
@settings(max_examples=300)
def test_no_value_of_an_attribute_crashes_the_reader_of_headers(attribute: str, value: object) -> None:
    with suppress(Unreadable):
        header = read_header(header_with(**{attribute: value}))
        assert header.time.utcoffset() is not None
        assert header.sequence < 2**53


@pytest.mark.parametrize("salt", ["not base64", base64.b64encode(b"x").decode() + "!", 5, ["x"]])
def test_a_salt_must_be_base64(salt: object) -> None:
    with pytest.raises(Unreadable):
        from_wire(json.dumps({**json.loads(to_wire(FACT)), "salt": salt}).encode())


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"7", b"{", b'{"share":NaN}', b"\xff", b'{"a":' + b"[" * 99_999, '{"é":1}'.encode("latin-1")],
)
def test_a_payload_that_is_no_json_object_is_unreadable_and_no_crash(payload: bytes) -> None:
    with pytest.raises(Unreadable, match="payload"):
        read_state(payload)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), "\ud800"])
def test_nothing_is_written_that_json_cannot_say(value: object) -> None:
    with pytest.raises(ValueError, match=r"JSON|surrogate"):
        to_bytes({"share": value})


def test_only_the_first_fact_of_a_ledger_has_no_previous_one() -> None:
    unsigned = Unsigned("m", "wfp.registry", "i", "t", "s", 1, "", "a", "r", None, b"{}")
    for sequence, previous in ((1, "0" * 64), (2, "")):
        with pytest.raises(ValueError, match="previous"):
            seal(unsigned, epoch=1, sequence=sequence, previous=previous, salt=b"s" * 32, key=key_of("wfp"))
    with pytest.raises(ValueError, match="32 bytes"):
        seal(unsigned, epoch=1, sequence=1, previous="", salt=b"short", key=key_of("wfp"))
