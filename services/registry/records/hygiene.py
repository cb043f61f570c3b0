"""What no record may hold, whatever its field: things that JSON on the wire, BSON or a reader's screen cannot carry."""

from __future__ import annotations

import math
from typing import Any

from services.registry.records.findings import Findings, child, shown

DEEPEST = 24  # levels of nesting; a full pilot has 6
MOST_VALUES = 20_000  # values in one post; a fact of 256 KiB holds fewer in practice
LONGEST_TEXT = 20_000  # characters, also in fields the registry does not know
LONGEST_NAME = 128
INT64 = 2**63

# Overrides make a line read differently from what it says (Unicode TR 36, section 2.6); isolates are legitimate.
_UNWANTED = frozenset(chr(point) for point in range(0x20) if chr(point) not in "\n\r\t") | {
    "\x7f",
    "\u202d",
    "\u202e",
    "\ufffe",
    "\uffff",
}


def check_carriable(post: Any, findings: Findings) -> None:
    """Adds a fault for each value that cannot be carried; raises `Invalid` at once where reading on is pointless."""
    if not isinstance(post, dict):
        findings.fault("", "wrong-type", f"Found {shown(post)}: post a JSON object with the record's fields.")
        findings.refuse_if_faulty()
    if not _all_carriable(post, findings):
        _tell(post, "", findings)


def _all_carriable(post: Any, findings: Findings) -> bool:
    """Whether all is well, without saying where: nearly every post is, and paths cost more than looking."""
    level, seen, depth, well = [post], 0, 0, True
    while level:
        depth, seen = depth + 1, seen + len(level)
        if seen > MOST_VALUES or depth > DEEPEST:
            what = f"more than {MOST_VALUES} values" if seen > MOST_VALUES else f"more than {DEEPEST} levels"
            findings.fault("", "too-large", f"The post has {what}: send large inputs as documents.")
            findings.refuse_if_faulty()
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                well = well and all(map(_is_name, value))
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            else:
                well = well and _wrong(value) is None
        level = below
    return well


def _tell(value: Any, at: str, findings: Findings) -> None:
    if isinstance(value, dict):
        for key, member in value.items():
            place = child(at, str(key))
            if not _is_name(key):
                detail = f"{shown(key)} cannot be a field's name: use up to {LONGEST_NAME} printable characters."
                findings.fault(place, "bad-name", detail)
            _tell(member, place, findings)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            _tell(member, child(at, index), findings)
    elif wrong := _wrong(value):
        findings.fault(at, *wrong)


def _is_name(key: object) -> bool:
    return isinstance(key, str) and 0 < len(key) <= LONGEST_NAME and key[0] != "$" and key.isprintable()


def _wrong(value: Any) -> tuple[str, str] | None:
    """Code and sentence for a single value that cannot be carried."""
    if isinstance(value, str):
        return _wrong_text(value)
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        if not -INT64 <= value < INT64:
            return "out-of-range", "The whole number does not fit into 64 bits: write it as text."
        return None
    if isinstance(value, float):
        if not math.isfinite(value):
            return "out-of-range", f"Found {value}: JSON knows finite numbers only; leave it out."
        return None
    return "wrong-type", f"Found a {type(value).__name__}: post JSON values only."


def _wrong_text(text: str) -> tuple[str, str] | None:
    if len(text) > LONGEST_TEXT:
        return "too-long", f"{len(text)} characters found: at most {LONGEST_TEXT} fit."
    if text.isprintable():
        return None
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "bad-text", "Half of a surrogate pair was found: send the text as valid UTF-8."
    if unwanted := _UNWANTED.intersection(text):
        named = ", ".join(sorted(f"U+{ord(character):04X}" for character in unwanted))
        return "bad-text", f"The control character {named} was found: take it out."
    return None
