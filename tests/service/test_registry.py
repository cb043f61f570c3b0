"""The registry over HTTP, as agencies' systems use it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from .posting import pilot
from .running import RunningNode, until


@pytest.fixture(scope="module")
def officer(node: RunningNode) -> httpx.Client:
    return node.client(node.actor("wfp", ["officer", "coordinator"]))


@pytest.fixture(scope="module")
def elsewhere(node: RunningNode) -> httpx.Client:
    return node.client(node.actor("fao", ["officer", "admin"]))


def registered(client: httpx.Client, **changes: Any) -> dict[str, Any]:
    answer = client.post("/registry/v1/pilots", json=pilot("wfp", **changes))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_a_pilot_that_is_posted_can_be_read_at_once_with_its_version_as_etag(officer: httpx.Client) -> None:
    made = registered(officer)
    read = officer.get(f"/registry/v1/pilots/{made['id']}")
    assert read.status_code == 200
    assert read.headers["etag"] == '"1"'
    assert read.json()["life"] == "open"
    assert read.json()["ledger_place"] == made["ledger_place"]


def test_a_repeated_key_is_answered_as_the_first_time_and_writes_nothing(officer: httpx.Client) -> None:
    headers = {"Idempotency-Key": "once-and-again"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: officer.post("/registry/v1/pilots", json=pilot("wfp"), headers=headers), range(8))
        )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len({answer.json()["ledger_place"] for answer in answers}) == 1
    other = officer.post("/registry/v1/pilots", json=pilot("wfp", people_reached=3), headers=headers)
    assert other.status_code == 422
    assert other.json()["type"].endswith("idempotency-key-reused")


def test_every_fault_of_a_post_is_named_at_once_with_its_field(officer: httpx.Client) -> None:
    bad = pilot(
        "wfp",
        title={},
        countries=["ZZZ"],
        needs=[{"code": "data.earth_observations", "quantity": -1}],
        starts_on="2027-12-31",
        ends_on="2027-01-01",
    )
    answer = officer.post("/registry/v1/pilots", json=bad)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    fields = {error["field"] for error in answer.json()["errors"]}
    assert {"title", "countries[0]", "needs[0].code", "needs[0].quantity", "ends_on"} <= fields
    hint = next(error for error in answer.json()["errors"] if error["field"] == "needs[0].code")
    assert "data.earth_observation" in hint["detail"]


def test_a_change_needs_the_version_that_was_read(officer: httpx.Client) -> None:
    path = f"/registry/v1/pilots/{registered(officer)['id']}"
    assert officer.patch(path, json={"people_reached": 5}).status_code == 428
    first = officer.patch(path, json={"people_reached": 5}, headers={"If-Match": '"1"'})
    assert (first.status_code, first.headers["etag"]) == (200, '"2"')
    stale = officer.patch(path, json={"people_reached": 6}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    assert stale.json()["current_version"] == 2


def test_of_two_who_change_one_version_one_is_told_to_read_again(officer: httpx.Client) -> None:
    path = f"/registry/v1/pilots/{registered(officer)['id']}"

    def change(people: int) -> int:
        return officer.patch(path, json={"people_reached": people}, headers={"If-Match": '"1"'}).status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(change, range(10, 16)))
    assert statuses == [200, 412, 412, 412, 412, 412]
    assert officer.get(path).json()["version"] == 2


def test_nobody_writes_for_another_agency(officer: httpx.Client, elsewhere: httpx.Client) -> None:
    path = f"/registry/v1/pilots/{registered(officer)['id']}"
    refused = elsewhere.patch(path, json={"people_reached": 1}, headers={"If-Match": '"1"'})
    assert refused.status_code == 403
    assert "fao" in refused.json()["detail"]
    forged = elsewhere.post("/registry/v1/pilots", json=pilot("wfp"))
    assert forged.status_code == 403


def test_without_a_token_nothing_is_told(node: RunningNode) -> None:
    with node.client() as nobody, node.client("made-up") as stranger:
        for client in (nobody, stranger):
            answer = client.get("/registry/v1/pilots")
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"


def test_a_private_pilot_is_not_said_to_exist_elsewhere(officer: httpx.Client, elsewhere: httpx.Client) -> None:
    made = registered(officer, visibility="private")
    assert officer.get(f"/registry/v1/pilots/{made['id']}").status_code == 200
    assert elsewhere.get(f"/registry/v1/pilots/{made['id']}").status_code == 404
    listed = elsewhere.get("/registry/v1/pilots", params={"ids": made["id"]}).json()["items"]
    assert listed == []


def test_narrowing_a_record_is_asked_back_and_withdraws_it_from_the_mesh_once(
    officer: httpx.Client, elsewhere: httpx.Client
) -> None:
    path = f"/registry/v1/pilots/{registered(officer)['id']}"
    narrower = {"visibility": "private"}
    refused = officer.patch(path, json=narrower, headers={"If-Match": '"1"'})
    assert refused.status_code == 409
    assert refused.json()["errors"][0]["code"] == "cannot-be-recalled"
    done = officer.patch(f"{path}?understood=true", json=narrower, headers={"If-Match": '"1"'})
    assert done.status_code == 200
    verbs = until(
        lambda: (found := [f["verb"] for f in officer.get(f"{path}/history").json()["items"]])[2:] and found,
        "the mesh-wide ledger withdraws the record",
    )
    assert verbs == ["registered", "revised", "withdrawn"]
    assert officer.get(path).status_code == 200
    assert elsewhere.get(path).status_code == 404


def test_a_withdrawn_pilot_is_gone_and_leaves_the_lists(officer: httpx.Client) -> None:
    made = registered(officer)
    path = f"/registry/v1/pilots/{made['id']}"
    assert officer.delete(path, headers={"If-Match": '"1"'}).status_code == 200
    assert officer.get(path).status_code == 410
    assert officer.get("/registry/v1/pilots", params={"ids": made["id"]}).json()["items"] == []


def test_lists_are_paged_without_gap_or_repetition(officer: httpx.Client) -> None:
    mark = {"scheme": "test", "id": "paged"}
    made = {registered(officer, external_ids=[mark])["id"] for _ in range(7)}
    seen: list[str] = []
    url = "/registry/v1/pilots?external_id=test:paged&limit=3"
    while url:
        answer = officer.get(url)
        seen += [item["id"] for item in answer.json()["items"]]
        url = answer.links["next"]["url"] if answer.json()["next"] else ""
    assert len(seen) == len(set(seen))
    assert set(seen) == made


def test_an_officer_screens_and_an_unscreened_pilot_does_not_get_ready(officer: httpx.Client) -> None:
    made = registered(officer, learning=[{"question": {"en": "Does the warning come early enough to act?"}}])
    path = f"/registry/v1/pilots/{made['id']}"
    asked = officer.get("/registry/v1/screening").json()["questions"]
    assert len(asked) == 8
    answers = {question["id"]: {"answer": "yes"} for question in asked}
    done = officer.post(f"{path}/screening", json={"answers": answers})
    assert done.status_code == 201, done.text
    assert done.json()["result"] == "passed"
    shown = until(
        lambda: (r := officer.get(path).json())["screening"]["status"] == "passed" and r, "the card says it is screened"
    )
    tag = f'"{shown["version"]}"'
    early = officer.post(f"{path}/life", json={"to": "ready"}, headers={"If-Match": tag})
    assert early.status_code == 409
    forming = officer.post(f"{path}/life", json={"to": "forming"}, headers={"If-Match": tag})
    assert forming.status_code == 200, forming.text
    ready = officer.post(f"{path}/life", json={"to": "ready"}, headers={"If-Match": forming.headers["etag"]})
    assert ready.status_code == 200, ready.text
    changed = officer.patch(
        path, json={"target_groups": ["refugees"]}, headers={"If-Match": ready.headers["etag"]}
    ).json()
    assert changed["screening"]["status"] == "void"
    assert changed["life"] == "forming"


@pytest.mark.parametrize(
    ("content", "status", "kind"),
    [
        (b'{"title": NaN}', 422, "invalid"),
        (b"{", 422, "invalid"),
        (b"[1]", 422, "invalid"),
        (b"[" * 5000, 422, "invalid"),
        (b'{"title": {"en": "\\ud800"}}', 422, "invalid"),
        (b'{"a": "' + b"x" * (9 * 2**20) + b'"}', 413, "too-large"),
    ],
)
def test_bytes_that_are_no_post_are_refused_in_words(
    officer: httpx.Client, content: bytes, status: int, kind: str
) -> None:
    answer = officer.post("/registry/v1/pilots", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (status, kind)


def test_a_record_larger_than_a_fact_is_refused_before_it_is_signed(officer: httpx.Client) -> None:
    answer = officer.post("/registry/v1/pilots", json=pilot("wfp", annex={"x": "y" * 300_000}))
    assert answer.status_code in (413, 422), answer.text


def test_redacting_a_pilot_takes_its_content_everywhere_and_the_chain_still_proves(node: RunningNode) -> None:
    with (
        node.client(node.actor("ilo", ["officer"])) as clerk,
        node.client(node.host("ilo")) as admin,
        node.client(node.operator) as operator,
    ):
        made = clerk.post("/registry/v1/pilots", json=pilot("ilo", title={"en": "Mentions somebody"})).json()
        order = {"ledger": "ilo.registry", "facts": [made["ledger_place"]], "reason": "personal_data"}
        assert clerk.post("/registry/v1/redactions", json=order).status_code == 403
        done = admin.post("/registry/v1/redactions", json=order)
        assert done.status_code == 201, done.text
        until(lambda: clerk.get(f"/registry/v1/pilots/{made['id']}").status_code == 410, "the record shows nothing")

        def proven() -> dict[str, Any]:
            proof = operator.post("/mesh/v1/verification").json()
            found: dict[str, Any] = next(one for one in proof["ledgers"] if one["ledger"] == "ilo.registry")
            return found

        until(lambda: proven()["redacted"] == 1, "its content is gone from the store")
        ledger = proven()
        assert ledger["fault"] is None
