"""An agency's own rules: who releases, how long an invitation stands, weights, limits, recusals. Versioned data.

A lead's rules decide how its pilots are matched. What an agency says about itself counts everywhere: the pilots it
recuses itself from, the most pilots it takes part in, the most invitations it wants open at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from services.matching.domain.change import Change, State
from services.matching.weights import Rules, rules_of
from shared.facts.names import UUID
from shared.problems import Fault, Invalid

RELEASES = ("lead", "auto")
OWN = ("recusals", "substitutions", "load_cap", "load_caps", "open_invitations", "version", "work_limit")
"""Of the solver's rules, those that are said by their own fields here, and the one that guards the node."""
WEIGHTS = frozenset(one.name for one in fields(Rules)) - frozenset(OWN)
FIELDS = (
    *("agency", "release", "invitation_days", "open_invitations", "load_cap"),
    *("recusals", "substitutions", "weights"),
)


@dataclass(frozen=True, slots=True)
class AgencyRules:
    """`version` 0 stands for the node's defaults; `weights` are what the agency set of the solver's numbers."""

    agency: str
    version: int = 0
    release: str = "lead"
    invitation_days: int = 21
    open_invitations: int = 5
    load_cap: int | None = None
    recusals: frozenset[str] = frozenset()
    substitutions: frozenset[tuple[str, str, str]] = frozenset()
    weights: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """How a proposal names the rules it was made by."""
        return f"{self.agency}-{self.version}" if self.version else "default-1"

    def as_state(self) -> State:
        return {
            "id": self.agency,
            "agency": self.agency,
            "release": self.release,
            "invitation_days": self.invitation_days,
            "open_invitations": self.open_invitations,
            "load_cap": self.load_cap,
            "recusals": sorted(self.recusals),
            "substitutions": [
                {"pilot": pilot, "need": need, "code": code} for pilot, need, code in sorted(self.substitutions)
            ],
            "weights": dict(self.weights),
        }


def agency_rules_of(state: Mapping[str, Any], version: int, defaults: AgencyRules) -> AgencyRules:
    """Reads rules as they were recorded, also by another node; what is not understood takes its default."""
    try:
        return _read(state, version, str(state["agency"]), defaults)
    except (Invalid, KeyError, TypeError, ValueError):
        return AgencyRules(str(state.get("agency") or ""), 0, defaults.release, defaults.invitation_days)


def set_rules(post: Mapping[str, Any], agency: str, version: int, defaults: AgencyRules) -> Change:
    """The agency's rules as posted; fields left out take the node's defaults. Raises `Invalid` with all faults."""
    faults = [
        Fault(name, "unknown-field", f"Rules have no such field; they have {', '.join(FIELDS)}.")
        for name in sorted(set(post) - {*FIELDS, "id", "version", "audience", "ledger_place", "changed_at", "notices"})
    ]
    if post.get("agency", agency) != agency:
        faults.append(Fault("agency", "fixed", f"These are the rules of {agency}."))
    try:
        rules = _read(post, version + 1, agency, defaults)
    except Invalid as invalid:
        raise Invalid([*faults, *invalid.faults]) from invalid
    if faults:
        raise Invalid(faults)
    return Change("rules", "set", agency, version + 1, agency, rules.as_state())


def _read(post: Mapping[str, Any], version: int, agency: str, defaults: AgencyRules) -> AgencyRules:
    faults: list[Fault] = []

    def whole(name: str, default: Any, least: int, most: int) -> Any:
        value = post.get(name)
        if value is None:
            return default
        if type(value) is not int or not least <= value <= most:
            faults.append(Fault(name, "out-of-range", f"expected a whole number from {least} to {most}"))
            return default
        return value

    release = post.get("release") or defaults.release
    if release not in RELEASES:
        faults.append(Fault("release", "unknown", "expected lead or auto"))
    read = AgencyRules(
        agency,
        version,
        str(release),
        whole("invitation_days", defaults.invitation_days, 1, 365),
        whole("open_invitations", defaults.open_invitations, 1, 1000),
        whole("load_cap", None, 0, 100_000),
        frozenset(_pilots(post.get("recusals"), faults)),
        frozenset(_substitutions(post.get("substitutions"), faults)),
        _weights(post.get("weights"), faults),
    )
    if faults:
        raise Invalid(faults)
    return read


def _pilots(value: Any, faults: list[Fault]) -> Iterable[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, str) and UUID.fullmatch(one) for one in value):
        faults.append(Fault("recusals", "wrong-shape", "expected a list of pilots' ids"))
        return []
    return value


def _substitutions(value: Any, faults: list[Fault]) -> Iterable[tuple[str, str, str]]:
    if value is None:
        return []
    names = ("pilot", "need", "code")
    entries = value if isinstance(value, list) else [None]
    found = []
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in names):
            faults.append(Fault(f"substitutions[{number}]", "wrong-shape", "expected {pilot, need, code} as texts"))
            continue
        found.append((entry["pilot"], entry["need"], entry["code"]))
    return found


def _weights(value: Any, faults: list[Fault]) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        faults.append(Fault("weights", "wrong-shape", "expected an object of numbers"))
        return {}
    unknown = sorted(set(value) - WEIGHTS)
    for name in unknown:
        faults.append(Fault(f"weights.{name}", "unknown-field", f"expected one of {', '.join(sorted(WEIGHTS))}"))
    kept = {name: given for name, given in value.items() if name in WEIGHTS and _numbers(name, given, faults)}
    if not faults:
        try:
            rules_of(kept)
        except Invalid as invalid:
            faults.extend(Fault(f"weights.{one.field}", one.code, one.detail) for one in invalid.faults)
    return kept


def _numbers(name: str, given: Any, faults: list[Fault]) -> bool:
    default = getattr(Rules(), name)
    values = list(given.values()) if isinstance(given, dict) else [given]
    shaped = isinstance(given, dict) == isinstance(default, Mapping)
    if shaped and isinstance(default, Mapping) and not set(given) <= set(default):
        faults.append(Fault(f"weights.{name}", "unknown-field", f"expected some of {', '.join(default)}"))
        return False
    if name == "poverty_by_income" and not all(isinstance(one, int | float) and 0 <= one <= 1 for one in values):
        faults.append(Fault(f"weights.{name}", "out-of-range", "expected shares from 0 to 1"))
        return False
    wanted = (int, float) if isinstance(default, (float, Mapping)) else (int,)
    if shaped and all(isinstance(one, wanted) and not isinstance(one, bool) for one in values):
        return True
    faults.append(Fault(f"weights.{name}", "type", f"expected the shape of {default!r}"))
    return False


def solver_rules(pilot: str, lead: AgencyRules, everybody: Iterable[AgencyRules], without: Iterable[str] = ()) -> Rules:
    """The rules for one pilot: the lead's weights, what others say of themselves, and who is out of this round."""
    known = list(everybody)
    recused = {(one.agency, pilot) for one in known if pilot in one.recusals}
    caps = {one.agency: one.load_cap for one in known if one.load_cap is not None}
    return rules_of(
        {
            **lead.weights,
            "version": lead.label,
            "recusals": sorted(recused | {(agency, pilot) for agency in without}),
            "substitutions": sorted(one for one in lead.substitutions if one[0] == pilot),
            "load_caps": caps,
        }
    )
