"""Words for people, in English and French: small pieces that the explanations are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.matching.model import Need, Text, World

LANGUAGES = ("en", "fr")
_AND = {"en": " and ", "fr": " et "}


def both(en: str, fr: str, /, **values: object) -> dict[str, str]:
    """Fills both templates; a value that is a mapping gives its own words in each language."""
    return {"en": _fill(en, "en", values), "fr": _fill(fr, "fr", values)}


def _fill(template: str, language: str, values: Mapping[str, object]) -> str:
    said = {name: in_language(value, language) for name, value in values.items()}
    return template.format(**said)


def in_language(value: object, language: str) -> str:
    if isinstance(value, Mapping):
        return str(value.get(language) or value.get("en") or next(iter(value.values()), ""))
    return str(value)


def listed(texts: Sequence[Text]) -> dict[str, str]:
    """`a, b and c`, as each language writes it."""
    result = {}
    for language in LANGUAGES:
        words = [in_language(text, language) for text in texts]
        result[language] = ", ".join(words[:-1]) + _AND[language] + words[-1] if len(words) > 1 else "".join(words)
    return result


def agency_name(world: World, slug: str) -> dict[str, str]:
    """The acronym where there is one, else the name, else the slug."""
    agency = world.agency(slug)
    return {language: agency.short or in_language(agency.name or {"en": slug}, language) for language in LANGUAGES}


def place_name(world: World, iso3: str) -> dict[str, str]:
    name = world.place(iso3).name or {"en": iso3}
    return {language: in_language(name, language) for language in LANGUAGES}


def code_name(world: World, code: str) -> dict[str, str]:
    """The code's label as it stands inside a sentence; acronyms keep their capitals, French sets it in guillemets."""
    label = world.code(code).label or {"en": code}
    words = {language: _inside(in_language(label, language)) for language in LANGUAGES}
    return {**words, "fr": f"«\u00a0{words['fr']}\u00a0»"}


def need_name(world: World, need: Need) -> dict[str, str]:
    """`earth observation (Zambia)`."""
    name = code_name(world, need.code)
    if need.country is None:
        return name
    place = place_name(world, need.country)
    return {language: f"{name[language]} ({place[language]})" for language in LANGUAGES}


def percent(share: float) -> dict[str, str]:
    """Whole per cent; below one, one decimal, so that little is not shown as nothing."""
    number = share * 100
    digits = f"{number:.0f}" if number >= 1 or number == 0 else f"{number:.1f}"
    return {"en": f"{digits}%", "fr": f"{digits.replace('.', ',')} %"}


def counted(number: int) -> dict[str, str]:
    """Thousands set apart as each language does."""
    return {"en": f"{number:,}", "fr": f"{number:,}".replace(",", " ")}


def amount(thousandths: int) -> dict[str, str]:
    """`2` or `1.5`; French writes a comma."""
    digits = f"{thousandths / 1000:.3f}".rstrip("0").rstrip(".")
    return {"en": digits, "fr": digits.replace(".", ",")}


def added(texts: Sequence[Text]) -> dict[str, str]:
    """Like `listed`; where names hold an "and" of their own, they are joined by "plus"."""
    result = listed(texts)
    if any(_AND["en"] in in_language(text, "en") for text in texts):
        result["en"] = ", plus ".join(in_language(text, "en") for text in texts)
    return result


def mid_sentence(text: str) -> str:
    """A sentence after a colon: its first word loses its capital unless it is a name."""
    return text[:1].lower() + text[1:] if text.startswith(("In ", "For ")) else text


def _inside(label: str) -> str:
    return label[:1].lower() + label[1:] if label[1:2].islower() else label
