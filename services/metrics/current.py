"""Which figure counts: the current set, the same whatever the order in which observations arrived.

Per key (indicator, pilot, place, period, breakdown) one agency owns the figure. Its newest version is the one
that no other observation of the same agency supersedes. Figures of others corroborate; where they differ, that
is a question in someone's list, and nothing is added up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from services.metrics import breakdowns
from services.metrics.observations import Key, Observation
from services.metrics.plans import IndicatorPlan
from shared.vocabulary.dimensions import TOTAL

QuestionKind = Literal["difference", "no_owner_figure", "two_versions", "parts_exceed_total", "supersedes_nothing"]

ROUNDING = 0.005
"""Two agencies' figures agree when they are within half a percent of the larger."""


class Position(NamedTuple):
    """Where an observation was recorded. Within a ledger a later position is newer."""

    epoch: int
    sequence: int
    item: int
    ledger: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """An observation as its agency recorded it. The agency is the ledger's, never the payload's."""

    agency: str
    at: Position
    observation: Observation

    @property
    def row(self) -> tuple[str, str]:
        return (self.agency, self.observation.id)


@dataclass(frozen=True, slots=True)
class Question:
    """Something that a person has to settle; `agencies` are those whose figures are concerned."""

    kind: QuestionKind
    key: Key
    agencies: tuple[str, ...]
    observations: tuple[str, ...]
    detail: str


@dataclass(frozen=True, slots=True)
class Current:
    """`figures`: the one that counts, per key. `others`: what corroborating agencies say, newest per agency."""

    figures: Mapping[Key, Recorded] = field(default_factory=dict)
    others: Mapping[Key, tuple[Recorded, ...]] = field(default_factory=dict)
    questions: tuple[Question, ...] = ()


Rows = Mapping[tuple[str, str], Recorded]
"""The fold's state: every observation by (agency, id)."""

OwnerOf = Callable[[Key], str]


def record(rows: Rows, new: Iterable[Recorded]) -> Rows:
    """Folds observations in. An id that is recorded again yields only to a later position."""
    folded = dict(rows)
    for each in new:
        known = folded.get(each.row)
        if known is None or known.at < each.at:
            folded[each.row] = each
    return folded


def current(rows: Rows, owner_of: OwnerOf, plans: Mapping[str, IndicatorPlan]) -> Current:
    """The figures that count, from all observations of a pilot's indicator (or of more).

    `plans` by indicator id say whether parts can be added up and compared with their whole.
    """
    alive, questions = _not_superseded(rows)
    figures: dict[Key, Recorded] = {}
    others: dict[Key, tuple[Recorded, ...]] = {}
    for key, by_agency in sorted(_by_key(alive).items()):
        newest = {agency: max(each, key=lambda r: r.at) for agency, each in by_agency.items()}
        questions += [_two_versions(key, each) for each in by_agency.values() if _differ(each)]
        owner = owner_of(key)
        if owner in newest:
            figures[key] = newest.pop(owner)
        if newest:
            others[key] = tuple(newest[agency] for agency in sorted(newest))
            questions += _compared(key, figures.get(key), others[key], owner)
    questions += _parts_beyond_wholes({k: r for k, r in figures.items() if _adds_up(plans.get(k.indicator))})
    return Current(
        figures, others, tuple(sorted(set(questions), key=lambda q: (q.key, q.kind, q.agencies, q.observations)))
    )


def _not_superseded(rows: Rows) -> tuple[list[Recorded], list[Question]]:
    """What no observation of the same agency corrects. In a circle of corrections nobody corrects anybody."""
    superseded: set[tuple[str, str]] = set()
    questions = []
    for row, each in rows.items():
        target = each.observation.supersedes
        if target is None:
            continue
        if (each.agency, target) not in rows:
            detail = f"{each.observation.id} corrects {target}, of which nothing is known here from {each.agency}"
            questions.append(
                Question("supersedes_nothing", each.observation.key, (each.agency,), (each.observation.id,), detail)
            )
        elif not _in_circle(rows, row):
            superseded.add((each.agency, target))
    return [each for row, each in rows.items() if row not in superseded], questions


def _in_circle(rows: Rows, start: tuple[str, str]) -> bool:
    row: tuple[str, str] | None = start
    passed = set()
    while row is not None and row in rows and row not in passed:
        passed.add(row)
        target = rows[row].observation.supersedes
        row = (row[0], target) if target is not None else None
    return row == start


def _by_key(alive: Iterable[Recorded]) -> dict[Key, dict[str, list[Recorded]]]:
    found: dict[Key, dict[str, list[Recorded]]] = {}
    for each in alive:
        found.setdefault(each.observation.key, {}).setdefault(each.agency, []).append(each)
    return found


def _differ(figures: Iterable[Recorded]) -> bool:
    amounts = [each.observation.amount for each in figures]
    return any(not agree(amounts[0], amount) for amount in amounts[1:])


def agree(one: float, other: float) -> bool:
    """Whether two figures are the same but for rounding."""
    return abs(one - other) <= ROUNDING * max(abs(one), abs(other))


def _two_versions(key: Key, versions: list[Recorded]) -> Question:
    ordered = sorted(versions, key=lambda r: r.at)
    detail = (
        f"{ordered[-1].agency} gave {len(ordered)} figures and none supersedes the other; "
        f"the last, {ordered[-1].observation.amount:g}, counts until one is corrected"
    )
    return Question("two_versions", key, (ordered[-1].agency,), tuple(r.observation.id for r in ordered), detail)


def _compared(key: Key, own: Recorded | None, others: tuple[Recorded, ...], owner: str) -> list[Question]:
    if own is None:
        ids = tuple(r.observation.id for r in others)
        said = ", ".join(f"{r.agency} {r.observation.amount:g}" for r in others)
        detail = f"{owner} owns this figure and gave none; {said}. It does not count until {owner} reports or the plan names another owner"  # fmt: skip  # noqa: E501
        return [Question("no_owner_figure", key, (owner, *(r.agency for r in others)), ids, detail)]
    return [
        Question(
            "difference",
            key,
            (own.agency, other.agency),
            (own.observation.id, other.observation.id),
            f"{own.agency} says {own.observation.amount:g}, {other.agency} {other.observation.amount:g}",
        )
        for other in others
        if not agree(own.observation.amount, other.observation.amount)
    ]


def _parts_beyond_wholes(figures: Mapping[Key, Recorded]) -> list[Question]:
    """Parts of one dimension that do not overlap and add up to more than their whole."""
    tables: dict[tuple[Key, str], dict[str, Recorded]] = {}
    for key, each in figures.items():
        for position, (dimension, code) in enumerate(key.breakdown):
            rest = key.breakdown[:position] + key.breakdown[position + 1 :]
            tables.setdefault((key._replace(breakdown=rest), dimension), {})[code] = each
    questions = []
    for (whole, dimension), parts in tables.items():
        if whole not in figures:
            continue
        for total in breakdowns.sums(dimension, parts):
            if total.wholes == (TOTAL,):
                question = _beyond(figures[whole], whole, dimension, [parts[code] for code in total.parts])
                questions += [question] if question else []
    return questions


def _adds_up(plan: IndicatorPlan | None) -> bool:
    return plan is not None and plan.measure not in ("average", "latest")


def _beyond(whole: Recorded, key: Key, dimension: str, parts: list[Recorded]) -> Question | None:
    amounts = [_additive(each.observation) for each in (whole, *parts)]
    total, *each = [amount for amount in amounts if amount is not None]
    if len(each) < len(parts) or sum(each) <= total * (1 + 1e-9):
        return None
    ids = tuple(r.observation.id for r in (whole, *parts))
    agencies = tuple(sorted({r.agency for r in (whole, *parts)}))
    detail = f"by {dimension} the parts add up to {sum(each):g}, more than the whole, {total:g}"
    return Question("parts_exceed_total", key, agencies, ids, detail)


def _additive(observation: Observation) -> float | None:
    """What of a figure adds up over parts: for a ratio its denominator."""
    return observation.denominator if observation.value is None else observation.value
