"""How figures are put together, over places and over time: sum, max, average, latest, ratio, people once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import fsum, sqrt
from typing import Literal

from services.metrics.observations import Basis, Observation
from services.metrics.plans import Formula, IndicatorPlan

Rule = Formula | Literal["people"]
"""A formula of a plan, or `people`: at least the largest, at most the sum, because the same may be met twice."""

_WEAKER: tuple[Basis, ...] = ("measured", "reported", "estimated", "modelled")


@dataclass(frozen=True, slots=True)
class Figure:
    """A value in the indicator's unit as of a day, between `low` and `high` where people may be met twice.

    `basis` is the weakest that went in; `sample` is None and `uncertainty` (half a confidence interval, same
    unit as the value) is None as soon as one part does not give it.
    """

    value: float
    low: float
    high: float
    on: date
    basis: Basis
    numerator: float | None = None
    denominator: float | None = None
    sample: int | None = None
    uncertainty: float | None = None


def figure_of(observation: Observation, plan: IndicatorPlan) -> Figure:
    """An observation as a figure; a ratio in the plan's unit (a percentage is 100 · numerator / denominator)."""
    value = observation.amount * (plan.share_factor or 1)
    return Figure(
        value=value,
        low=value,
        high=value,
        on=observation.period.end,
        basis=observation.basis,
        numerator=observation.numerator,
        denominator=observation.denominator,
        sample=observation.sample,
        uncertainty=observation.uncertainty,
    )


def over_places(plan: IndicatorPlan) -> Rule:
    if plan.over_places is not None:
        return plan.over_places
    if plan.measure == "people_reached":
        return "sum" if plan.places_apart else "people"
    return _OVER_PLACES[plan.measure]


def over_time(plan: IndicatorPlan) -> Rule:
    """Figures of people reached may be the same people period after period unless the plan says otherwise:
    `over_time: sum` for new people only, `latest` for running totals."""
    if plan.over_time is not None:
        return plan.over_time
    return _OVER_TIME[plan.measure]


_OVER_PLACES: Mapping[str, Rule] = {
    "count": "sum",
    "sum": "sum",
    "average": "average",
    "latest": "average",
    "ratio": "ratio",
}
_OVER_TIME: Mapping[str, Rule] = {
    "count": "sum",
    "sum": "sum",
    "average": "latest",
    "latest": "latest",
    "ratio": "latest",
    "people_reached": "people",
}


def combine(rule: Rule, figures: Sequence[Figure], factor: int = 1) -> Figure | None:
    """The figure of all together, None of none. `factor` turns numerator/denominator into the unit.

    A ratio is always computed again from numerators and denominators; figures that lack them cannot be put
    together and give None.
    """
    if not figures:
        return None
    if len(figures) == 1:
        return figures[0]
    return _RULES[rule](figures, factor)


def _common(figures: Sequence[Figure]) -> Figure:
    """What every rule says of the whole, with the first figure's values still in place."""
    samples = [figure.sample for figure in figures]
    return replace(
        figures[0],
        on=max(figure.on for figure in figures),
        basis=max((figure.basis for figure in figures), key=_WEAKER.index),
        sample=None if None in samples else sum(s for s in samples if s is not None),
        numerator=None,
        denominator=None,
        uncertainty=None,
    )


def _margin(figures: Sequence[Figure], weights: Sequence[float]) -> float | None:
    """The margin of a weighted sum of independent figures: root of the sum of squares (GUM, section 5.1.2)."""
    margins = [figure.uncertainty for figure in figures]
    if None in margins:
        return None
    return sqrt(fsum((w * m) ** 2 for w, m in zip(weights, margins, strict=True) if m is not None))


def _sum(figures: Sequence[Figure], factor: int) -> Figure:
    if all(figure.denominator is not None for figure in figures):
        return _ratio(figures, factor) or figures[0]
    return replace(
        _common(figures),
        value=_total([figure.value for figure in figures]),
        low=_total([figure.low for figure in figures]),
        high=_total([figure.high for figure in figures]),
        uncertainty=_margin(figures, [1.0] * len(figures)),
    )


def _total(values: Sequence[float]) -> float:
    return sum(values) if all(isinstance(value, int) for value in values) else fsum(values)


def _max(figures: Sequence[Figure], _factor: int) -> Figure:
    largest = max(figures, key=lambda figure: figure.value)
    return replace(
        _common(figures),
        value=largest.value,
        low=max(figure.low for figure in figures),
        high=max(figure.high for figure in figures),
        uncertainty=largest.uncertainty,
    )


def _people(figures: Sequence[Figure], _factor: int) -> Figure:
    low = max(figure.low for figure in figures)
    return replace(_common(figures), value=low, low=low, high=_total([figure.high for figure in figures]))


def _average(figures: Sequence[Figure], _factor: int) -> Figure:
    """Weighted by the people asked where every figure says how many; else each figure weighs the same."""
    samples = [figure.sample for figure in figures]
    known = [float(s) for s in samples if s]
    weights = known if len(known) == len(figures) else [1.0] * len(figures)
    shares = [weight / fsum(weights) for weight in weights]
    value = fsum(w * figure.value for w, figure in zip(shares, figures, strict=True))
    return replace(_common(figures), value=value, low=value, high=value, uncertainty=_margin(figures, shares))


def _latest(figures: Sequence[Figure], factor: int) -> Figure | None:
    newest = max(figure.on for figure in figures)
    return combine("average", [figure for figure in figures if figure.on == newest], factor)


def _ratio(figures: Sequence[Figure], factor: int) -> Figure | None:
    numerators = [figure.numerator for figure in figures if figure.numerator is not None]
    denominators = [figure.denominator for figure in figures if figure.denominator is not None]
    if len(numerators) < len(figures) or len(denominators) < len(figures) or not _total(denominators):
        return None
    above, below = _total(numerators), _total(denominators)
    value = factor * above / below
    shares = [d / below for d in denominators]
    return replace(
        _common(figures),
        value=value,
        low=value,
        high=value,
        numerator=above,
        denominator=below,
        uncertainty=_margin(figures, shares),
    )


_RULES: Mapping[Rule, Callable[[Sequence[Figure], int], Figure | None]] = {
    "sum": _sum,
    "max": _max,
    "people": _people,
    "average": _average,
    "latest": _latest,
    "ratio": _ratio,
}
