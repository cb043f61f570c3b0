"""The interface is complete in each of its languages, and says nothing that is not in the wording."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

from services.pages.answering import ACTS, REASONS
from services.pages.app import KINDS, ROOM
from services.pages.coordination import flags_of
from services.pages.drafting import STEPS
from services.pages.words import LANGUAGES, language_for, words_in

USED = re.compile(r"""(?:\bt|words|visitor\.words)(?:\.counted)?\(\s*["']([a-z_0-9.]+)["']\s*[,)]""")
BEGUN = re.compile(r"""["']([a-z_]+(?:\.[a-z_]+)*\.)["']\s*~|f["']([a-z_]+(?:\.[a-z_]+)*\.)\{""")
KNOWN = re.compile(r"""\.known\(\s*["']([a-z_]+)["']( ~)?""")


def sources() -> list[Path]:
    return [*ROOM.glob("*.py"), *(ROOM / "templates").glob("*.html")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_phrases(language: str) -> None:
    assert set(words_in(language).phrases) == set(words_in("en").phrases)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_phrase_is_filled_with_the_same_things_in_every_language(language: str) -> None:
    for key, phrase in words_in(language).phrases.items():
        assert _filled(phrase) == _filled(words_in("en").phrases[key]), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_phrase_is_empty(language: str) -> None:
    assert [key for key, phrase in words_in(language).phrases.items() if not phrase.strip()] == []


def test_french_phrases_are_french() -> None:
    same = {key for key, phrase in words_in("fr").phrases.items() if phrase == words_in("en").phrases[key]}
    alike = {"own_name.en", "own_name.fr", "menu.coordination", "word.dates", "word.question", "colon"}
    names = {key for key in same if len(words_in("fr").phrases[key].split()) > 1}
    assert names == set()
    assert len(same - alike) < 25, sorted(same - alike)


def test_every_phrase_that_is_asked_for_exists() -> None:
    phrases = set(words_in("en").phrases)
    plural = {key.removesuffix(".one") for key in phrases if key.endswith(".one")}
    for file in sources():
        for key in USED.findall(file.read_text()):
            assert key in phrases or key in plural, f"{file.name} asks for {key}"


def test_every_phrase_is_asked_for_somewhere() -> None:
    text = "\n".join(file.read_text() for file in sources())
    whole = set(USED.findall(text))
    begun = {one for pair in BEGUN.findall(text) for one in pair if one} | {
        one if joined else f"{one}." for one, joined in KNOWN.findall(text)
    }
    literal = set(re.findall(r"""["']([a-z_]+\.[a-z_.0-9]+)["']""", text))
    unused = [
        key
        for key in words_in("en").phrases
        if key not in whole | literal
        and key.removesuffix(".one").removesuffix(".many") not in whole
        and not any(key.startswith(prefix) for prefix in begun)
    ]
    assert unused == []


def test_every_code_that_pages_put_into_a_phrase_has_its_words() -> None:
    phrases = set(words_in("en").phrases)
    for act in ACTS:
        assert {f"confirm.{act}", f"confirm.yes_{act}", f"said.{act}"} <= phrases
        assert (
            not ACTS[act].asks_first or {f"answer.{act}.title", f"answer.{act}.what", f"answer.{act}.words"} <= phrases
        )
        assert not ACTS[act].needed or f"answer.{act}.missing" in phrases
        assert f"act.{act}" in phrases
    assert {f"reason.{reason}" for reason in REASONS} <= phrases
    assert {f"draft.{step}.{part}" for step in STEPS for part in ("title", "what")} <= phrases
    assert {f"problem.{kind}.{part}" for kind in (*KINDS, 500, 503, "form") for part in ("title", "what")} <= phrases
    everything = flags_of(
        {"life": "paused", "screening": {"status": "void"}, "assessment_due_on": "2026-01-01", "ends_on": "2026-01-01"},
        {"items": [{"status": "behind"}]},
        "2027-01-01",
    )
    assert {f"flag.{flag}" for flag in [*everything, "no_data"]} <= phrases


def test_apostrophes_and_quotation_marks_are_those_of_print() -> None:
    for language in LANGUAGES:
        assert [key for key, phrase in words_in(language).phrases.items() if "'" in phrase or '"' in phrase] == []


def test_french_keeps_its_punctuation_with_the_word_before() -> None:
    for key, phrase in words_in("fr").phrases.items():
        assert not re.search(r"\w [:;?!»]", phrase), key


def test_counting_follows_the_language() -> None:
    assert words_in("en").counted("pilot.history", 0) == "0 changes"
    assert words_in("en").counted("pilot.history", 1) == "1 change"
    assert words_in("fr").counted("pilot.history", 0) == "0 changement"
    assert words_in("fr").counted("pilot.history", 2) == "2 changements"


@pytest.mark.parametrize(
    ("asked", "kept", "own", "accepted", "expected"),
    [
        ("fr", "en", ["en"], "en", "fr"),
        (None, "fr", ["en"], "en", "fr"),
        (None, None, ["ru", "fr"], "en", "fr"),
        (None, None, [], "de-CH, fr;q=0.7, en;q=0.3", "fr"),
        (None, None, [], "fr;q=0.2, en-GB;q=0.9", "en"),
        ("xx", "../../etc", ["zz"], "", "en"),
        (None, None, [], "fr;q=nothing", "en"),
    ],
)
def test_the_language_is_by_address_then_cookie_then_actor_then_browser(
    asked: str | None, kept: str | None, own: list[str], accepted: str, expected: str
) -> None:
    assert language_for(asked, kept, own, accepted) == expected


def _filled(phrase: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(phrase) if name}
