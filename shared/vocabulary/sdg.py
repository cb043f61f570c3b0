"""The Sustainable Development Goals: goals, targets and indicators by their official codes, with our own labels.

The official wording belongs to the United Nations: an operator who wants it shown lays files over the lists that
give it in columns `official_en`, `official_fr` … (see docs/vocabulary.md).

A later framework comes the same way: new codes are added, and those it drops get its version in the column
`retired`. A retired code stays known, because records made under it stay.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.vocabulary.tables import Row, Table, Text, text, version

FRAMEWORK_VERSION = "2024"
"""The shipped framework: the global indicator framework (A/RES/71/313 and its refinements) before the 2025 review."""


@dataclass(frozen=True, slots=True)
class Goal:
    """`official` is the United Nations' own wording, empty unless an operator loaded it."""

    code: str
    label: Text
    official: Text


@dataclass(frozen=True, slots=True)
class Target:
    code: str
    goal: str
    label: Text
    official: Text


@dataclass(frozen=True, slots=True)
class Indicator:
    """`same_as` is the canonical code of an indicator that the framework lists several times, else None.

    `retired` is the version of the framework that dropped it, else None.
    """

    code: str
    target: str
    goal: str
    same_as: str | None
    retired: str | None
    label: Text
    official: Text


def _parent(code: str) -> str:
    return code.rpartition(".")[0]


def _goal(row: Row) -> Goal:
    return Goal(row["code"], text(row), text(row, "official_"))


def _target(row: Row) -> Target:
    return Target(row["code"], _parent(row["code"]), text(row), text(row, "official_"))


def _indicator(row: Row) -> Indicator:
    target = _parent(row["code"])
    return Indicator(
        code=row["code"],
        target=target,
        goal=_parent(target),
        same_as=row["same_as"] or None,
        retired=row.get("retired") or None,
        label=text(row),
        official=text(row, "official_"),
    )


GOALS = Table("sdg_goals", _goal)
TARGETS = Table("sdg_targets", _target)
INDICATORS = Table("sdg_indicators", _indicator)


def framework_version() -> str:
    """The framework as it stands in this process: FRAMEWORK_VERSION, and what an operator laid over it."""
    return version("sdg_indicators")


def canonical(code: str) -> str | None:
    """The one code under which a goal, target or indicator is kept; None when the framework has no such code.

    Takes codes as people write them: `13.1.1`, ` 1.A `, `2.3`. `canonical("13.1.1") == "1.5.1"`.
    """
    code = code.strip().lower()
    if code in GOALS or code in TARGETS:
        return code
    indicator = INDICATORS.get(code)
    return None if indicator is None else indicator.same_as or indicator.code


def goal_of(code: str) -> str:
    """The goal of a goal, target or indicator code: `goal_of("2.3.1") == "2"`. Raises KeyError for an unknown code."""
    if code in GOALS:
        return code
    if code in TARGETS:
        return TARGETS[code].goal
    return INDICATORS[code].goal
