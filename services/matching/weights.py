"""The rules of matching as versioned data: weights, limits, factors of fit. Every proposal names the version used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from shared.problems import Fault, Invalid

PER_MILLE = 1000
POINT = 1_000_000
"""One full, perfectly fitting coverage of a pilot of priority 1 is a million points; all sums are whole numbers."""

FITS: Mapping[str, int] = {
    "place_named": 1000,  # the capability names the need's country
    "place_anywhere": 800,  # it names no place
    "place_remote": 700,  # it is not delivered there, but done from afar and the need allows that
    "confirmed": 1000,
    "likely": 950,
    "to_be_asked": 850,
    "free": 1000,
    "recover_cost": 970,
    "paid": 900,
    "language_unstated": 900,  # a language is asked for and the capability names none
    "months_least": 700,  # kinds S and X, available in a vanishing part of the months; in all of them 1000
    "substitute": 800,  # another code, confirmed by the lead
}


@dataclass(frozen=True, slots=True)
class Rules:
    """All numbers a coordinator may change. Costs and `floor` are shares of one fully covered pilot (0 to 1).

    `least_share` (per mille): nobody is invited for less than this part of at least one need.
    `recusals` are (agency, pilot); `substitutions` are (pilot, need, code) that the pilot's lead confirmed.
    """

    version: str = "default-1"
    bottom_billion: int = 60
    para_9f: int = 20
    groups_at_risk: int = 20
    people_reference: int = 1_000_000
    poverty_by_income: Mapping[str, float] = field(
        default_factory=lambda: {"low": 0.40, "lower_middle": 0.10, "upper_middle": 0.02, "high": 0.0}
    )
    floor: float = 0.2
    essential_weight: int = 2
    optional_weight: int = 1
    member_cost: float = 0.02
    load_cost: float = 0.02
    team_limit: int = 6
    least_un_entities: int = 2
    least_share: int = 250
    load_cap: int = 40
    load_caps: Mapping[str, int] = field(default_factory=dict)
    open_invitations: int = 5
    recusals: frozenset[tuple[str, str]] = frozenset()
    substitutions: frozenset[tuple[str, str, str]] = frozenset()
    confirmed_days: int = 30
    likely_days: int = 180
    fits: Mapping[str, int] = field(default_factory=lambda: dict(FITS))
    work_limit: int = 20_000

    def cap_of(self, agency: str) -> int:
        return self.load_caps.get(agency, self.load_cap)

    def as_state(self) -> dict[str, Any]:
        """JSON of the rules; sets are sorted, so that equal rules have equal bytes."""
        state = asdict(self)
        state["recusals"] = [list(pair) for pair in sorted(self.recusals)]
        state["substitutions"] = [list(triple) for triple in sorted(self.substitutions)]
        return state


def rules_of(state: Mapping[str, Any]) -> Rules:
    """Reads rules as `as_state` writes them; fields not given keep their defaults. Raises `Invalid` with all faults."""
    known = {name: value for name, value in state.items() if name in Rules.__dataclass_fields__}
    for name, width in (("recusals", 2), ("substitutions", 3)):
        if name in known:
            rows = [tuple(str(part) for part in row) for row in known[name]]
            if any(len(row) != width for row in rows):
                raise Invalid([Fault(name, "wrong-shape", f"Each entry has {width} parts.")])
            known[name] = frozenset(rows)
    if "fits" in known:
        known["fits"] = {**FITS, **known["fits"]}
    rules = Rules(**known)
    faults = faults_of(rules)
    if faults:
        raise Invalid(faults)
    return rules


def faults_of(rules: Rules) -> list[Fault]:
    """Everything that makes rules contradictory or meaningless; an empty list when they can be used."""
    faults = []

    def expect(fine: bool, at: str, detail: str) -> None:
        if not fine:
            faults.append(Fault(at, "out-of-range", detail))

    weights = (rules.bottom_billion, rules.para_9f, rules.groups_at_risk)
    expect(min(weights) >= 0, "bottom_billion", "No weight may be below 0.")
    expect(
        sum(weights) == 100,
        "bottom_billion",
        f"bottom_billion, para_9f and groups_at_risk sum to {sum(weights)}: they must sum to 100.",
    )
    expect(rules.least_un_entities >= 1, "least_un_entities", "A team has at least one UN entity.")
    expect(
        rules.team_limit >= rules.least_un_entities,
        "team_limit",
        f"A limit of {rules.team_limit} leaves no team of {rules.least_un_entities} UN entities: raise it.",
    )
    expect(0 < rules.floor <= 1, "floor", "Must be above 0 and at most 1.")
    expect(0 <= rules.member_cost <= 1, "member_cost", "Must be from 0 to 1.")
    expect(0 <= rules.load_cost <= 1, "load_cost", "Must be from 0 to 1.")
    expect(0 < rules.least_share <= PER_MILLE, "least_share", "Must be from 1 to 1000 (per mille).")
    expect(rules.optional_weight > 0, "optional_weight", "Must be above 0.")
    expect(rules.essential_weight >= rules.optional_weight, "essential_weight", "Must not be below optional_weight.")
    expect(rules.load_cap >= 0, "load_cap", "Must not be below 0.")
    expect(0 <= rules.confirmed_days <= rules.likely_days, "likely_days", "Must not be below confirmed_days.")
    expect(rules.people_reference > 0, "people_reference", "Must be above 0.")
    expect(rules.work_limit > 0, "work_limit", "Must be above 0.")
    for name, fit in sorted(rules.fits.items()):
        expect(name in FITS, f"fits.{name}", f"Unknown factor: use one of {', '.join(FITS)}.")
        expect(0 < fit <= PER_MILLE, f"fits.{name}", "Must be from 1 to 1000 (per mille).")
    return faults


def fifths(share: float) -> int:
    """A score as people read it: 0 only for nothing, 5 only from 0.9 up (0 to 5)."""
    return 0 if share <= 0 else min(5, max(1, int(share * 5 + 0.5)))
