"""The pages of a real node, looked at in a browser without script: sign in by the link, accept an invitation."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from .running import RunningNode, until

CHROMIUM = os.environ.get("PILOTMESH_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install it, or name it in PILOTMESH_TEST_CHROMIUM"),
]

LEAD, PARTNER = "unido", "ifad"
PILOT = {
    "title": {"en": "Coconut pests seen from phones", "fr": "Ravageurs du cocotier vus au téléphone"},
    "problem": {"en": "Beetles spread between islands. Nobody sees them in time."},
    "lead_agency": LEAD,
    "countries": ["TUV"],
    "needs": [{"code": "human.field_staff", "country": "TUV", "quantity": 1, "essential": True}],
    "starts_on": "2027-01-01",
    "ends_on": "2027-12-31",
}
CAPABILITY = {
    "agency": PARTNER,
    "code": "human.field_staff",
    "title": {"en": "Extension workers on the outer islands"},
    "countries": ["TUV"],
    "units": 2,
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser, node: RunningNode) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=False, base_url=node.url, locale="en-GB")
    yield context.new_page()
    context.close()


def post(node: RunningNode, token: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    with node.client(token) as client:
        answer = client.post(path, json=body)
        assert answer.status_code in (200, 201), answer.text
        told: dict[str, Any] = answer.json()
        return told


def sign_in_link(node: RunningNode, agency: str, roles: list[str]) -> str:
    actor = node.new_actor(agency, roles)
    return str(post(node, node.host(agency), "/mesh/v1/sign-in-links", {"actor": actor["id"]})["url"])


@pytest.fixture(scope="module")
def invitation(node: RunningNode) -> dict[str, Any]:
    """A proposal of UNIDO that IFAD is in, still with its lead."""
    for agency in (LEAD, PARTNER):
        record = {"slug": agency, "name": {"en": agency.upper()}, "acronym": agency.upper(), "kind": "un_entity"}
        post(node, node.host(agency), "/registry/v1/agencies", record)
    post(node, node.actor(PARTNER, ["officer"]), "/registry/v1/capabilities", CAPABILITY)
    lead = node.actor(LEAD, ["officer", "approver"])
    pilot = post(node, lead, "/registry/v1/pilots", PILOT)

    def proposed() -> Any:
        with node.client(lead) as client:
            found = client.get("/matching/v1/proposals", params={"pilot": pilot["id"]}).json()["items"]
        return next((one for one in found if one["status"] in ("draft", "open") and len(one["team"]) > 1), None)

    found: dict[str, Any] = until(proposed, "a proposal with a partner")
    return found


def test_the_invited_agency_signs_in_by_the_link_and_accepts(
    node: RunningNode, page: Page, invitation: dict[str, Any]
) -> None:
    proposal = f"/proposals/{invitation['id']}"
    page.goto(sign_in_link(node, LEAD, ["coordinator", "approver"]))
    page.get_by_role("button", name="Sign in").click()
    page.goto(proposal)
    if invitation["status"] == "draft":
        page.get_by_role("link", name="Release …").click()
        page.get_by_role("button", name="Release in the name of UNIDO").click()
        assert page.get_by_role("status").inner_text().startswith("The proposal is released")
    page.get_by_role("button", name="Sign out").click()

    page.goto(sign_in_link(node, PARTNER, ["officer", "approver"]))
    assert "This link signs in" in page.inner_text("main")
    page.get_by_role("button", name="Sign in").click()
    assert page.get_by_role("heading", level=1).inner_text() == "My work"

    page.get_by_role("link", name="Read and answer Coconut pests seen from phones").click()
    assert "The weakest point is" in page.inner_text("main")
    page.get_by_role("link", name="Accept …").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Is this what you want to say?"
    with node.client(node.actor(PARTNER, ["viewer"])) as client:
        assert standing(client.get(f"/matching/v1{proposal}").json()) == "invited"
        page.get_by_role("button", name="Accept in the name of IFAD").click()
        assert "Your agency has accepted." in page.get_by_role("status").inner_text()
        assert standing(client.get(f"/matching/v1{proposal}").json()) == "accepted"

    page.get_by_role("link", name="Français").click()
    assert "accepté" in page.inner_text("main")
    page.get_by_role("button", name="Se déconnecter").click()
    page.goto(proposal)
    assert "Coconut" not in page.inner_text("body")


def standing(proposal: dict[str, Any]) -> str:
    return str(next(one["status"] for one in proposal["invitations"] if one["agency"] == PARTNER))


def test_a_pilot_is_registered_question_by_question(node: RunningNode, page: Page, invitation: dict[str, Any]) -> None:
    page.goto(sign_in_link(node, LEAD, ["officer"]))
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Register a pilot").click()
    save = page.get_by_role("button", name="Save and continue")
    page.get_by_label("Title").fill("Warnings before the king tide")
    save.click()
    page.get_by_label("The problem").fill("King tides flood the wells. Families learn of it too late.")
    save.click()
    page.get_by_label("Country").select_option(label="Tuvalu")
    save.click()
    page.get_by_label("Need").fill("People on the islands who go from house to house")
    save.click()
    page.get_by_label("Or another kind").select_option(label="Field staff")
    save.click()
    save.click()
    assert "Say when it starts and ends." in page.get_by_role("alert").inner_text()
    page.get_by_label("Starts on").fill("2027-02-01")
    page.get_by_label("Ends on").fill("2027-11-30")
    save.click()
    overview = page.inner_text("main")
    assert "Coconut pests seen from phones" in overview
    assert "Extension workers on the outer islands" in overview
    page.get_by_role("button", name="Open the pilot").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Warnings before the king tide"
    assert "open" in page.inner_text("main .head")


def test_pages_stay_small_and_load_nothing_from_elsewhere(
    node: RunningNode, page: Page, invitation: dict[str, Any]
) -> None:
    asked: list[tuple[str, int]] = []
    page.on("response", lambda answer: asked.append((answer.url, len(answer.body()))))
    page.goto(sign_in_link(node, LEAD, ["officer", "coordinator", "admin"]))
    page.get_by_role("button", name="Sign in").click()
    rooms = ("/pilots", "/countries/TUV", "/coordination", "/node", "/node/refused", f"/node/agencies/{LEAD}")
    for path in (*rooms, f"/proposals/{invitation['id']}"):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200, path
    assert all(url.startswith(node.url) for url, _ in asked)
    assert max(size for _, size in asked) < 60_000
