"""Signing in by a link that a scanner may open first, and what keeps the session the person's own."""

from __future__ import annotations

import re

import pytest

from services.pages.safety import form_token, local_path
from shared.settings import Settings
from tests.unit.pages import sample_records as sample
from tests.unit.pages.conftest import HERE, Reader, reading
from tests.unit.pages.fake_node import FakeNode


def test_opening_the_link_shows_whom_it_signs_in_and_does_not_use_it_up(reader: Reader, node: FakeNode) -> None:
    page = reader.opens("/sign-in?code=good-code")
    assert "This link signs in Chanda" in page.text
    assert "set-cookie" not in page.headers
    assert node.links == {"good-code": "approver"}


def test_the_button_signs_in_and_leads_to_my_work(reader: Reader) -> None:
    answer = reader.sends(reader.opens("/sign-in?code=good-code"), "/sign-in")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "My work" in reader.opens("/").text


def test_the_session_is_out_of_reach_of_script_and_other_sites(reader: Reader) -> None:
    cookie = reader.sends(reader.opens("/sign-in?code=good-code"), "/sign-in").headers["set-cookie"]
    assert cookie.startswith("pilotmesh_session=session-approver;")
    for part in ("HttpOnly", "SameSite=lax", "Path=/"):
        assert part in cookie
    assert "Secure" not in cookie


def test_behind_https_the_session_travels_only_there(node: FakeNode) -> None:
    with reading(node.app, Settings(public_url="https://node.example.org"), "http://10.0.0.5") as inside:
        answer = inside.posts("/sign-in", {"code": "good-code"}, {"Origin": "https://node.example.org"})
    assert "Secure" in answer.headers["set-cookie"]


def test_a_used_link_says_what_to_do(reader: Reader) -> None:
    page = reader.opens("/sign-in?code=good-code")
    reader.sends(page, "/sign-in")
    again = reader.sends(page, "/sign-in")
    assert again.status_code == 404
    assert "Ask your agency’s administrator" in again.text


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "https://elsewhere.example"}, {"Origin": "null"}, {"Origin": HERE, "Sec-Fetch-Site": "cross-site"}],
)
def test_another_site_cannot_sign_anybody_in(reader: Reader, node: FakeNode, headers: dict[str, str]) -> None:
    answer = reader.posts("/sign-in", {"code": "good-code"}, headers)
    assert answer.status_code == 403
    assert node.links == {"good-code": "approver"}


def test_after_signing_in_one_is_where_one_wanted_to_go(reader: Reader) -> None:
    page = reader.opens(f"/sign-in?code=good-code&next=/proposals/{sample.PROPOSAL}")
    assert reader.sends(page, "/sign-in").headers["location"] == f"/proposals/{sample.PROPOSAL}"


@pytest.mark.parametrize(
    "bad", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:1", "", "/a\nb"]
)
def test_a_link_cannot_lead_elsewhere(bad: str) -> None:
    assert local_path(bad) == "/"


def test_signing_out_ends_the_session_at_the_node_too(approver: Reader, node: FakeNode) -> None:
    answer = approver.sends(approver.opens("/"), "/sign-out")
    assert ("DELETE", "/mesh/v1/sessions", None) in node.said
    assert re.search(r'pilotmesh_session="?"?;', answer.headers["set-cookie"])


def test_a_session_that_has_ended_leads_to_signing_in(reader: Reader) -> None:
    reader.client.cookies.set("pilotmesh_session", "long-gone")
    answer = reader.opens("/pilots")
    assert answer.status_code == 401
    assert "session has ended" in answer.text


def test_a_form_of_another_session_is_refused(approver: Reader, node: FakeNode) -> None:
    path = f"/proposals/{sample.PROPOSAL}/accept"
    forged = {"proposal_hash": sample.HASH, "confirmed": "1", "form_token": form_token("session-officer")}
    answer = approver.posts(path, forged, {"Origin": HERE})
    assert answer.status_code == 403
    assert "Nothing was done" in answer.text
    assert node.said == []


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "https://elsewhere.example"}, {"Referer": "https://elsewhere.example/x"}]
)
def test_a_form_from_another_site_is_refused(approver: Reader, node: FakeNode, headers: dict[str, str]) -> None:
    path = f"/proposals/{sample.PROPOSAL}/accept"
    right = {"proposal_hash": sample.HASH, "confirmed": "1", "form_token": form_token("session-approver")}
    assert approver.posts(path, right, headers).status_code == 403
    assert node.said == []


def test_a_strange_code_names_no_other_resource(reader: Reader) -> None:
    assert reader.opens("/sign-in?code=../me").status_code == 404


def test_a_node_that_is_away_is_told_without_signing_out(approver: Reader, node: FakeNode) -> None:
    node.refuse["/mesh/v1/me"] = (503, {"type": "…/unavailable", "detail": "The database cannot be reached."})
    answer = approver.opens("/")
    assert answer.status_code == 503
    assert "Not available just now" in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("media", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        ("application/x-www-form-urlencoded", b"x=" + 70_000 * b"y", 413),
        ("application/x-www-form-urlencoded", 300 * b"x=1&", 400),
        ("application/x-www-form-urlencoded", b"code=\xff\xfe", 400),
    ],
)
def test_what_no_page_of_ours_sends_is_refused(
    approver: Reader, node: FakeNode, media: str, body: bytes, status: int
) -> None:
    headers = {"Origin": HERE, "Content-Type": media}
    answer = approver.posts(f"/proposals/{sample.PROPOSAL}/accept", body, headers)
    assert answer.status_code == status
    assert "This form cannot be used" in answer.text
    assert node.said == []
