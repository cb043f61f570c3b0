"""Every page, in both languages: within its size, without obstacles, in one language, kept by nobody."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.pages.app import DESIGN_FILES, ROOM
from tests.unit.pages import sample_records as sample
from tests.unit.pages.conftest import Reader
from tests.unit.pages.fake_node import FakeNode
from tests.unit.pages.reading import elements, obstacles

PAGES = [
    "/",
    "/pilots",
    "/pilots/new",
    f"/pilots/{sample.PILOT}",
    f"/pilots/{sample.LONELY}",
    f"/pilots/{sample.DRAFT}/draft",
    *(f"/pilots/{sample.DRAFT}/draft/{step}" for step in ("title", "problem", "place", "need", "kind", "dates")),
    f"/pilots/{sample.DRAFT}/screening",
    f"/proposals/{sample.PROPOSAL}",
    f"/proposals/{sample.PROPOSAL}?said=accept",
    f"/proposals/{sample.OLDER}",
    f"/proposals/{sample.NOBODY}",
    *(f"/proposals/{sample.PROPOSAL}/{act}" for act in ("accept", "conditions", "decline", "interest", "ask")),
    f"/testbeds/{sample.TESTBED}",
    f"/testbeds/{sample.TESTBED}/suspend",
    "/countries",
    "/countries/ZMB",
    "/coordination",
    "/sign-in",
    "/sign-in?code=good-code",
    "/sign-in?code=used",
    "/nothing-here",
]
WITH_LANGUAGE = [(page, language) for page in PAGES for language in ("en", "fr")]
LARGEST = 60_000


def in_language(page: str, language: str) -> str:
    return f"{page}{'&' if '?' in page else '?'}lang={language}"


@pytest.mark.parametrize(("page", "language"), WITH_LANGUAGE)
def test_nothing_on_a_page_is_an_obstacle(approver: Reader, page: str, language: str) -> None:
    assert obstacles(approver.opens(in_language(page, language)).text) == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_with_its_design_has_at_most_60_kilobytes(approver: Reader, page: str) -> None:
    design = sum((ROOM / "static" / name).stat().st_size for name in DESIGN_FILES)
    assert len(approver.opens(in_language(page, "fr")).content) + design <= LARGEST


@pytest.mark.parametrize(("page", "language"), WITH_LANGUAGE)
def test_a_page_is_in_the_language_that_was_asked_for(approver: Reader, page: str, language: str) -> None:
    answer = approver.opens(in_language(page, language))
    skip = {"en": "Skip to the content", "fr": "Aller au contenu"}[language]
    assert answer.headers["content-language"] == language
    assert f'<html lang="{language}">' in answer.text
    assert skip in answer.text


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_kept_by_nobody_and_runs_nothing(approver: Reader, page: str) -> None:
    headers = approver.opens(page).headers
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "script-src" not in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("page", [page for page in PAGES if not page.startswith("/sign-in")])
def test_nobody_reads_a_page_without_signing_in(reader: Reader, page: str) -> None:
    answer = reader.opens(page)
    assert answer.status_code in (200, 401, 404)
    assert "Fall armyworm" not in answer.text
    assert answer.status_code == 404 or "You sign in with a link" in answer.text


@pytest.mark.parametrize("page", [page for page in PAGES if not page.startswith(("/sign-in", "/nothing"))])
def test_opening_a_page_changes_nothing(approver: Reader, node: FakeNode, page: str) -> None:
    approver.opens(page)
    assert node.said == []


def test_all_addresses_a_page_leads_to_are_of_this_node_or_sources(approver: Reader) -> None:
    for page in PAGES:
        for element in elements(approver.opens(page).text):
            target = element.attributes.get("href", element.attributes.get("action", "/"))
            assert target.startswith(("/", "#")) or element.attributes.get("rel") == "noreferrer", (page, target)


def test_every_part_that_is_looked_at_stands_in_the_style_sheet() -> None:
    """A class that no rule knows is a slip in a template."""
    sheet = (ROOM / "static" / "pilotmesh.css").read_text()
    named = {name for file in _templates() for text in _classes(file) for name in text.split()}
    unknown = {name for name in named if f".{name}" not in sheet}
    assert unknown == set()


def _templates() -> list[Path]:
    return sorted((ROOM / "templates").glob("*.html"))


def _classes(file: Path) -> list[str]:
    texts = re.findall(r'class="([^"]*)"', re.sub(r"\{\{.*?\}\}|\{%.*?%\}", " ", file.read_text()))
    return [text for text in texts if text.strip()]
