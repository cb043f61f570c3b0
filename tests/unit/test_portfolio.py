"""The sample portfolio holds what its README promises: real pilots with sources, invented fields that say so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import yaml

from services.metrics.observations import Known, read_observations
from services.metrics.plans import IndicatorPlan, read_plan
from services.registry.domain.pilots import register_pilot
from services.registry.records.findings import Findings
from services.registry.records.posts import AgencyPost, CapabilityPost, OfficePost
from services.registry.records.reading import read
from shared.vocabulary import capability, entities, groups, places, sdg, strategy

Json = dict[str, Any]

SAMPLE = Path(__file__).parents[2] / "examples" / "portfolio"
INVENTED = ("agency-a", "agency-b", "agency-c", "agency-d")
AS_OF = datetime(2026, 11, 15, 12, tzinfo=UTC)
SUPPRESSED_BELOW = 10


@dataclass(frozen=True)
class Officer:
    agency: str
    id: str = "an officer"
    roles: tuple[str, ...] = ("officer",)
    office: str | None = None


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


@lru_cache(maxsize=1)
def agencies() -> dict[str, Json]:
    return {agency["slug"]: agency for agency in _yaml(SAMPLE / "agencies.yaml")}


@lru_cache(maxsize=1)
def pilots() -> dict[str, Json]:
    return {path.stem: _yaml(path) for path in sorted((SAMPLE / "pilots").glob("*.yaml"))}


@lru_cache(maxsize=1)
def capabilities() -> tuple[Json, ...]:
    return tuple(entry for path in sorted((SAMPLE / "capabilities").glob("*.yaml")) for entry in _yaml(path))


@lru_cache(maxsize=1)
def results() -> dict[str, Json]:
    return {path.stem: _yaml(path) for path in sorted((SAMPLE / "observations").glob("*.yaml"))}


def is_invented(agency: str) -> bool:
    return agency in INVENTED


def needs() -> Iterator[tuple[str, Json]]:
    for name, pilot in pilots().items():
        for need in pilot["needs"]:
            yield name, need


def suits(offer: Json, need: Json, pilot: Json) -> bool:
    """Code × place × delivery × goal × months: whether a capability could cover a need at all."""
    delivery = need.get("delivery", "either")
    there = "countries" not in offer or need["country"] in offer["countries"]
    wanted = need.get("months") or [pilot["starts_on"][:7], pilot["ends_on"][:7]]
    goal = need.get("qualifiers", {}).get("goal")
    return (
        offer["code"] == need["code"]
        and (there or (offer["mode"] != "on_site" and delivery == "remote"))
        and not (delivery == "on_site" and offer["mode"] == "remote")
        and not (delivery == "remote" and offer["mode"] == "on_site")
        and (goal is None or goal in offer.get("goals", ()))
        and offer["available_from"][:7] <= wanted[0]
        and wanted[-1] <= offer["available_to"][:7]
        and offer.get("units", need["quantity"]) >= need["quantity"]
    )


def providers(name: str, need: Json) -> set[str]:
    return {offer["agency"] for offer in capabilities() if suits(offer, need, pilots()[name])}


def essential(name: str) -> list[Json]:
    return [need for need in pilots()[name]["needs"] if need["essential"]]


def uncovered() -> list[tuple[str, Json]]:
    return [(name, need) for name, need in needs() if not providers(name, need)]


def test_it_is_as_large_as_promised() -> None:
    real = [pilot for pilot in pilots().values() if not is_invented(pilot["lead_agency"])]
    assert len(real) >= 24
    assert len({pilot["lead_agency"] for pilot in real}) >= 14
    assert len(capabilities()) >= 80
    assert sum(not is_invented(offer["agency"]) for offer in capabilities()) >= 80


def test_everyone_who_takes_part_is_listed_once_and_nobody_else() -> None:
    partners = {
        partner["agency"]
        for pilot in pilots().values()
        for partner in pilot.get("partners_declared", ())
        if "agency" in partner
    }
    leads = {pilot["lead_agency"] for pilot in pilots().values()}
    assert set(agencies()) == partners | leads | {offer["agency"] for offer in capabilities()}
    assert len(_yaml(SAMPLE / "agencies.yaml")) == len(agencies())


@pytest.mark.parametrize("slug", agencies())
def test_the_registry_reads_an_agency_and_its_offices_without_a_word(slug: str) -> None:
    agency, findings = agencies()[slug], Findings()
    read(AgencyPost, {name: value for name, value in agency.items() if name != "offices"}, findings)
    for office in agency["offices"]:
        read(OfficePost, {**office, "agency": slug}, findings)
    assert (findings.faults, findings.notices) == ([], [])
    assert {office["kind"] for office in agency["offices"]} >= {"hq"}
    assert len({office["code"] for office in agency["offices"]}) == len(agency["offices"])
    known = entities.ENTITIES.get(slug)
    assert (known is None) == is_invented(slug)
    if known is not None:
        assert agency["name"]["en"] == known.name["en"]
        assert agency.get("iati") in (None, known.iati)


@pytest.mark.parametrize("name", pilots())
def test_the_registry_takes_a_pilot_without_a_fault(name: str) -> None:
    pilot = pilots()[name]
    lead = Officer(pilot["lead_agency"])
    change = register_pilot(pilot, id=str(UUID(int=7)), now=AS_OF, actor=lead)
    assert change.state["life"] == pilot.get("life", "open")
    assert [notice for notice in change.notices if notice.code != "consent-missing"] == []


def test_the_registry_takes_every_capability_without_a_fault() -> None:
    for offer in capabilities():
        findings = Findings()
        read(CapabilityPost, offer, findings)
        assert (findings.faults, findings.notices) == ([], []), offer["title"]


def test_a_file_is_named_for_whose_records_it_holds() -> None:
    for name, pilot in pilots().items():
        assert name.startswith(pilot["lead_agency"] + "-")
    for path in (SAMPLE / "capabilities").glob("*.yaml"):
        assert {offer["agency"] for offer in _yaml(path)} == {path.stem}


def test_every_code_is_known() -> None:
    for pilot in pilots().values():
        assert set(pilot["countries"]) <= set(places.PLACES)
        assert set(pilot["sdg_targets"]) <= set(sdg.TARGETS)
        assert set(pilot["roadmap_measures"]) <= set(strategy.MEASURES)
        assert set(pilot["layers"]) <= set(strategy.LAYERS)
        for entry in pilot["target_groups"]:
            assert {entry} if isinstance(entry, str) else set(entry) <= set(groups.GROUPS)
    for _, need in needs():
        assert capability.CODES[need["code"]].matchable
        assert need["country"] in places.PLACES
    for offer in capabilities():
        assert capability.CODES[offer["code"]].matchable
        assert set(offer.get("countries", ())) <= set(places.PLACES)


def test_titles_and_summaries_of_pilots_are_told_in_english_and_french() -> None:
    for pilot in pilots().values():
        for field in ("title", "summary"):
            assert set(pilot[field]) == {"en", "fr"}
            assert len(set(pilot[field].values())) == 2


def test_units_are_given_where_capacity_is_counted_and_only_there() -> None:
    for offer in capabilities():
        counted = capability.CODES[offer["code"]].kind in ("C", "X")
        assert ("units" in offer) == counted, offer["title"]
        assert ("goals" in offer) == capability.CODES[offer["code"]].goal_required, offer["title"]


def test_what_is_not_from_a_source_is_marked_field_by_field() -> None:
    drawn_up_here = {
        "needs", "starts_on", "ends_on", "people_reached", "learning", "sdg_targets", "target_groups", "uncertainty",
        "roadmap_measures", "layers", "units", "available_from", "available_to", "confirmed_on", "external_ids",
    }  # fmt: skip
    for record in (*pilots().values(), *capabilities()):
        owner = record.get("lead_agency") or record["agency"]
        marked = {path.partition(".")[0].partition("[")[0] for path in record["illustrative"]}
        assert marked <= set(record), record["title"]
        assert (drawn_up_here & set(record)) - set(record["illustrative"]) == set(), record["title"]
        if is_invented(owner):
            assert set(record) - {"illustrative"} <= set(record["illustrative"]), record["title"]


def test_facts_have_sources_that_can_be_looked_up() -> None:
    for record in (*pilots().values(), *capabilities()):
        owner = record.get("lead_agency") or record["agency"]
        if is_invented(owner):
            assert "sources" not in record
            continue
        assert record["sources"], record["title"]
        for source in record["sources"]:
            assert source["title"].strip()
            assert source["publisher"].strip()
            if "url" in source:
                assert urlsplit(source["url"]).netloc, source
            if "year" in source:
                assert 2000 <= source["year"] <= AS_OF.year
    for pilot in pilots().values():
        if not is_invented(pilot["lead_agency"]):
            assert any("url" in source for source in pilot["sources"])


def test_agency_a_to_agency_d_all_play_and_are_invented_throughout() -> None:
    assert set(_yaml(SAMPLE / "portfolio.yaml")["invented_agencies"]) == set(INVENTED)
    for slug in INVENTED:
        assert set(agencies()[slug]) - {"illustrative"} <= set(agencies()[slug]["illustrative"])
        assert any(pilot["lead_agency"] == slug for pilot in pilots().values())
        assert any(offer["agency"] == slug for offer in capabilities())


def test_wfp_zambia_is_needed_by_a_pilot_of_somebody_else() -> None:
    for name in ("fao-fall-armyworm", "agency-a-boreholes"):
        assert pilots()[name]["lead_agency"] != "wfp"
        assert any(providers(name, need) == {"wfp"} and need["country"] == "ZMB" for need in essential(name))
    assert "ZMB" in {code for office in agencies()["wfp"]["offices"] for code in office["countries"]}


def test_fao_is_needed_by_the_pilot_of_wfp_in_zambia() -> None:
    assert {"fao"} in [providers("wfp-zambia-index", need) for need in essential("wfp-zambia-index")]


def test_there_are_choices() -> None:
    open_to_several = [
        need for name, need in needs() if len(providers(name, need) - {pilots()[name]["lead_agency"]}) > 1
    ]
    assert len(open_to_several) >= 20


def test_the_invented_pilots_want_more_drones_in_madagascar_than_there_are() -> None:
    wanted = [(name, need) for name, need in needs() if (need["code"], need["country"]) == ("infra.drones", "MDG")]
    assert {pilots()[name]["lead_agency"] for name, _ in wanted} == {"agency-a", "agency-b"}
    assert wanted[0][1]["months"] == wanted[1][1]["months"]
    there = sum(offer["units"] for offer in capabilities() if suits(offer, wanted[0][1], pilots()[wanted[0][0]]))
    assert max(need["quantity"] for _, need in wanted) <= there < sum(need["quantity"] for _, need in wanted)


def test_nobody_covers_some_needs_in_at_least_three_places() -> None:
    assert len({need["country"] for _, need in uncovered()}) >= 3
    assert len({need["code"] for _, need in uncovered()}) >= 3


def test_one_pilot_finds_no_meaningful_partner_and_it_is_an_invented_one() -> None:
    alone = [
        name
        for name, pilot in pilots().items()
        if not any(providers(name, need) - {pilot["lead_agency"]} for need in pilot["needs"])
    ]
    assert alone == ["agency-d-reef-sensors"]


def test_essential_needs_of_real_pilots_can_all_be_covered() -> None:
    short = {name for name, need in uncovered() if need["essential"]}
    assert all(is_invented(pilots()[name]["lead_agency"]) for name in short)


def test_one_pilot_is_complete_only_with_a_capability_on_the_spot() -> None:
    name = "agency-c-island-radio"
    only = [need for need in essential(name) if need.get("delivery") == "on_site"]
    assert [providers(name, need) for need in only] == [{"agency-b"}]
    assert all(providers(name, need) for need in essential(name))
    remote = [offer for offer in capabilities() if offer["code"] == only[0]["code"] and offer["mode"] != "on_site"]
    assert not any(suits({**offer, "mode": "remote"}, only[0], pilots()[name]) for offer in remote)


def test_open_pilots_begin_after_the_day_the_sample_is_of() -> None:
    as_of = _yaml(SAMPLE / "portfolio.yaml")["as_of"]
    assert as_of == AS_OF.date().isoformat()
    for pilot in pilots().values():
        running = pilot.get("entry") == "retrospective"
        assert (pilot["starts_on"] < as_of) == running
        assert pilot["ends_on"] > as_of
    assert all(offer["confirmed_on"] <= as_of for offer in capabilities())


def _plans(name: str) -> dict[str, IndicatorPlan]:
    posted = results()[name]["plans"]
    return {plan["code"]: read_plan({**plan, "id": plan["code"]}) for plan in posted}


@pytest.mark.parametrize("name", results())
def test_results_are_taken_by_metrics_and_marked_as_invented(name: str) -> None:
    file = results()[name]
    assert set(file) - {"illustrative"} <= set(file["illustrative"]) | {"corrections"}
    assert pilots()[name]["life"] == "running"
    assert {row["pilot"] for row in (*file["plans"], *file["observations"])} == {name}
    known = Known(plans=_plans(name), today=date(2026, 7, 1), earlier=())
    first = read_observations(file["observations"], known)
    assert first.notices == ()
    earlier = {row.id: row for row in first.observations}
    again = Known(plans=known.plans, today=known.today, earlier=set(earlier))
    for row in read_observations(file.get("corrections", []), again).observations:
        assert row.supersedes in earlier
        assert row.key == earlier[row.supersedes].key


def test_women_and_men_add_up_in_every_period() -> None:
    for name, file in results().items():
        corrected = {row["supersedes"] for row in file.get("corrections", ())}
        rows = [row for row in (*file["observations"], *file.get("corrections", ())) if row["id"] not in corrected]
        by_sex: dict[tuple[str, str, str], dict[str, int]] = {}
        for row in rows:
            if "value" in row and set(row.get("disaggregation", ())) <= {"SEX"}:
                key = (row["indicator"], row["country"], row["period"]["start"])
                by_sex.setdefault(key, {})[row.get("disaggregation", {}).get("SEX", "_T")] = row["value"]
        broken = [
            values for values in by_sex.values() if len(values) == 3 and values["F"] + values["M"] != values["_T"]
        ]
        assert broken == [], name
        assert any(len(values) == 3 for values in by_sex.values()), name


def test_results_show_a_small_cell_a_correction_and_reach_that_may_overlap() -> None:
    rows = [row for file in results().values() for row in file["observations"]]
    assert any(row.get("disaggregation") and 0 < row.get("value", SUPPRESSED_BELOW) < SUPPRESSED_BELOW for row in rows)
    assert any(file.get("corrections") for file in results().values())
    reach = {
        (row["country"], name)
        for name, file in results().items()
        for row in file["observations"]
        if _plans(name)[row["indicator"]].measure == "people_reached"
    }
    assert any(here == there for (here, _), (there, _) in pairwise(sorted(reach)))


def _reached(plan: IndicatorPlan, file: Json) -> float:
    """The most cautious figure so far: people once (the largest period of each place), things summed, ratios newest."""
    rows = [row for row in file["observations"] if row["indicator"] == plan.code and not row.get("disaggregation")]
    if plan.measure == "ratio":
        return float(100 * rows[-1]["numerator"] / rows[-1]["denominator"])
    if plan.measure == "count":
        return float(sum(row["value"] for row in rows))
    return float(
        sum(max(row["value"] for row in rows if row["country"] == c) for c in {row["country"] for row in rows})
    )


def test_real_agencies_are_on_track_and_only_an_invented_one_is_behind() -> None:
    for name, file in results().items():
        for plan in _plans(name).values():
            assert plan.baseline is not None
            assert plan.target is not None
            until = max(date.fromisoformat(row["period"]["end"]) for row in file["observations"])
            gone = (until - plan.baseline.on) / (plan.target.on - plan.baseline.on)
            expected_today = plan.baseline.value + gone * (plan.target.value - plan.baseline.value)
            behind = _reached(plan, file) < expected_today
            assert behind == is_invented(pilots()[name]["lead_agency"]), plan.code
