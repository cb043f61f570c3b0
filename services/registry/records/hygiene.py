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
    waiting: list[tuple[Any, str, int]] = [(post, "", 1)]
    seen = 0
    while waiting:
        value, at, depth = waiting.pop()
        seen += 1
        if seen > MOST_VALUES or depth > DEEPEST:
            what = f"more than {MOST_VALUES} values" if seen > MOST_VALUES else f"more than {DEEPEST} levels"
            findings.fault("", "too-large", f"The post has {what}: send large inputs as documents.")
            findings.refuse_if_faulty()
        if isinstance(value, dict):
            for key, member in value.items():
                if not _carriable_name(key):
                    detail = f"{shown(key)} cannot be a field's name: use up to {LONGEST_NAME} printable characters."
                    findings.fault(child(at, str(key)), "bad-name", detail)
                waiting.append((member, child(at, str(key)), depth + 1))
        elif isinstance(value, list):
            waiting.extend((member, child(at, place), depth + 1) for place, member in enumerate(value))
        else:
            _check_value(value, at, findings)


def _carriable_name(key: object) -> bool:
    if not isinstance(key, str) or not 0 < len(key) <= LONGEST_NAME or key.startswith("$"):
        return False
    return _encodes(key) and not (_UNWANTED | {"\n", "\r", "\t"}).intersection(key)


def _encodes(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _check_value(value: Any, at: str, findings: Findings) -> None:
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            findings.fault(at, "too-long", f"{len(value)} characters found: at most {LONGEST_TEXT} fit.")
        elif not _encodes(value):
            findings.fault(at, "bad-text", "Half of a surrogate pair was found: send the text as valid UTF-8.")
        elif unwanted := _UNWANTED.intersection(value):
            named = ", ".join(sorted(f"U+{ord(character):04X}" for character in unwanted))
            findings.fault(at, "bad-text", f"The control character {named} was found: take it out.")
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int):
        if not -INT64 <= value < INT64:
            findings.fault(at, "out-of-range", "The whole number does not fit into 64 bits: write it as text.")
    elif isinstance(value, float):
        if not math.isfinite(value):
            findings.fault(at, "out-of-range", f"Found {value}: JSON knows finite numbers only; leave it out.")
    else:
        findings.fault(at, "wrong-type", f"Found a {type(value).__name__}: post JSON values only.")
