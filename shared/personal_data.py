"""Looks for personal data in free text before it leaves the agency: telephone numbers, e-mail addresses,
document and account numbers.

Made to be calm: dates, amounts, coordinates, codes and addresses of web pages are no finds. It looks at every
string of a record, also in fields the registry does not know, because a fact carries them all the same.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Literal

Find = Literal["an e-mail address", "a telephone number", "a document number", "an account or card number"]

_URL = re.compile(r"\b(?:https?|ftp)://[^\s<>\"']+", re.IGNORECASE)
_UUID = re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+-]{1,64}\s?(?:@|\(at\)|\[at\])\s?[\w-]{1,63}(?:\.[\w-]{2,63})+", re.IGNORECASE)

_AT = re.compile(r"@|＠|[(\[（]at[)\]）]", re.IGNORECASE)
_DIGIT = re.compile(r"\d")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

_GAP = r"[ \u00a0.\-/()]{0,3}"
_INTERNATIONAL = re.compile(rf"(?<![\w+])(?:\+|00){_GAP}[1-9](?:{_GAP}\d){{7,14}}(?!\d)")
# National notation begins with the trunk 0 and has 9 to 11 digits; "0.123456789" is a number, "001-…" a code.
_NATIONAL = re.compile(r"(?<![\w.,\-/])(?<!\d )\(?0[1-9]\d{0,3}\)?(?:[ \u00a0\-/]?\d){6,8}(?![\w.,]?\d|-\w)")
_CALLED = re.compile(
    r"(?:\b(?:tel|phone|telephone|téléphone|teléfono|mobile|cell|whatsapp|viber|signal|call|sms)\b|тел|هاتف|电话|手机)"
    rf"\W{{0,6}}(?:number|no|nr|numéro|número|is|at)?\W{{0,4}}\d(?:{_GAP}\d){{6,14}}",
    re.IGNORECASE,
)
_DOCUMENT = re.compile(
    r"(?:\b(?:passport|passeport|pasaporte|national id|identity card|id card|id no|id number|nrc|carte d['’]identité|"
    r"cédula|dni|visa|driving licence|driver'?s license|social security|case number|registration card)\b|"
    r"паспорт|جواز|هوية|护照|身份证)\W{0,6}(?:(?:number|no|nr|n°|nº|numéro|número|is|of|номер|رقم|号)\W{0,4}){0,2}"
    r"(?!\d{4}-\d{2}-\d{2}\b)"  # a date is no number of a document
    r"(?=[A-Z0-9/\-]*\d[A-Z0-9/\-]*\d)(?=(?:[/\-]?[A-Z]){0,4}[/\-]?\d)[A-Z0-9](?:[/\- ]?[A-Z0-9]){4,19}",
    re.IGNORECASE,
)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")
_CARD = re.compile(r"(?<![\w.,\-])\d(?:[ \-]?\d){12,18}(?![\w.,]?\d)")

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_SHOWN = 60  # characters of an odd name in a path

# Identifiers that other registers published: they are made of long numbers and name records, not people.
_PUBLIC = frozenset({"external_ids", "pcode"})


def finds_in(record: Any) -> Iterator[tuple[str, Find]]:
    """Where in a record, at any depth, something was found: the path (`needs[0].words.en`) and what it is."""
    if not any(map(_deserves_a_look, _strings(record))):
        return
    for text, at in _texts(record, ""):
        found = personal_data(text)
        if found is not None:
            yield at, found


def personal_data(text: str) -> Find | None:
    """What a text gives away, None if nothing was found. Digits of all scripts count."""
    if not _deserves_a_look(text):
        return None
    plain = _western_digits(_UUID.sub(" ", _URL.sub(" ", text)))
    if _EMAIL.search(plain):
        return "an e-mail address"
    if _DOCUMENT.search(plain):
        return "a document number"
    if any(_is_iban(match.group()) for match in _IBAN.finditer(plain)):
        return "an account or card number"
    if any(_is_card(match.group()) for match in _CARD.finditer(plain)):
        return "an account or card number"
    if _INTERNATIONAL.search(plain) or _NATIONAL.search(plain) or _CALLED.search(plain):
        return "a telephone number"
    return None


def _deserves_a_look(text: str) -> bool:
    """Nearly all strings of a record do not, and looking closely takes a hundred times as long."""
    if len(text) < 6 or _DAY.fullmatch(text):
        return False
    return _AT.search(text) is not None or len(_DIGIT.findall(text)) >= 5


def _strings(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            for name, member in one.items():
                waiting.append(name)
                if name not in _PUBLIC:
                    waiting.append(member)
        elif isinstance(one, list):
            waiting.extend(one)


def _texts(value: Any, at: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield value, at
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name, _child(at, name)
            if name not in _PUBLIC:
                yield from _texts(member, _child(at, name))
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from _texts(member, _child(at, index))


def _child(at: str, key: str | int) -> str:
    if isinstance(key, int):
        return f"{at}[{key}]"
    if _PLAIN_KEY.fullmatch(key):
        return f"{at}.{key}" if at else key
    return f"{at}[{json.dumps(key[:_SHOWN])}]"


def _western_digits(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text)
    if folded.isascii():
        return folded
    return "".join(str(int(each)) if each.isdecimal() else each for each in folded)


def _digits(text: str) -> list[int]:
    return [int(each) for each in text if each.isdecimal()]


def _is_card(text: str) -> bool:
    """Luhn's check digit, ISO/IEC 7812-1 annex B."""
    digits = _digits(text)
    total = sum(digits[-1::-2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return total % 10 == 0 and len(set(digits)) > 1


def _is_iban(text: str) -> bool:
    """The remainder of ISO 13616: letters as 10–35, the first four characters moved to the end, 1 modulo 97."""
    compact = text.replace(" ", "")
    moved = compact[4:] + compact[:4]
    return int("".join(str(int(each, 36)) for each in moved)) % 97 == 1
