"""Values as a person reads them: numbers, dates, texts in another language, marks, contrast of the design."""

from __future__ import annotations

import re

import pytest

from services.pages.app import ROOM
from services.pages.show import Marks, Show, figures_of
from services.pages.words import words_in

SPACE, NARROW = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"
EN, FR = Show(words_in("en"), {}), Show(words_in("fr"), {})


@pytest.mark.parametrize(
    ("value", "en", "fr"),
    [
        (0, "0", "0"),
        (50.0, "50", "50"),
        (1234567, "1,234,567", f"1{NARROW}234{NARROW}567"),
        (1.25, "1.2", "1,2"),
        (12486.31, "12,486", f"12{NARROW}486"),
        (None, "–", "–"),
        (True, "–", "–"),
    ],
)
def test_numbers(value: object, en: str, fr: str) -> None:
    assert (EN.number(value), FR.number(value)) == (en, fr)


def test_null_is_not_zero() -> None:
    assert EN.between(None, None) == "not known"
    assert EN.between(0, 0) == "0"
    assert EN.between(1200, 1900) == "1,200 to 1,900"
    assert FR.between(1200, 1900) == f"de 1{NARROW}200 à 1{NARROW}900"


@pytest.mark.parametrize(
    ("share", "en", "fr"), [(0.5, "50%", f"50{SPACE}%"), (0.004, "0.4%", f"0,4{SPACE}%"), (0, "0%", f"0{SPACE}%")]
)
def test_little_is_not_shown_as_nothing(share: float, en: str, fr: str) -> None:
    assert (EN.percent(share), FR.percent(share)) == (en, fr)


def test_days() -> None:
    assert EN.day("2027-01-01") == f"1{SPACE}January{SPACE}2027"
    assert FR.day("2027-01-01T10:00:00Z") == f"1er{SPACE}janvier{SPACE}2027"
    assert EN.moment("2026-11-15T09:12:31.123456Z") == f"15{SPACE}November{SPACE}2026, 09:12{SPACE}UTC"
    assert EN.span("2027-01-01", None) == f"from 1{SPACE}January{SPACE}2027"
    assert EN.span(None, None) == "not set"
    assert EN.day("some day") == "some day"


@pytest.mark.parametrize(
    ("score", "fifths"), [(0, 0), (0.001, 1), (0.2, 1), (0.58, 3), (0.92, 5), (1, 5), (7, 5), (None, 0)]
)
def test_scores_are_in_fifths_rounded_up(score: object, fifths: int) -> None:
    assert EN.fifths(score) == fifths


def test_a_text_in_ones_own_language_stands_alone() -> None:
    assert EN.text({"fr": "Bonjour", "en": "Hello & <b>"}) == "Hello &amp; &lt;b&gt;"


def test_a_text_in_another_language_is_the_original_with_its_language_named() -> None:
    assert EN.text({"fr": "Bonjour"}) == '<span lang="fr">Bonjour</span> <span class="tongue">(French)</span>'
    assert 'lang="ar" dir="rtl"' in FR.text({"ar": "مرحبا"})
    assert "(arabe)" in FR.text({"ar": "مرحبا"})


@pytest.mark.parametrize("value", [None, {}, {"en": "  "}, {"en": 7}, 12, []])
def test_what_is_no_text_is_shown_as_nothing(value: object) -> None:
    assert EN.text(value) == "–"


def test_names_come_from_the_registry_then_from_the_vocabulary() -> None:
    told = Show(
        words_in("fr"),
        {
            "agency-a": {"name": {"en": "Agency A"}},
            "wfp": {"acronym": "PAM", "name": {"fr": "Programme alimentaire mondial"}},
        },
    )
    assert (told.agency("wfp"), told.agency_name("wfp")) == ("PAM", "Programme alimentaire mondial")
    assert (told.agency("agency-a"), told.agency("fao"), told.agency("nobody")) == ("Agency A", "FAO", "nobody")
    assert told.place("ZMB") == "Zambie"
    assert told.places(["ZMB", "MWI"]) == "Zambie et Malawi"
    assert told.code("human.field_staff") == "Personnel de terrain"
    assert told.code("newer.than_this_node") == "newer.than_this_node"
    assert told.group([["rural"], "women"]) == told.group(["rural", "women"])


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "//x", None, 7])
def test_only_addresses_of_the_web_are_linked_to(address: object) -> None:
    assert EN.web_address(address) == ""
    assert EN.web_address("https://example.org/x") == "https://example.org/x"


def test_marks_stand_on_what_is_invented_and_on_what_is_inside_it() -> None:
    marks, record = Marks(), {"illustrative": ["needs", "ai.status"]}
    assert not marks(record, "title")
    assert not marks(record, "ai.state")
    assert not marks.shown
    assert marks(record, "needs[0].code")
    assert marks(record, "ai.status")
    assert marks.shown
    assert not Marks()({"illustrative": "needs"}, "needs")


def test_figures_made_from_one_record_of_the_sample_are_marked() -> None:
    assert Marks()(figures_of([{}, {"illustrative": ["needs"]}]), "observations")
    assert not Marks()(figures_of([{}, {"illustrative": []}]), "observations")


PAIRS = [
    *((ink, ground) for ink in ("ink", "soft", "link", "blue") for ground in ("paper", "ground", "tint")),
    *(("ink", ground) for ground in ("gold-tint", "green-tint", "red-tint")),
    *(("gold", ground) for ground in ("paper", "ground", "gold-tint")),
    *(("green", ground) for ground in ("paper", "green-tint")),
    *(("red", ground) for ground in ("paper", "red-tint")),
    ("paper", "blue"),
    ("paper", "red"),
    ("link", "green-tint"),
    ("link", "red-tint"),
]


@pytest.mark.parametrize(("ink", "ground"), PAIRS)
def test_words_stand_out_from_their_ground(ink: str, ground: str) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1."""
    assert contrast(colour(ink), colour(ground)) >= 4.5


@pytest.mark.parametrize("ground", ["paper", "ground"])
def test_the_border_of_a_field_and_the_focus_are_seen(ground: str) -> None:
    """WCAG 2.2, 1.4.11: 3 to 1; the focus has a dark ring around its light one."""
    assert contrast(colour("field"), colour(ground)) >= 3
    assert contrast(colour("focus"), colour("ink")) >= 3


def colour(name: str) -> tuple[int, int, int]:
    found = re.search(rf"--{name}: #([0-9a-f]{{3,6}})", (ROOM / "static" / "pilotmesh.css").read_text())
    assert found, name
    digits = found[1] if len(found[1]) == 6 else "".join(2 * digit for digit in found[1])
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(rgb: tuple[int, int, int]) -> float:
    """Relative luminance as WCAG defines it."""
    parts = [value / 255 for value in rgb]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
