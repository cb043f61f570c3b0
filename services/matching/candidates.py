"""Which capabilities suit a need, and if not, why: code × place × months × mode × qualifiers.

Only the exact code suits, or one that the pilot's lead confirmed in its place. The index is kept up to date one
capability at a time; looking up a need touches only capabilities of its code that can be used at its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from services.matching.model import THOUSAND, Capability, Kind, Need, Offered, Pilot, Usage, World
from services.matching.weights import PER_MILLE, Rules

Confidence = Literal["confirmed", "likely", "to_be_asked"]

ANYWHERE = ""
COSTS = ("free", "recover_cost", "paid")
NEARNESS = (
    "wrong_place",
    "about_elsewhere",
    "wrong_mode",
    "wrong_goal",
    "wrong_language",
    "wrong_months",
    "screening_expired",
    "requests_reached",
    "no_capacity",
)
"""Why a capability of the right code does not suit, in the order they are looked at: the later, the nearer it came."""


@dataclass(slots=True)
class Index:
    """Capabilities by code and by where they can be used. `put` replaces, `drop` of an unknown one does nothing."""

    _by_key: dict[Offered, Capability] = field(default_factory=dict)
    _by_code: dict[str, dict[str, dict[Offered, Capability]]] = field(default_factory=dict)

    @classmethod
    def of(cls, capabilities: Iterable[Capability]) -> Index:
        index = cls()
        for capability in capabilities:
            index.put(capability)
        return index

    def put(self, capability: Capability) -> None:
        self.drop(capability.key)
        self._by_key[capability.key] = capability
        places = self._by_code.setdefault(capability.code, {})
        for place in _keys(capability):
            places.setdefault(place, {})[capability.key] = capability

    def drop(self, key: Offered) -> None:
        known = self._by_key.pop(key, None)
        if known is None:
            return
        places = self._by_code[known.code]
        for place in _keys(known):
            del places[place][key]
            if not places[place]:
                del places[place]
        if not places:
            del self._by_code[known.code]

    def get(self, key: Offered) -> Capability | None:
        return self._by_key.get(key)

    def of_code(self, code: str) -> list[Capability]:
        """All capabilities of a code, in the order of their ids."""
        found = {key: one for place in self._by_code.get(code, {}).values() for key, one in place.items()}
        return [found[key] for key in sorted(found)]

    def near(self, code: str, countries: Iterable[str]) -> list[Capability]:
        """Those of a code that may be usable in one of the countries, in the order of their ids."""
        places = self._by_code.get(code, {})
        found = {key: one for place in (ANYWHERE, *countries) for key, one in places.get(place, {}).items()}
        return [found[key] for key in sorted(found)]

    def of_agency(self, agency: str) -> list[Capability]:
        """An agency's capabilities, in the order of their ids."""
        return [self._by_key[key] for key in sorted(self._by_key) if key[1] == agency]

    def __len__(self) -> int:
        return len(self._by_key)


def _keys(capability: Capability) -> Iterable[str]:
    """What can be done from afar may suit any place; so it stands with those that name none."""
    if not capability.delivers_to or capability.mode in ("remote", "either"):
        return (ANYWHERE,)
    return capability.delivers_to


@dataclass(frozen=True, slots=True)
class Suit:
    """A capability that suits a need. `fit` is per mille, `free` thousandths that it can give to this need alone."""

    capability: Capability
    fit: int
    free: int
    confidence: Confidence
    factors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The first rule, in the order of NEARNESS, that a capability of the right code breaks."""

    capability: Capability
    code: str


def examine(
    need: Need, capability: Capability, pilot: Pilot, world: World, rules: Rules, usage: Usage
) -> Suit | Refusal:
    """Whether and how well a capability suits a need, its code having been found right or substituted."""
    countries = (need.country,) if need.country else pilot.countries
    factors = []
    place = _place_factor(need, capability, countries)
    if place is None:
        return Refusal(capability, "wrong_place")
    factors.append(place)
    if capability.covers and countries and not capability.covers.intersection(countries):
        return Refusal(capability, "about_elsewhere")
    if _modes_differ(need, capability):
        return Refusal(capability, "wrong_mode")
    if _goals_differ(need, capability, world):
        return Refusal(capability, "wrong_goal")
    if need.languages:
        if not capability.languages:
            factors.append("language_unstated")
        elif not capability.languages.issuperset(need.languages):
            return Refusal(capability, "wrong_language")
    kind = world.code(capability.code).kind
    shared = _months_share(need, capability, kind)
    if not shared or (capability.available_to is not None and capability.available_to < world.today):
        return Refusal(capability, "wrong_months")
    if capability.screening_until is not None and capability.screening_until < world.today:
        return Refusal(capability, "screening_expired")
    most = capability.requests_a_month
    if most is not None and usage.requests.get(capability.key, 0) >= most:
        return Refusal(capability, "requests_reached")
    free = free_units(need, capability, kind, usage)
    if free <= 0:
        return Refusal(capability, "no_capacity")
    if capability.code != need.code:
        factors.append("substitute")
    confidence = confidence_of(capability, world, rules)
    factors += [confidence, capability.cost if capability.cost in COSTS else "free"]
    fit = _fit(rules.fits, factors, shared)
    return Suit(capability, fit, free, confidence, tuple(factors))


def confidence_of(capability: Capability, world: World, rules: Rules) -> Confidence:
    """How sure it is that the agency can: by the age of its last confirmation."""
    if capability.confirmed_on is None:
        return "to_be_asked"
    age = world.today - capability.confirmed_on
    if age <= timedelta(days=rules.confirmed_days):
        return "confirmed"
    return "likely" if age <= timedelta(days=rules.likely_days) else "to_be_asked"


def free_units(need: Need, capability: Capability, kind: Kind, usage: Usage) -> int:
    """Thousandths left for the need by what is promised: its scarcest month for kind C, the stock for kind X.

    Kind S and unlimited capabilities give whatever is asked. Months not stated are taken to be any month.
    """
    if kind == "S" or capability.units is None:
        return capacity_asked(need, kind)
    promised = usage.committed.get(capability.key, {})
    if kind == "X":
        return capability.units - sum(promised.values())
    months = need.months or tuple(promised)
    return capability.units - max((promised.get(month, 0) for month in months), default=0)


def capacity_asked(need: Need, kind: Kind) -> int:
    """Thousandths of a need as the solver counts them: what is shared without limit is asked for once."""
    return THOUSAND if kind == "S" else need.quantity


def _place_factor(need: Need, capability: Capability, countries: tuple[str, ...]) -> str | None:
    if not capability.delivers_to:
        return "place_anywhere"
    if not countries or capability.delivers_to.intersection(countries):
        return "place_named"
    return "place_remote" if need.delivery != "on_site" and capability.mode in ("remote", "either") else None


def _modes_differ(need: Need, capability: Capability) -> bool:
    modes = {need.delivery, capability.mode or "either"}
    return modes == {"remote", "on_site"}


def _goals_differ(need: Need, capability: Capability, world: World) -> bool:
    if need.goal is None:
        return False
    if not capability.goals:
        return world.code(need.code).goal_required
    return need.goal not in capability.goals


def _months_share(need: Need, capability: Capability, kind: Kind) -> int:
    """Per mille of the need's months in which the capability is available; kind C needs all of them, else it is 0.

    A month counts when the capability is available on any day of it.
    """
    first = capability.available_from.isoformat()[:7] if capability.available_from else "0000-00"
    last = capability.available_to.isoformat()[:7] if capability.available_to else "9999-99"
    if not need.months:
        return PER_MILLE
    inside = sum(first <= month <= last for month in need.months)
    if kind == "C" and inside < len(need.months):
        return 0
    return PER_MILLE * inside // len(need.months)


def _fit(fits: Mapping[str, int], factors: Iterable[str], shared: int) -> int:
    """The product of all factors, rounded down, at least 1."""
    fit = PER_MILLE
    for factor in factors:
        fit = fit * fits[factor] // PER_MILLE
    least = fits["months_least"]
    return max(1, fit * (least + (PER_MILLE - least) * shared // PER_MILLE) // PER_MILLE)
