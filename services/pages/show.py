"""How values of records are written for a person: texts with their language, names for codes, numbers, dates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Any

from markupsafe import Markup, escape

from services.pages.words import Words
from shared.vocabulary import capability, entities, groups, places, sdg, strategy
from shared.vocabulary.tables import LANGUAGES

NOTHING = "–"
NARROW_SPACE = "\u202f"
NO_BREAK = "\u00a0"
PIPS = 5
FINE = 1000
"""From here on decimals say nothing."""
RIGHT_TO_LEFT = ("ar",)

Names = Mapping[str, Mapping[str, Any]]
"""Agencies by slug, as the registry tells them."""


class Show:
    """All of it for one language; `names` are the agencies the registry knows."""

    def __init__(self, words: Words, names: Names) -> None:
        self.words = words
        self.language = words.language
        self.names = names

    # -- texts of records ---------------------------------------------------------------------------------------

    def chosen(self, value: Any) -> tuple[str, str]:
        """The text and its language: the visitor's if it is there, else the original, that is the first given."""
        if isinstance(value, str):
            return value, self.language
        if not isinstance(value, Mapping):
            return "", self.language
        texts = {key: text for key, text in value.items() if isinstance(text, str) and text.strip()}
        if self.language in texts:
            return texts[self.language], self.language
        return next(((text, key) for key, text in texts.items()), ("", self.language))

    def text(self, value: Any, otherwise: str = NOTHING) -> Markup:
        """The text; in another language than the page's it is marked, and the language is named after it."""
        text, language = self.chosen(value)
        if not text:
            return escape(otherwise)
        if language == self.language:
            return escape(text)
        direction = Markup(' dir="rtl"') if language in RIGHT_TO_LEFT else ""
        named = Markup('<span lang="{}"{}>{}</span> <span class="tongue">({})</span>')
        return named.format(language, direction, text, self.language_name(language))

    def plain(self, value: Any, otherwise: str = NOTHING) -> str:
        """The text alone, for titles and attributes, where no mark-up can stand."""
        return self.chosen(value)[0] or otherwise

    def language_name(self, code: str) -> str:
        return self.words.known("language", code) if code in LANGUAGES else code

    def reason(self, value: Any) -> Markup:
        """A reason as services give it: `{"code", "text": {…}}`, or a text."""
        return self.text(value.get("text", value) if isinstance(value, Mapping) else value)

    # -- names for codes ----------------------------------------------------------------------------------------

    def agency(self, slug: Any) -> str:
        """How the agency writes itself; its name where it has no acronym, its slug where nobody introduced it."""
        known = self.names.get(str(slug))
        if known:
            return str(known.get("acronym") or self.plain(known.get("name"), str(slug)))
        entity = entities.ENTITIES.get(str(slug))
        return entity.acronym if entity else str(slug or NOTHING)

    def agency_name(self, slug: Any) -> str:
        """The full name."""
        known = self.names.get(str(slug))
        if known and known.get("name"):
            return self.plain(known["name"])
        entity = entities.ENTITIES.get(str(slug))
        return self.plain(entity.name) if entity else self.agency(slug)

    def agencies(self, slugs: Iterable[Any]) -> str:
        return self.listed(self.agency(slug) for slug in slugs)

    def place(self, iso3: Any) -> str:
        place = places.PLACES.get(str(iso3))
        return self.plain(place.names) if place else str(iso3 or NOTHING)

    def places(self, codes: Iterable[Any]) -> str:
        return self.listed(self.place(code) for code in codes)

    def code(self, code: Any) -> str:
        """What a capability code is called."""
        known = capability.CODES.get(str(code))
        return self.plain(known.label) if known else str(code or NOTHING)

    def kind_of_help(self, code: Any) -> str:
        """What a group of capability codes is called, as a card names it."""
        known = capability.GROUPS.get(str(code))
        return self.plain(known.label) if known else str(code or NOTHING)

    def layer(self, code: Any) -> str:
        known = strategy.LAYERS.get(str(code))
        return self.plain(known.label) if known else str(code)

    def unit(self, code: Any, quantity: float = 2) -> str:
        """What a quantity of a code counts; empty where a number has no meaning."""
        known = capability.CODES.get(str(code))
        if known is None or known.unit is None:
            return ""
        if known.posts:
            return self.words.counted("unit.posts", math.ceil(quantity))
        unit = capability.UNITS.get(known.unit)
        return self.plain(unit.label) if unit else known.unit

    def unit_name(self, unit: Any) -> str:
        """What an indicator counts, in words where the vocabulary has the unit."""
        known = capability.UNITS.get(str(unit))
        return self.plain(known.label) if known else self.words.known("unit_of", unit or "")

    def goal(self, code: Any) -> str:
        known = sdg.GOALS.get(str(code))
        return f"{code}{NO_BREAK}· {self.plain(known.label)}" if known else str(code)

    def target(self, code: Any) -> str:
        known = sdg.TARGETS.get(str(code))
        return f"{code}{NO_BREAK}· {self.plain(known.label)}" if known else str(code)

    def group(self, entry: Any) -> str:
        """A target group, or an intersection of several."""
        if isinstance(entry, list):
            return " + ".join(self.group(one) for one in entry)
        known = groups.GROUPS.get(str(entry))
        return self.plain(known.label) if known else str(entry)

    def web_address(self, address: Any) -> str:
        """An address that may be linked to; empty for anything else that a record of another node could hold."""
        text = str(address or "")
        return text if text.startswith(("https://", "http://")) else ""

    # -- numbers and dates --------------------------------------------------------------------------------------

    def number(self, value: Any, digits: int = 1) -> str:
        """Thousands set apart and decimals as the language writes them; from 1,000 on none. Null is not 0."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return NOTHING
        digits = digits if abs(value) < FINE else 0
        whole, _, decimals = f"{value:,.{digits}f}".partition(".")
        decimals = decimals.rstrip("0")
        text = f"{whole}.{decimals}" if decimals else whole
        return text if self.language == "en" else text.replace(",", NARROW_SPACE).replace(".", ",")

    def percent(self, share: Any) -> str:
        """Whole per cent; below one, one decimal, so that little is not shown as nothing."""
        if not isinstance(share, int | float):
            return NOTHING
        number = self.number(share * 100, 0 if share >= 0.01 or share == 0 else 1)
        return f"{number}%" if self.language == "en" else f"{number}{NO_BREAK}%"

    def between(self, low: Any, high: Any) -> str:
        """Bounds of a number of people: one number where they meet."""
        if low is None and high is None:
            return self.words("reach.unknown")
        if low == high:
            return self.number(low)
        return self.words("reach.between", low=self.number(low), high=self.number(high))

    def fifths(self, score: Any) -> int:
        """A score from 0 to 1 in fifths, rounded up: 0 only for nothing at all."""
        if not isinstance(score, int | float):
            return 0
        return min(PIPS, max(0, math.ceil(score * PIPS - 1e-9)))

    def day(self, value: Any) -> str:
        """1 January 2027, from a date or time of the API."""
        found = _date(value)
        if found is None:
            return str(value or NOTHING)
        number = "1er" if self.language == "fr" and found.day == 1 else str(found.day)
        return NO_BREAK.join((number, self.words(f"month.{found.month}"), str(found.year)))

    def moment(self, value: Any) -> str:
        """A day with its time, in UTC as all times of the mesh are."""
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            return str(value or NOTHING)
        return f"{self.day(value)}, {found:%H:%M}{NO_BREAK}UTC"

    def span(self, start: Any, end: Any) -> str:
        if not start and not end:
            return self.words("dates.none")
        if not end:
            return self.words("dates.from", day=self.day(start))
        if not start:
            return self.words("dates.until", day=self.day(end))
        return self.words("dates.span", start=self.day(start), end=self.day(end))

    def listed(self, parts: Iterable[str]) -> str:
        """`a, b and c`."""
        all_parts = [part for part in parts if part]
        if len(all_parts) < 2:
            return "".join(all_parts) or NOTHING
        return f"{', '.join(all_parts[:-1])} {self.words('list.and')} {all_parts[-1]}"


class Marks:
    """Tells a template which fields of the sample are nobody's statement, and whether the page shows such a field."""

    def __init__(self) -> None:
        self.shown = False

    def __call__(self, record: Any, path: str) -> bool:
        """Whether `illustrative` of the record names the field, or what it stands in."""
        paths = record.get("illustrative") if isinstance(record, Mapping) else None
        if not isinstance(paths, list):
            return False
        named = any(path == one or path.startswith((f"{one}.", f"{one}[")) for one in paths if isinstance(one, str))
        self.shown = self.shown or named
        return named


def figures_of(records: Iterable[Any]) -> dict[str, list[str]]:
    """What figures made from several records are marked by: invented as soon as one of the records is of the sample."""
    of_sample = any(isinstance(record, Mapping) and record.get("illustrative") for record in records)
    return {"illustrative": ["observations"]} if of_sample else {}


def sorted_by_name(codes: Iterable[str], name: Callable[[str], str]) -> list[str]:
    """Codes in the order of their names, accents aside."""
    fold = str.maketrans("àâäçéèêëîïôöùûüÉÈÊÎÔÅåÎÇ", "aaaceeeeiioouuuEEEIOAaIC")
    return sorted(codes, key=lambda code: name(code).translate(fold).casefold())


def _date(value: Any) -> date | None:
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        return None
