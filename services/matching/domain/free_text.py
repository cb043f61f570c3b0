"""Words that people write: in which language, how long, and without personal data."""

from __future__ import annotations

from typing import Any

from shared.personal_data import personal_data
from shared.problems import Fault
from shared.vocabulary.tables import LANGUAGES

LONGEST = 2000
"""Characters per language."""


def free_text(value: Any, at: str, faults: list[Fault], *, needed: bool = False) -> dict[str, str] | None:
    """Words as `{"en": "…"}`; a plain string is taken as English. Personal data is refused before it leaves."""
    told = {"en": value} if isinstance(value, str) else value
    if told is None or told == {}:
        told = None
    elif not isinstance(told, dict) or not all(
        isinstance(language, str) and isinstance(text, str) for language, text in told.items()
    ):
        faults.append(Fault(at, "type", 'expected a text, or {"en": "…"}'))
        return None
    if told is not None:
        told = {language: text.strip() for language, text in told.items() if text.strip()}
    if not told:
        if needed:
            faults.append(Fault(at, "missing", "expected words"))
        return None
    for language, text in told.items():
        if language not in LANGUAGES:
            faults.append(Fault(f"{at}.{language}", "unknown", f"expected one of {', '.join(LANGUAGES)}"))
        if len(text) > LONGEST:
            faults.append(Fault(f"{at}.{language}", "too-long", f"{len(text)} characters; at most {LONGEST}"))
        found = personal_data(text)
        if found is not None:
            detail = f"{found[0].upper()}{found[1:]} was found: take it out."
            faults.append(Fault(f"{at}.{language}", "personal-data", detail))
    return told
