"""How the node stands, as a page: what is wrong and what to do first, who has forgotten, what was refused."""

from __future__ import annotations

from typing import Any

import pytest

from services.mesh.alerts import TEXTS
from services.pages.app import DESIGN_FILES, ROOM
from services.pages.words import LANGUAGES, words_in
from shared.ledger.quarantine import REMEDIES
from tests.unit.pages import sample_node as sample
from tests.unit.pages.conftest import Reader
from tests.unit.pages.fake_node import FakeNode
from tests.unit.pages.reading import obstacles

PAGES = ("/node", "/node/refused", "/node/agencies/fao")
LARGEST = 60_000


@pytest.fixture
def admin(reader: Reader, node: FakeNode) -> Reader:
    """An admin of WFP, whose node's hub is away."""
    node.told = sample.told()
    return reader.signed_in_as("admin")


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_it_is_read_without_obstacles_in_each_language(admin: Reader, page: str, language: str) -> None:
    answer = admin.opens(f"{page}?lang={language}")
    assert answer.status_code == 200
    assert f'<html lang="{language}">' in answer.text
    assert obstacles(answer.text) == []


def test_what_is_wrong_and_what_to_do_stand_before_all_else(admin: Reader) -> None:
    page = admin.opens("/node").text
    wrong = page.index("fao.registry is frozen: two facts claim one place in it.")
    remedy = page.index("Its agency reopens it with its recovery key: pilotmesh ledger reopen fao.registry.")
    silent = page.index("Node hub was last reached on 20\u00a0November\u00a02026, 08:00\u00a0UTC.")
    assert wrong < remedy < silent < page.index("Other nodes")
    assert "The ledgers were never proven here." in page
    assert "All is well" not in page


def test_a_node_with_nothing_wrong_says_so(admin: Reader, node: FakeNode) -> None:
    node.told = sample.told(sample.NOTHING_WRONG)
    page = admin.opens("/node").text
    assert "All is well." in page
    assert "needs somebody now" not in page


def test_a_redaction_says_how_many_nodes_have_confirmed_it_and_which_not_yet(admin: Reader) -> None:
    page = admin.opens("/node").text
    assert "Confirmed by 3 of 4 nodes." in page
    assert "Not yet: unicef (last heard of 20\u00a0November\u00a02026, 08:00\u00a0UTC)" in page
    assert "cannot be proven" in page
    assert "Confirmé par 3 nœuds sur 4." in admin.opens("/node?lang=fr").text


def test_an_agencys_ledgers_say_how_far_they_are_here_and_elsewhere(admin: Reader) -> None:
    page = admin.opens("/node/agencies/fao").text
    for told in ("fao.registry", "1:12", "1:15", "told by hub", "up to 1:11", "frozen at 1:12"):
        assert told in page
    assert admin.opens("/node/agencies/unknown").status_code == 404


def test_what_was_refused_says_from_whom_why_and_what_to_do(admin: Reader) -> None:
    page = admin.opens("/node/refused").text
    for told in ("The signature does not fit", "peer hub", "wfp.registry:1:9", "2 times", "Tell the agency"):
        assert told in page
    assert "<b>wfp</b>" not in page


@pytest.mark.parametrize("page", PAGES)
def test_only_admins_see_it(reader: Reader, node: FakeNode, page: str) -> None:
    node.told = sample.told()
    answer = reader.signed_in_as("officer").opens(page)
    assert answer.status_code == 403
    assert "frozen" not in answer.text
    assert 'href="/node"' not in answer.text


def test_an_alert_of_a_newer_node_is_told_in_its_own_words(admin: Reader, node: FakeNode) -> None:
    newer = {"code": "of_tomorrow", "level": "wrong", "about": {}, "detail": "Ink is out.", "remedy": "Buy ink."}
    node.told["/mesh/v1/status"]["alerts"] = [newer, {**newer, "code": "silent", "detail": "Elsewhere"}]
    page = admin.opens("/node?lang=fr").text
    assert '<li lang="en">' in page
    assert "Ink is out." in page
    assert "Elsewhere" in page


def test_sixty_agencies_fit_on_a_page(admin: Reader, node: FakeNode) -> None:
    agencies: list[dict[str, Any]] = [
        {**sample.TROUBLED["by_agency"][0], "agency": f"agency-number-{n}", "domain": f"agency-number-{n}"}
        for n in range(60)
    ]
    redactions = [{**sample.REDACTION, "nodes": sample.NODES * 15}] * 20
    node.told["/mesh/v1/status"]["by_agency"] = agencies
    node.told["/mesh/v1/redactions"]["items"] = redactions
    node.told["/mesh/v1/quarantine"]["items"] = [sample.REFUSED] * 200
    design = sum((ROOM / "static" / name).stat().st_size for name in DESIGN_FILES)
    for page in PAGES[:2]:
        assert len(admin.opens(f"{page}?lang=fr").content) + design <= LARGEST


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_alert_and_every_refusal_has_its_words(language: str) -> None:
    phrases = words_in(language).phrases
    assert {f"alert.{code}.{part}" for code in TEXTS for part in ("what", "do")} <= set(phrases)
    assert {f"refusal.{code}" for code in (*REMEDIES, "overflow")} <= set(phrases)
