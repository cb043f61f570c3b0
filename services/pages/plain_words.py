"""From a need in plain words to kinds of help that may be meant. The person chooses; nothing is chosen for them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from math import log

from shared.vocabulary import capability

MOST = 6
SHORTEST = 3
ALIKE = 5
"""Words count as the same when they begin with the same so many letters: `translate`, `translation`."""

WEIGHTS = (("label", 4.0), ("definition", 2.0), ("example", 1.0))

SAYS_NOTHING = """
and are for from has have how its need needs not our people some someone somebody that the their them they this those
use used want who will with would avec aux besoin besoins ces cette dans des elle elles est faut leur leurs les nos
notre nous par pas personne plus pour quelqu qui que sans ses sont sur une vos votre
"""
COMMON = frozenset(SAYS_NOTHING.split())


def suggested(words: Iterable[str], most: int = MOST) -> list[str]:
    """Codes whose label, definition or example (in any language) share words with the text, the nearest first.

    Rare words weigh more than frequent ones. Empty where nothing fits: then the words stand for themselves.
    """
    index, rarity = _index()
    asked = {stem for text in words for stem in _stems(text)}
    score: Counter[str] = Counter()
    for stem in asked:
        for code, weight in index.get(stem, {}).items():
            score[code] += weight * rarity[stem]  # type: ignore[assignment] # Counter adds floats as well
    order = {code: place for place, code in enumerate(capability.CODES)}
    return sorted(score, key=lambda code: (-score[code], order[code]))[:most]


@cache
def _index() -> tuple[Mapping[str, Mapping[str, float]], Mapping[str, float]]:
    index: dict[str, dict[str, float]] = {}
    for code in capability.CODES.values():
        if not code.matchable:
            continue
        for part, weight in WEIGHTS:
            for stem in {stem for text in getattr(code, part).values() for stem in _stems(text)}:
                held = index.setdefault(stem, {})
                held[code.code] = max(held.get(code.code, 0.0), weight)
    total = len(capability.CODES)
    return index, {stem: log(1 + total / len(codes)) for stem, codes in index.items()}


def _stems(text: str) -> set[str]:
    """Beginnings of the words that say something; accents and case aside."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(each for each in apart if not unicodedata.combining(each))
    found = (word for word in re.findall(r"[^\W\d_]+", plain) if len(word) >= SHORTEST and word not in COMMON)
    return {word[:ALIKE] for word in found}
