"""A write that came to the wrong node is refused with the address of the right one, whatever was to be written.

Who asks is somebody of wfp whom the other node still knows: from before the agency moved.
"""

from __future__ import annotations

import httpx
import pytest

from .across import EARTH, formed
from .posting import pilot as a_pilot
from .running import until
from .test_across_metrics import PLAN, Shared
from .two_nodes import Desks, Link, Mesh

ROLES = ("officer", "monitor", "coordinator", "approver", "admin")


@pytest.fixture(scope="module")
def visitor(mesh: Mesh, desks: Desks) -> httpx.Client:
    assert desks
    return mesh["b"].client(mesh["b"].visiting("wfp", *ROLES))


def test_every_write_names_the_node_that_hosts_the_agency(
    mesh: Mesh, desks: Desks, link: Link, visitor: httpx.Client
) -> None:
    testbed = formed(desks, "wfp", "fao", "MOZ", EARTH)
    shared = Shared(mesh, "DJI", "ERI")
    link.level()
    pilot, proposal = testbed["pilot"], testbed["proposal"]
    until(lambda: visitor.get(f"/registry/v1/pilots/{pilot}").is_success, "the other node has the pilot")
    capability = {"agency": "wfp", "code": "human.field_staff", "title": {"en": "Staff"}, "countries": ["MOZ"]}
    hash_ = desks.b.again({"id": proposal}, "fao")["hash"]
    row = {
        "id": "o1",
        "indicator": shared.indicator,
        "pilot": shared.pilot,
        "country": "DJI",
        "period": {"start": "2025-07-01", "end": "2025-09-30"},
        "value": 3,
        "basis": "reported",
    }
    version = {"If-Match": '"1"'}
    asked: list[tuple[str, str, object]] = [
        ("POST", "/registry/v1/agencies", {"slug": "wfp", "name": {"en": "World Food Programme"}}),
        ("POST", "/registry/v1/offices", {"agency": "wfp", "name": {"en": "Maputo"}, "kind": "country"}),
        ("POST", "/registry/v1/pilots", a_pilot("wfp")),
        ("PUT", f"/registry/v1/pilots/{pilot}", a_pilot("wfp")),
        ("PATCH", f"/registry/v1/pilots/{pilot}", {"summary": {"en": "Better."}}),
        ("DELETE", f"/registry/v1/pilots/{pilot}", None),
        ("POST", f"/registry/v1/pilots/{pilot}/screening", {"answers": {}}),
        ("POST", f"/registry/v1/pilots/{pilot}/life", {"to": "ready"}),
        ("POST", "/registry/v1/capabilities", capability),
        ("POST", f"/matching/v1/proposals/{proposal}/release", {"proposal_hash": hash_}),
        (
            "POST",
            f"/matching/v1/proposals/{proposal}/responses",
            {"agency": "wfp", "decision": "withdraw", "proposal_hash": hash_},
        ),
        (
            "POST",
            f"/matching/v1/proposals/{proposal}/questions",
            {"agency": "wfp", "proposal_hash": hash_, "question": {"en": "Who?"}},
        ),
        ("POST", f"/matching/v1/proposals/{proposal}/answers", {"question": "q", "answer": {"en": "We."}}),
        ("POST", f"/matching/v1/proposals/{proposal}/formation", {"proposal_hash": hash_}),
        ("POST", f"/matching/v1/testbeds/{testbed['id']}/suspensions", {"agency": "wfp", "reason": {"en": "A flood."}}),
        ("DELETE", f"/matching/v1/testbeds/{testbed['id']}/suspensions/wfp", None),
        ("PUT", "/matching/v1/rules/wfp", {"release": "auto"}),
        ("POST", "/metrics/v1/plans", {**PLAN, "pilot": pilot}),
        ("PUT", f"/metrics/v1/plans/{shared.indicator}", PLAN),
        ("DELETE", f"/metrics/v1/plans/{shared.indicator}", None),
        ("POST", "/metrics/v1/observations", [row]),
        (
            "POST",
            "/registry/v1/redactions",
            {"ledger": "wfp.registry", "reason": "error", "facts": [{"epoch": 1, "sequence": 1}]},
        ),
    ]
    wrong = []
    for method, path, body in asked:
        answer = (
            visitor.request(method, path, json=body, headers=version)
            if body is not None
            else visitor.request(method, path, headers=version)
        )
        told = answer.json()
        if (answer.status_code, told.get("node"), told.get("address")) != (421, mesh["a"].url, mesh["a"].url + path):
            wrong.append((method, path, answer.status_code, told))
    assert wrong == []


def test_the_address_of_a_refusal_leads_there(mesh: Mesh, desks: Desks, visitor: httpx.Client) -> None:
    post = a_pilot("wfp", countries=["SYC"], needs=[{"code": "human.field_staff", "country": "SYC"}])
    refused = visitor.post("/registry/v1/pilots", json=post)
    assert refused.status_code == 421
    with mesh["a"].client(mesh["a"].actor("wfp", ["officer"])) as there:
        answer = there.post(refused.json()["address"], json=post)
    assert answer.status_code == 201, answer.text


def test_pages_lead_to_the_node_of_the_agency(mesh: Mesh, desks: Desks, link: Link) -> None:
    testbed = formed(desks, "wfp", "fao", "MUS", EARTH)
    token = mesh["b"].visiting("wfp", *ROLES)
    form = mesh["b"].page(f"/testbeds/{testbed['id']}/suspend", token)
    field = form.text.split('name="form_token" value="', 1)[1].split('"', 1)[0]
    with mesh["b"].client() as browser:
        answer = browser.post(
            f"/testbeds/{testbed['id']}/suspend",
            data={"form_token": field, "reason": "A flood.", "confirmed": "yes", "key": "k"},
            headers={"Cookie": f"pilotmesh_session={token}", "Origin": mesh["b"].url},
        )
    assert answer.status_code == 421, answer.text
    assert f'href="{mesh["a"].url}"' in answer.text


def test_nobody_acts_for_another_agency_on_any_node(mesh: Mesh, desks: Desks, link: Link) -> None:
    refused = desks.b.as_("fao", "officer").post("/registry/v1/pilots", json=a_pilot("wfp"))
    assert refused.status_code == 403
