"""What the documents point to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.registry.screening import CURRENT
from shared.vocabulary import capability

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
CODE = re.compile(r"`((?:infra|data|human|policy)\.[a-z_]+)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target]
    dead = [target for target in targets if not (page.parent / target).exists()]
    assert dead == []


def test_the_guidelines_name_only_capabilities_that_exist_and_all_questions_of_the_screening() -> None:
    text = "\n".join(page.read_text() for page in (ROOT / "docs" / "guidelines").glob("*.md"))
    assert set(CODE.findall(text)) <= set(capability.CODES)
    assert [question.id for question in CURRENT.questions if question.id not in text] == []
