"""Is a code known to the vocabulary, and if not, what was probably meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

from services.registry.records.findings import SHOWN, Findings, shown
from shared.vocabulary import capability, entities, groups, places, sdg, strategy

SLUG = re.compile(r"[a-z][a-z0-9-]{1,31}")
INVENTED = re.compile(r"agency-[a-z]")  # the played parts of a sample portfolio


@dataclass(frozen=True, slots=True)
class CodeList:
    """A list of the vocabulary: how a sentence calls one of its codes, the codes, a hint for what only looks like one.

    `folded` compares without regard to case, for codes that have one form only.
    """

    noun: str
    name: str
    codes: Callable[[], Iterable[str]]
    hint: Callable[[str], str | None] = lambda _found: None


def _hint_target(found: str) -> str | None:
    if found in sdg.GOALS:
        first = next((code for code, target in sdg.TARGETS.items() if target.goal == found), None)
        return f"{found} is a goal: name its targets, such as {first}" if first else None
    indicator = sdg.INDICATORS.get(found)
    if indicator is not None:
        return f"{found} is an indicator: its target is {indicator.target}"
    return None


def _hint_goal(found: str) -> str | None:
    return f"{found} is a target: its goal is {sdg.TARGETS[found].goal}" if found in sdg.TARGETS else None


def _hint_measure(found: str) -> str | None:
    if found in strategy.COMMITMENTS:
        return f"{found} is a commitment: name one of its measures, such as {found}.1"
    return None


def _hint_place(found: str) -> str | None:
    names = _place_names()
    wanted = names.get(found.strip().casefold())
    if wanted is None:
        close = get_close_matches(found.strip().casefold()[:SHOWN], names, n=1, cutoff=0.85)
        wanted = names[close[0]] if close else None
    return f"did you mean {wanted}?" if wanted else None


@lru_cache(maxsize=1)
def _place_names() -> Mapping[str, str]:
    """Two-letter codes, M49 numbers and names in six languages, each leading to the three-letter code."""
    names: dict[str, str] = {}
    for iso3, place in places.PLACES.items():
        for name in (place.iso2, place.m49, iso3, *place.names.values()):
            if name:
                names.setdefault(name.casefold(), iso3)
    return names


def _hint_capability(found: str) -> str | None:
    """The name without its layer, or under another layer, is the commonest slip."""
    tail = re.sub(r"[\s-]+", "_", found.strip().casefold()).rpartition(".")[2]
    same = [code for code in capability.CODES if code.rpartition(".")[2] == tail]
    if not same:
        tails = {code.rpartition(".")[2]: code for code in capability.CODES}
        same = [tails[close] for close in get_close_matches(tail[:SHOWN], tails, n=1, cutoff=0.75)]
    return f"did you mean {same[0]}?" if same else None


LISTS: Mapping[str, CodeList] = {
    "capability": CodeList("capability code", "capabilities", lambda: capability.CODES, _hint_capability),
    "place": CodeList("country (ISO 3166-1 alpha-3)", "places", lambda: places.PLACES, _hint_place),
    "goal": CodeList("SDG goal", "goals", lambda: sdg.GOALS, _hint_goal),
    "target": CodeList("SDG target", "targets", lambda: sdg.TARGETS, _hint_target),
    "measure": CodeList("measure of the road map", "measures", lambda: strategy.MEASURES, _hint_measure),
    "layer": CodeList("layer of capacity", "layers", lambda: strategy.LAYERS),
    "group": CodeList("target group", "groups", lambda: groups.GROUPS),
    "cluster": CodeList("cluster", "clusters", lambda: strategy.CLUSTERS),
}


def check_code(kind: str, found: str, at: str, findings: Findings) -> bool:
    """Adds a fault unless `found` is a code of the list `kind`; answers whether it is one."""
    known = LISTS[kind]
    if found in known.codes():
        return True
    if not found.strip():
        findings.fault(at, "empty", f"The text is empty: name a {known.noun}, or leave it out.")
    elif digits := _other_digits(found):
        detail = f'{shown(found)} is written with other digits than 0–9: write "{digits}".'
        findings.fault(at, "digits", detail)
    else:
        meant = _meant(kind, found) if findings.may_guess() else f"{known.name} are listed in the vocabulary."
        detail = f"{shown(found)} is not a known {known.noun}: {meant}"
        findings.fault(at, "unknown-code", detail)
    return False


@lru_cache(maxsize=2048)
def _meant(kind: str, found: str) -> str:
    known = LISTS[kind]
    hint = known.hint(found) or closest(found, known.codes())
    return (
        f"{hint.rstrip('.?')}{'?' if hint.startswith('did') else '.'}"
        if hint
        else f"{known.name} are listed in the vocabulary."
    )


def closest(found: str, codes: Iterable[str]) -> str | None:
    """`did you mean …?` for the nearest code, None when nothing is near."""
    wanted = found.strip().casefold()[:SHOWN]
    folded = {code.casefold(): code for code in codes}
    if wanted in folded:
        return f"did you mean {folded[wanted]}?"
    near = get_close_matches(wanted, folded, n=1, cutoff=0.7)
    return f"did you mean {folded[near[0]]}?" if near else None


def _other_digits(found: str) -> str | None:
    """The text with every decimal digit as 0–9 (Arabic-Indic and the like broke imports), None if it has no other."""
    if not any(character.isdecimal() and not character.isascii() for character in found):
        return None
    return "".join(str(int(each)) if each.isdecimal() else each for each in found[:SHOWN])


def check_agency(found: str, at: str, findings: Findings) -> bool:
    """An agency's short name must be well formed; one that the vocabulary does not list is only noticed."""
    if not SLUG.fullmatch(found):
        hint = closest(found, entities.ENTITIES) if findings.may_guess() else None
        detail = f"{shown(found)} is not an agency's short name (lower case, such as wfp or un-women)"
        findings.fault(at, "unknown-agency", f"{detail}: {hint}" if hint else f"{detail}.")
        return False
    if found not in entities.ENTITIES and not INVENTED.fullmatch(found):
        meant = closest(found, entities.ENTITIES) if findings.may_guess() else None
        detail = meant or "it counts as a UN entity once it is registered as one."
        findings.notice(at, "unlisted-agency", f"{shown(found)} is not in the list of UN entities: {detail}")
    return True
