"""The Sustainable Development Goals: goals, targets and indicators by their official codes, with our own labels."""

from __future__ import annotations

from dataclasses import dataclass

from shared.vocabulary.tables import Row, Table, Text, text

FRAMEWORK_VERSION = "2024"
"""The global indicator framework (A/RES/71/313 and its refinements) as it stood before the 2025 review."""


@dataclass(frozen=True, slots=True)
class Goal:
    code: str
    label: Text


@dataclass(frozen=True, slots=True)
class Target:
    code: str
    goal: str
    label: Text


@dataclass(frozen=True, slots=True)
class Indicator:
    """`same_as` is the canonical code of an indicator that the framework lists several times, else None."""

    code: str
    target: str
    goal: str
    same_as: str | None
    label: Text


def _parent(code: str) -> str:
    return code.rpartition(".")[0]


def _goal(row: Row) -> Goal:
    return Goal(row["code"], text(row))


def _target(row: Row) -> Target:
    return Target(row["code"], _parent(row["code"]), text(row))


def _indicator(row: Row) -> Indicator:
    target = _parent(row["code"])
    return Indicator(row["code"], target, _parent(target), row["same_as"] or None, text(row))


GOALS = Table("sdg_goals", _goal)
TARGETS = Table("sdg_targets", _target)
INDICATORS = Table("sdg_indicators", _indicator)


def canonical(code: str) -> str | None:
    """The one code under which a goal, target or indicator is kept; None when the framework has no such code."""
    code = code.strip().lower()
    if code in GOALS or code in TARGETS:
        return code
    indicator = INDICATORS.get(code)
    return None if indicator is None else indicator.same_as or indicator.code


def goal_of(code: str) -> str:
    """The goal of a goal, target or indicator code: `goal_of("2.3.1") == "2"`."""
    goal = code.partition(".")[0]
    if goal not in GOALS:
        raise KeyError(code)
    return goal
