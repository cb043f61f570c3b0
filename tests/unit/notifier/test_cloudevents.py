"""The outward view of a fact: a CloudEvent that carries what was signed, and nothing once it was redacted."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from shared.facts.cloudevents import cloud_event, cloud_event_bytes

from .examples import MESH, TRACE, fact


def test_an_event_names_its_fact_as_the_design_has_it() -> None:
    one = fact("proposal", "released", {"lead": "wfp"}, ledger="wfp.matching", trace=TRACE)
    event = cloud_event(one)
    assert event == {
        "specversion": "1.0",
        "id": "wfp.matching:1:1",
        "source": f"urn:pilotmesh:{MESH}:wfp:matching",
        "type": "org.pilotmesh.proposal.released.v1",
        "subject": one.header.subject,
        "time": "2026-11-22T12:00:00.000000Z",
        "datacontenttype": "application/json",
        "facthash": one.hash,
        "factversion": 1,
        "traceparent": TRACE,
        "data": {"lead": "wfp"},
    }


def test_names_of_attributes_are_lower_case_letters_and_digits_of_at_most_twenty() -> None:
    for name in cloud_event(fact(trace=TRACE)):
        assert name.isascii()
        assert name.isalnum()
        assert name == name.lower()
        assert len(name) <= 20


def test_the_payload_goes_out_as_it_was_signed() -> None:
    payload = '{"title" : {"fr": "Café"},   "n": 1.50}'.encode()
    assert b'"data":' + payload + b"}" in cloud_event_bytes(fact(payload=payload))


def test_an_event_is_one_line_whatever_the_writer_sent() -> None:
    body = cloud_event_bytes(fact(payload=b'{\n "a": "b",\r\n "c": "\\n"}'))
    assert b"\n" not in body
    assert b"\r" not in body
    assert json.loads(body)["data"] == {"a": "b", "c": "\n"}


@pytest.mark.parametrize("payload", [b"[1]", b'{"a": NaN}', b'{"a": ', b"\xff\xfe"])
def test_a_payload_that_is_no_json_object_is_left_out_and_said_to_be(payload: bytes) -> None:
    event = cloud_event(fact(payload=payload))
    assert event["unreadable"] is True
    assert "data" not in event
    assert "datacontenttype" not in event


def test_a_redacted_fact_has_no_data() -> None:
    one = fact(state={"problem": "call 0123"})
    for event in (cloud_event(one, redacted=True), cloud_event(replace(one, payload=None, salt=None))):
        assert event["redacted"] is True
        assert "data" not in event
        assert event["id"] == one.place
