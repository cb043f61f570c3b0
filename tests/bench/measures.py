"""Measured values and what becomes of them: medians over rounds, ratios, and whether what was to be reached is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

Reach = Literal["at least", "at most"]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that `share` (0 to 1) of them do not exceed. Raises ValueError without values."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


@dataclass(frozen=True)
class Goal:
    """What is to be reached: of the ratio, or of the node's own value where there is no counterpart."""

    sense: Reach
    value: float

    def is_reached_by(self, found: float) -> bool:
        return found >= self.value if self.sense == "at least" else found <= self.value


@dataclass
class Measure:
    """One line of the table: the node's values and the bare ones of every round, in `unit`, taken in turn."""

    name: str
    unit: str
    goal: Goal | None = None
    node: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    note: str = ""

    @property
    def value(self) -> float:
        return median(self.node)

    @property
    def bare_value(self) -> float | None:
        return median(self.bare) if self.bare else None

    @property
    def ratio(self) -> float | None:
        """The median of the rounds' ratios: what the machine did meanwhile touches both sides of a round alike."""
        if not self.bare:
            return None
        if len(self.bare) == len(self.node):
            return median(node / bare for node, bare in zip(self.node, self.bare, strict=True))
        return self.value / median(self.bare)

    @property
    def is_reached(self) -> bool | None:
        if self.goal is None:
            return None
        ratio = self.ratio
        return self.goal.is_reached_by(self.value if ratio is None else ratio)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "unit": self.unit,
            "node": self.value,
            "bare": self.bare_value,
            "ratio": self.ratio,
            "reach": None if self.goal is None else {self.goal.sense.replace(" ", "_"): self.goal.value},
            "reached": self.is_reached,
            "rounds": {"node": self.node, "bare": self.bare},
            "note": self.note,
        }
