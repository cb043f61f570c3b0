"""What a pilot can need and an agency can bring."""

from __future__ import annotations

import pytest

from shared.vocabulary import capability, strategy

# Written out once more, by layer and group, with the kind of capacity: the list must not change by accident.
EXPECTED = {
    "infra.compute": "cloud_compute:X gpu_compute:X edge_devices:C",
    "infra.connectivity": "site_connectivity:C messaging_channel:C",
    "infra.field": "drones:C sensors:C power:C",
    "infra.platform": "data_platform:S model_hosting:C digital_public_goods:S cybersecurity:C",
    "data.geospatial": "earth_observation:S aerial_imagery:S base_maps:S weather_climate:S",
    "data.people_economy": "census_survey:S admin_records:S displacement_mobility:S prices_markets:S "
    "programme_records:S",
    "data.sector": "health:S education:S agriculture_food:S conflict_hazard:S",
    "data.language": "text_speech:S",
    "data.stewardship": "collection:C annotation:C anonymisation:C quality_labelling:C",
    "data.models_tools": "models:S open_tools:S",
    "human.ai": "data_science:C ml_engineering:C software_engineering:C geospatial_analysis:C language_technology:C",
    "human.domain": "sector_expertise:C evaluation_statistics:C",
    "human.delivery": "field_staff:C community_engagement:C user_research:C project_management:C translation:C",
    "human.inclusion": "gender_expertise:C disability_inclusion:C",
    "human.learning": "training:C staff_exchange:C research_partner:C",
    "human.convening": "government_liaison:C",
    "policy.rights": "human_rights_due_diligence:C ethics_review:C algorithm_audit:C safeguarding:C",
    "policy.data_law": "data_protection:C data_sharing_agreements:C intellectual_property:C",
    "policy.regulation": "regulatory_sandbox:C sector_licensing:C strategy_advice:C procurement_standards:C",
    "policy.impact": "labour_impact:C environmental_impact:C foresight:C",
}
UNITS = {
    **{"infra.cloud_compute": "core_hours", "infra.gpu_compute": "gpu_hours", "infra.edge_devices": "devices"},
    **{"infra.site_connectivity": "sites", "infra.messaging_channel": "channels", "infra.drones": "aircraft"},
    **{"infra.sensors": "devices", "infra.power": "sites", "infra.model_hosting": "services"},
    **{"human.training": "seats", "human.staff_exchange": "months", "human.research_partner": "projects"},
}


def test_every_code_is_there_with_its_group_and_kind():
    found: dict[str, list[str]] = {}
    for code in capability.CODES.values():
        if code.group is not None:
            found.setdefault(code.group, []).append(f"{code.code.partition('.')[2]}:{code.kind}")
    assert {group: " ".join(codes) for group, codes in found.items()} == EXPECTED
    assert list(capability.GROUPS) == list(EXPECTED)


def test_what_is_shared_has_no_unit_and_everything_else_has_one():
    for code in capability.CODES.values():
        if code.kind in ("S", "none"):
            assert code.unit is None, code.code
        else:
            assert code.unit == UNITS.get(code.code, "person_days"), code.code


def test_siblings_are_mutual_and_never_oneself():
    for code in capability.CODES:
        for sibling in capability.siblings(code):
            assert sibling != code
            assert code in capability.siblings(sibling)
    assert capability.siblings("data.models") == ("data.open_tools",)
    assert capability.siblings("data.text_speech") == ()


@pytest.mark.parametrize("code", ["funding", "other"])
def test_money_and_what_has_no_code_are_accepted_but_never_matched(code):
    known = capability.CODES[code]
    assert (known.matchable, known.layer, known.group, known.kind) == (False, None, None, "none")
    assert capability.siblings(code) == ()


def test_all_other_codes_are_matched_and_belong_to_a_layer():
    for code in capability.CODES.values():
        if code.code not in ("funding", "other"):
            assert code.matchable
            assert code.code.startswith(f"{code.layer}.")
            assert code.layer in strategy.LAYERS


def test_a_plain_number_means_posts_for_people_only():
    posts = {code.layer for code in capability.CODES.values() if code.posts}
    assert posts == {"human", "policy"}
    assert not capability.CODES["data.annotation"].posts
    assert not capability.CODES["human.training"].posts


def test_sector_expertise_asks_for_a_goal():
    assert [code.code for code in capability.CODES.values() if code.goal_required] == ["human.sector_expertise"]


def test_each_code_says_what_it_is_and_what_it_is_not():
    for code in capability.CODES.values():
        for words in (code.definition, code.example, code.not_this):
            assert {"en", "fr"} <= set(words), code.code
            assert all(len(line) <= 120 for line in words.values()), code.code
