"""What matching answers for one pilot, as values and as the JSON that is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from services.matching.candidates import Confidence
from services.matching.model import THOUSAND, Text
from services.matching.priority import Priority
from services.matching.weights import PER_MILLE, fifths

ENGINE = "team-1"
"""Changes whenever the same inputs and rules could give another team."""

Status = Literal["proposed", "no_meaningful_partner", "nothing_to_match"]


@dataclass(frozen=True, slots=True)
class Reason:
    """A stable code for programs and a sentence for people; `about` holds the ids and numbers behind it."""

    code: str
    text: Text
    about: Mapping[str, Any] | None = None

    def as_state(self) -> dict[str, Any]:
        return {"code": self.code, "text": dict(self.text), **(self.about or {})}


@dataclass(frozen=True, slots=True)
class Cover:
    """`units` thousandths of a need from one capability; `share` of the need; `fit` per mille."""

    need: str
    capability: str
    units: int
    share: float
    fit: int
    confidence: Confidence
    factors: tuple[str, ...]

    def as_state(self) -> dict[str, Any]:
        units = self.units / THOUSAND
        return {
            "need": self.need,
            "capability": self.capability,
            "units": int(units) if units == int(units) else units,
            "share": round(self.share, 4),
            "fit": self.fit / PER_MILLE,
            "fifths": fifths(self.fit / PER_MILLE),
            "confidence": self.confidence,
            "factors": list(self.factors),
        }


@dataclass(frozen=True, slots=True)
class Member:
    agency: str
    role: Literal["lead", "partner"]
    covers: tuple[Cover, ...]
    reasons: tuple[Reason, ...]
    fixed: bool = False

    def as_state(self) -> dict[str, Any]:
        return {
            "agency": self.agency,
            "role": self.role,
            "fixed": self.fixed,
            "covers": [cover.as_state() for cover in self.covers],
            "reasons": [reason.as_state() for reason in self.reasons],
        }


@dataclass(frozen=True, slots=True)
class Uncovered:
    """A need that is not covered in full: `share` of it is; why, and what could be done."""

    need: str
    essential: bool
    share: float
    why: Reason
    suggestions: tuple[Reason, ...]

    def as_state(self) -> dict[str, Any]:
        return {
            "need": self.need,
            "essential": self.essential,
            "share": round(self.share, 4),
            "why": self.why.as_state(),
            "suggestions": [suggestion.as_state() for suggestion in self.suggestions],
        }


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another team, and what it lacks beside the proposed one."""

    team: tuple[str, ...]
    covers: tuple[tuple[str, Cover], ...]
    coverage: float
    essential_covered: int
    objective: float
    lacks: tuple[Reason, ...]

    def as_state(self) -> dict[str, Any]:
        return {
            "team": list(self.team),
            "covers": [{"agency": agency, **cover.as_state()} for agency, cover in self.covers],
            "coverage": round(self.coverage, 4),
            "essential_covered": self.essential_covered,
            "objective": round(self.objective, 6),
            "lacks": [reason.as_state() for reason in self.lacks],
        }


@dataclass(frozen=True, slots=True)
class BoundSaid:
    """`objective` of the proposed team and what no permitted team exceeds; both count priority · coverage less costs.

    Essential needs come first: `essential` needs are covered in full, and no permitted team covers more than
    `essential_bound` of them. `proven` says that there is no better team; otherwise the work limit ended the search.
    """

    objective: float
    objective_bound: float
    essential: int
    essential_bound: int
    proven: bool
    work: int

    def as_state(self) -> dict[str, Any]:
        return {
            "objective": round(self.objective, 6),
            "objective_bound": round(self.objective_bound, 6),
            "essential": self.essential,
            "essential_bound": self.essential_bound,
            "proven": self.proven,
            "work": self.work,
        }


@dataclass(frozen=True, slots=True)
class Proposal:
    """What matching proposes for a pilot; people decide. The same inputs and rules give the same proposal."""

    pilot: str
    status: Status
    team: tuple[Member, ...]
    uncovered: tuple[Uncovered, ...]
    already_met: tuple[str, ...]
    coverage: float
    essential_covered: int
    essential_total: int
    priority: Priority
    weakest_point: Reason
    sentences: Text
    alternatives: tuple[Alternative, ...]
    bound: BoundSaid
    notes: tuple[Reason, ...]
    rules: str
    engine: str = ENGINE

    @property
    def partners(self) -> tuple[str, ...]:
        return tuple(member.agency for member in self.team if member.role == "partner")

    def as_state(self) -> dict[str, Any]:
        return {
            "pilot": self.pilot,
            "status": self.status,
            "team": [member.as_state() for member in self.team],
            "uncovered": [one.as_state() for one in self.uncovered],
            "already_met": list(self.already_met),
            "coverage": round(self.coverage, 4),
            "coverage_fifths": fifths(self.coverage),
            "essential_covered": self.essential_covered,
            "essential_total": self.essential_total,
            "priority": self.priority.as_state(),
            "weakest_point": self.weakest_point.as_state(),
            "explanation": dict(self.sentences),
            "alternatives": [alternative.as_state() for alternative in self.alternatives],
            "bound": self.bound.as_state(),
            "notes": [note.as_state() for note in self.notes],
            "engine": self.engine,
            "rules": self.rules,
        }
