"""The words of the interface, in the languages that are complete, and which of them a visitor gets."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "fr")
"""Complete interface languages. A further one is a file in wording/ and an entry here; a test holds it complete."""

WORDING = Path(__file__).parent / "wording"


@dataclass(frozen=True, slots=True)
class Words:
    """The interface in one language; `words("my_work.title")` gives a phrase, filled with what is passed."""

    language: str
    phrases: Mapping[str, str]

    def __call__(self, key: str, /, **values: object) -> str:
        """Raises KeyError for a phrase that is not there: a missing word is a defect, never an English word."""
        phrase = self.phrases[key]
        return phrase.format_map(values) if values else phrase

    def counted(self, key: str, n: int, /, **values: object) -> str:
        """`<key>.one` or `<key>.many`, as the language counts (French: zero is singular)."""
        one = n in (0, 1) if self.language == "fr" else n == 1
        return self(f"{key}.{'one' if one else 'many'}", **{"n": n, **values})

    def known(self, prefix: str, code: object) -> str:
        """The phrase of a coded value; a code of a newer node is shown as it is."""
        return self.phrases.get(f"{prefix}.{code}", str(code))


@cache
def words_in(language: str) -> Words:
    """The language's phrases, read once. French gets its no-break spaces here, so that nobody has to type them."""
    with (WORDING / f"{language}.toml").open("rb") as file:
        phrases = dict(_flat(tomllib.load(file)))
    if language == "fr":
        phrases = {key: _with_french_spaces(phrase) for key, phrase in phrases.items()}
    return Words(language, phrases)


def _with_french_spaces(phrase: str) -> str:
    return re.sub(r" (?=[:;?!»])|(?<=«) ", "\N{NO-BREAK SPACE}", phrase)


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)


def language_for(asked: str | None, kept: str | None, own: Iterable[str], accepted: str) -> str:
    """By address (`?lang=`), cookie, the actor's languages, Accept-Language; English if nothing fits."""
    for wish in (asked, kept, *own, *accepted_languages(accepted)):
        short = (wish or "").partition("-")[0].lower()
        if short in LANGUAGES:
            return short
    return LANGUAGES[0]


def accepted_languages(header: str) -> list[str]:
    """The languages of an Accept-Language header (RFC 9110, 12.5.4), most wanted first."""
    wishes = []
    for place, part in enumerate(header.split(",")[:20]):
        tag, _, quality = part.partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            weight = 0.0
        if tag.strip() and weight > 0:
            wishes.append((-weight, place, tag.strip()))
    return [tag for _, _, tag in sorted(wishes)]
