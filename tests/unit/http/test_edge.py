"""The HTTP edge: whatever comes in, what goes out is an answer or a problem that says what to do."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.http.posted import parse_json
from shared.problems import Invalid
from tests.unit.http import small_app
from tests.unit.http.small_app import LIMIT, problem

JSON = {"content-type": "application/json"}
TOKEN = {"authorization": "Bearer known"}


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    yield from small_app.client()


# -- bodies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "json"),
        (b"{", "json"),
        (b"{}{}", "json"),
        (b"{'a': 1}", "json"),
        (b'{"a": NaN}', "json"),
        (b"[Infinity]", "json"),
        (b"-Infinity", "json"),
        (b'{"a": 1e999}', "json"),
        (b'{"a": -1e400}', "json"),
        (b"9" * 1900, None),
        (b'"\\ud800"', "encoding"),
        (b'{"\\udfff": 1}', "encoding"),
        (b'"\xff\xfe"', "encoding"),
        ('{"a": 1}'.encode("utf-16"), "encoding"),
        (b"[" * 65 + b"]" * 65, "depth"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "depth"),
        (b"[" * LIMIT, "json"),
    ],
    ids=range(17),
)
def test_a_body_that_is_no_json_is_refused_with_the_reason(http: httpx.Client, body: bytes, code: str | None) -> None:
    answer = http.post("/v1/echo", content=body, headers=JSON)
    if code is None:
        assert answer.status_code == 200
        return
    (fault,) = problem(answer, 422, "invalid")["errors"]
    assert fault["code"] in (code, "depth")
    assert fault["detail"]


def test_nesting_without_end_is_refused_and_no_crash() -> None:
    for opening in (b"[", b'{"a":', b"[[[{"):
        with pytest.raises(Invalid):
            parse_json(opening * 200_000)
    assert parse_json(b"[" * 64 + b"]" * 64) is not None
    with pytest.raises(Invalid):
        parse_json(b"9" * 5000)


def test_what_json_can_say_comes_through_as_it_is(http: httpx.Client) -> None:
    document: dict[str, object] = {
        "text": "مرحبا 你好 \u0000 😀",
        "numbers": [0, -1, 1.5, 2**53],
        "none": None,
        "nested": {"a": [{}]},
    }
    for body in (json.dumps(document).encode(), b"\xef\xbb\xbf" + json.dumps(document, ensure_ascii=False).encode()):
        answer = http.post("/v1/echo", content=body, headers=JSON)
        assert answer.json()["document"] == document


@given(st.binary(max_size=60))
@settings(max_examples=200)
def test_no_bytes_crash_the_reader_of_bodies(body: bytes) -> None:
    try:
        document = parse_json(body)
    except Invalid as refused:
        found = refused.faults
    else:
        found = ()
        json.dumps(document, allow_nan=False, ensure_ascii=False).encode()
    assert all(fault.detail for fault in found)


def test_a_body_of_another_kind_than_an_object_is_named(http: httpx.Client) -> None:
    for body in (b"[]", b"1", b'"text"', b"null", b"true"):
        (fault,) = problem(http.post("/v1/objects", content=body, headers=JSON), 422, "invalid")["errors"]
        assert fault["code"] == "type"


def test_a_body_larger_than_the_limit_is_refused_declared_or_not(http: httpx.Client) -> None:
    large = b'"' + b"x" * LIMIT + b'"'
    problem(http.post("/v1/echo", content=large, headers=JSON), 413, "too-large")

    def in_parts() -> Iterator[bytes]:
        for start in range(0, len(large), 100):
            yield large[start : start + 100]

    answer = http.post("/v1/echo", content=in_parts(), headers=JSON)
    assert "content-length" not in answer.request.headers
    problem(answer, 413, "too-large")
    just_fits = b'"' + b"x" * (LIMIT - 2) + b'"'
    assert http.post("/v1/echo", content=just_fits, headers=JSON).status_code == 200


@pytest.mark.parametrize("media", ["text/plain", "application/xml", "multipart/form-data", "json", "application/jsonx"])
def test_another_media_type_is_refused(http: httpx.Client, media: str) -> None:
    problem(http.post("/v1/echo", content=b"{}", headers={"content-type": media}), 415, "unsupported-media-type")


@pytest.mark.parametrize(
    "media", ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"]
)
def test_json_by_any_of_its_names_is_read(http: httpx.Client, media: str) -> None:
    assert http.post("/v1/echo", content=b"{}", headers={"content-type": media}).status_code == 200
    assert http.post("/v1/echo", content=b"{}").status_code == 200


# -- who calls, and what is repeated -----------------------------------------------------------------------------


def test_without_a_token_the_caller_is_told_how_to_get_one(http: httpx.Client) -> None:
    for headers in ({}, {"authorization": "Basic abc"}, {"authorization": "Bearer unknown"}, {"authorization": "x"}):
        answer = http.post("/v1/commands", content=b"{}", headers={**JSON, **headers})
        problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"


def key_of(http: httpx.Client, **headers: str) -> str | None:
    answer = http.post("/v1/commands", content=b"{}", headers={**JSON, **TOKEN, **headers})
    assert answer.status_code == 200, answer.text
    key: str | None = answer.json()["key"]
    return key


def test_an_idempotency_key_makes_a_command_recognisable(http: httpx.Client) -> None:
    assert key_of(http) is None
    first = key_of(http, **{"Idempotency-Key": "k1"})
    assert first == key_of(http, **{"idempotency-key": "k1"})
    assert first != key_of(http, **{"Idempotency-Key": "k2"})


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_an_idempotency_key_that_is_none_is_refused(http: httpx.Client, key: str) -> None:
    answer = http.post("/v1/commands", content=b"{}", headers={**JSON, **TOKEN, "Idempotency-Key": key})
    (fault,) = problem(answer, 422, "invalid")["errors"]
    assert fault["field"] == "Idempotency-Key"


# -- versions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("header", "expected"), [('"3"', 3), ("3", 3), ('W/"3"', 3), ('"0"', 0)])
def test_if_match_names_the_version_that_was_read(http: httpx.Client, header: str, expected: int) -> None:
    answer = http.put("/v1/records/1", headers={"If-Match": header})
    assert answer.json()["expected"] == expected
    assert answer.headers["etag"] == f'"{expected + 1}"'


def test_a_change_without_if_match_is_told_what_to_send(http: httpx.Client) -> None:
    assert "If-Match" in problem(http.put("/v1/records/1"), 428, "precondition-required")["detail"]


@pytest.mark.parametrize("header", ["", "*", '"abc"', '"3", "4"', "-1", "3.0", '"' + "9" * 30 + '"', "²"])
def test_an_if_match_that_names_no_version_is_refused(http: httpx.Client, header: str) -> None:
    answer = http.put("/v1/records/1", headers=[(b"If-Match", header.encode("latin-1"))])
    (fault,) = problem(answer, 422, "invalid")["errors"]
    assert fault["field"] == "If-Match"


# -- lists -------------------------------------------------------------------------------------------------------


def test_a_list_leads_from_page_to_page(http: httpx.Client) -> None:
    first = http.get("/v1/records?limit=7&sort=name")
    following = first.json()["next"]
    link = first.headers["link"]
    assert link == f'</v1/records?limit=7&sort=name&cursor={following}>; rel="next"'
    second = http.get(link[1 : link.index(">")])
    assert second.json()["items"] == [{"after": "é/7"}]


@pytest.mark.parametrize("cursor", ["*", "a", "////", "ÿ", base64.urlsafe_b64encode(b"\xff\xff").decode(), "x" * 500])
def test_a_cursor_of_another_list_is_refused_or_harmless(http: httpx.Client, cursor: str) -> None:
    answer = http.get("/v1/records", params={"cursor": cursor})
    assert answer.status_code in (200, 422)
    if answer.status_code == 422:
        assert problem(answer, 422, "invalid")["errors"][0]["field"] == "cursor"


@pytest.mark.parametrize("limit", ["0", "-1", "201", "many", "1e9", ""])
def test_a_limit_out_of_range_is_named(http: httpx.Client, limit: str) -> None:
    assert problem(http.get(f"/v1/records?limit={limit}"), 422, "invalid")["errors"][0]["field"] == "limit"


# -- refusals ----------------------------------------------------------------------------------------------------


def test_a_store_that_is_away_is_said_without_its_address(http: httpx.Client) -> None:
    answer = http.get("/v1/store-away")
    problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "2"
    assert "secret" not in answer.text


def test_a_fault_of_the_program_tells_nothing_of_its_inside(http: httpx.Client) -> None:
    answer = http.get("/v1/fault")
    problem(answer, 500, "internal")
    assert "secret" not in answer.text
    assert "ZeroDivision" not in answer.text


def test_a_refusal_says_where_and_carries_what_helps(http: httpx.Client) -> None:
    told = problem(http.get("/v1/conflict"), 409, "conflict")
    assert told["instance"] == "/v1/conflict"
    assert told["current"] == "open"


def test_unknown_paths_and_methods_are_problems_too(http: httpx.Client) -> None:
    problem(http.get("/v1/nowhere"), 404, "http-404")
    answer = http.delete("/v1/records")
    problem(answer, 405, "http-405")
    assert "GET" in answer.headers["allow"]


# -- the house ---------------------------------------------------------------------------------------------------


def test_every_service_says_how_it_is(http: httpx.Client) -> None:
    assert http.get("/healthz").json() == {"status": "ok"}
    ready = http.get("/readyz")
    assert ready.status_code == 503
    assert ready.json() == {"ready": False, "parts": {"database": None, "follower": "catching up"}}
    assert http.get("/asyncapi.json").json() == {"asyncapi": "3.0.0"}
    assert http.get("/openapi.json").json()["servers"] == [{"url": "/small"}]
    assert "python_info" in http.get("/prometheus").text
    assert http.get("/healthz").headers["x-content-type-options"] == "nosniff"


def test_problems_are_documented_for_every_route(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    for path in ("/v1/echo", "/v1/records"):
        for operation in document["paths"][path].values():
            assert "application/problem+json" in operation["responses"]["default"]["content"]
    assert "errors" in document["components"]["schemas"]["Problem"]["properties"]
