"""What is known of one pilot, worked out from its children: results, reach, what contributes to which goal.

Always from all of them, so that doing it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from pydantic import ValidationError

from services.metrics.breakdowns import EVERYBODY
from services.metrics.current import Current, Position, Recorded, current, record
from services.metrics.editions import Progress, as_recorded
from services.metrics.folds import lead_of
from services.metrics.observations import Key, Observation
from services.metrics.plans import IndicatorPlan
from services.metrics.reach import SiteReach
from services.metrics.results import Result, result, value_of
from services.metrics.rollup import PilotRow, Source, goals_of
from shared.ledger.owners import Ref
from shared.ledger.rows import Row
from shared.vocabulary.dimensions import TOTAL

State = Mapping[str, Any]


def plan_of(row: Row) -> IndicatorPlan | None:
    """The plan in a row; None if this node cannot read it (a newer one)."""
    try:
        return IndicatorPlan.model_validate({**row.state, "id": row.id})
    except ValidationError:
        return None


def sites_of(pilot: State) -> dict[str, str]:
    """Site id → country."""
    sites = [site for site in pilot.get("sites") or () if isinstance(site, dict)]
    return {str(site["id"]): str(site["country"]) for site in sites if site.get("id") and site.get("country")}


def recorded_in(batch: Row) -> dict[Ref, tuple[Recorded, ...]]:
    """The observations of a batch by indicator and its lead, as their agency recorded them."""
    found: dict[Ref, list[Recorded]] = {}
    shown = batch.shown
    for item, row in enumerate(batch.state.get("rows") or ()):
        if isinstance(row, dict) and isinstance(row.get("indicator"), str):
            at = Position(shown.epoch, shown.sequence, item, shown.ledger)
            about = (lead_of(row, batch.key[0]), row["indicator"])
            found.setdefault(about, []).append(Recorded(batch.key[0], at, Observation.model_validate(row)))
    return {about: tuple(rows) for about, rows in found.items()}


def counting(plan: IndicatorPlan, pilot: State, recorded: Iterable[Recorded]) -> Current:
    """The figures of an indicator that count, from what hosted agencies recorded and others published."""
    sites, lead = sites_of(pilot), str(pilot.get("lead_agency"))

    def owner_of(key: Key) -> str:
        country = sites.get(key.place, key.place if key.place != TOTAL else None)
        return plan.owner_at(key.place, country, lead)

    return current(record({}, recorded), owner_of, {plan.id: plan})


def published(plan: IndicatorPlan, agency: str, progress: Iterable[Row]) -> Current:
    """The figures of an indicator as its agency published them, newest edition of each period."""
    newest: dict[tuple[date, date], tuple[Progress, Row]] = {}
    for row in progress:
        try:
            told = Progress.model_validate(row.state)
        except ValidationError:
            continue
        if told.indicator != plan.id or row.key[0] != agency:
            continue
        period = (told.period.start, told.period.end)
        if period not in newest or newest[period][0].edition < told.edition:
            newest[period] = (told, row)
    rows = (
        each
        for told, row in newest.values()
        for each in as_recorded(told, plan, agency, Position(row.shown.epoch, row.shown.sequence, 0, row.shown.ledger))
    )
    return current(record({}, rows), lambda _: agency, {plan.id: plan})


def pilot_row(
    pilot: State, source: Source, plans: Sequence[IndicatorPlan], found: Mapping[str, Current], today: date
) -> PilotRow:
    sites = sites_of(pilot)
    results = tuple(result(plan, found[plan.id].figures, today, sites) for plan in plans)
    return PilotRow(
        pilot=str(pilot["id"]),
        agency=str(pilot["lead_agency"]),
        source=source,
        countries=frozenset(str(code) for code in pilot.get("countries") or sites.values()),
        results=results,
        goals={plan.id: goals_of(plan.contributes_to) for plan in plans},
        reach=tuple(_reach(pilot, plans, found, sites)),
        apart=any(plan.places_apart for plan in plans if plan.measure == "people_reached"),
    )


def _reach(
    pilot: State, plans: Sequence[IndicatorPlan], found: Mapping[str, Current], sites: Mapping[str, str]
) -> Iterator[SiteReach]:
    """People reached per site: as the record says, else as the widest indicator of people reached says."""
    told = {str(site["id"]): _reached(site) for site in pilot.get("sites") or () if site.get("id")}
    for site, country in sites.items():
        reached = told.get(site) or {}
        direct = reached.get("direct")
        counted = direct if direct is not None else _counted(plans, found, sites, site, country)
        yield SiteReach(
            pilot=str(pilot["id"]),
            agency=str(pilot["lead_agency"]),
            site=site,
            country=country,
            direct=counted,
            indirect=reached.get("indirect"),
            extreme_poverty=reached.get("extreme_poverty"),
            method=reached.get("method") if isinstance(reached.get("method"), str) else None,
        )


def _reached(site: State) -> dict[str, Any]:
    people = site.get("people")
    reached = people.get("reached") if isinstance(people, dict) else None
    return reached if isinstance(reached, dict) else {}


def _counted(
    plans: Sequence[IndicatorPlan], found: Mapping[str, Current], sites: Mapping[str, str], site: str, country: str
) -> int | None:
    """The largest figure of people reached at a site; a country's or pilot's figure where it has one site only."""
    alone_in_country = list(sites.values()).count(country) == 1
    places = {site, *([country] if alone_in_country else []), *([TOTAL] if len(sites) == 1 else [])}
    counts = []
    for plan in plans:
        if plan.measure != "people_reached":
            continue
        here = {key: each for key, each in found[plan.id].figures.items() if key.place in places}
        figure = value_of(plan, here, EVERYBODY, sites)
        if figure is not None:
            counts.append(int(figure.low))
    return max(counts, default=None)


def told_result(one: Result, plan: IndicatorPlan | None) -> dict[str, Any]:
    told = {name: _plain(value) for name, value in asdict(one).items()}
    if plan is not None:
        told["title"] = dict(plan.title)
        told["contributes_to"] = list(plan.contributes_to)
        told["measure"] = plan.measure
        told["baseline"] = None if plan.baseline is None else plan.baseline.model_dump(mode="json")
        told["target"] = None if plan.target is None else plan.target.model_dump(mode="json")
    return told


def stored(row: PilotRow, plans: Sequence[IndicatorPlan], current_of: Mapping[str, Current]) -> dict[str, Any]:
    """A pilot's figures as they are kept."""
    by_id = {plan.id: plan for plan in plans}
    questions = [question for plan in plans for question in current_of[plan.id].questions]
    return {
        "agency": row.agency,
        "countries": sorted(row.countries),
        "goals": sorted({goal for goals in row.goals.values() for goal in goals}),
        "figures": {
            "results": [told_result(one, by_id.get(one.indicator)) for one in row.results],
            "goals": {indicator: sorted(goals) for indicator, goals in row.goals.items()},
            "reach": [asdict(site) for site in row.reach],
            "apart": row.apart,
            "shared_reach_with": sorted({other for plan in plans for other in plan.shared_reach_with}),
            "questions": [
                {
                    "kind": question.kind,
                    "indicator": question.key.indicator,
                    "place": question.key.place,
                    "agencies": list(question.agencies),
                    "observations": list(question.observations),
                    "detail": question.detail,
                }
                for question in questions
            ],
        },
    }


def read_back(document: State) -> PilotRow:
    """`stored`, read again for a roll-up."""
    told = document["figures"]
    return PilotRow(
        pilot=document["pilot"],
        agency=document["agency"],
        source=document["source"],
        countries=frozenset(document["countries"]),
        results=tuple(_result_of(one) for one in told["results"]),
        goals={indicator: frozenset(goals) for indicator, goals in told["goals"].items()},
        reach=tuple(SiteReach(**site) for site in told["reach"]),
        apart=told["apart"],
    )


def _result_of(told: State) -> Result:
    values = {name: told[name] for name in Result.__dataclass_fields__}
    for name in ("as_of", "expected_on"):
        values[name] = None if values[name] is None else date.fromisoformat(values[name])
    for name in ("missing", "periods_without"):
        values[name] = tuple(values[name])
    return Result(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value
