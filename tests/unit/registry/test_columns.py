"""What lists and cards show of a pilot follows from its state."""

from __future__ import annotations

from services.registry.folds import capability_columns, fold_for_search, pilot_card, pilot_columns

from .examples import register


def test_goals_follow_from_targets_clusters_from_measures_and_groups_from_intersections():
    columns = pilot_columns(
        register(sdg_targets=["13.1", "2.3", "2.4"], target_groups=["rural", ["women", "youth"]]).state
    )
    assert columns["goals"] == ["2", "13"]
    assert columns["clusters"] == ["high_certainty"]
    assert columns["groups"] == ["rural", "women", "youth"]
    assert columns["needs"] == ["data.earth_observation", "human.field_staff"]
    assert columns["essential"] == ["data.earth_observation"]


def test_a_pilot_is_found_by_words_countries_and_foreign_ids_without_accents():
    search = pilot_columns(register(title={"fr": "Éducation à Mongu"}).state)["search"]
    for query in ("EDUCATION", "zambie", "xm-dac-41140-zm-0001", "wfp"):
        assert fold_for_search(query) in search


def test_the_card_shows_the_kind_of_help_and_the_region_and_not_the_record():
    card = pilot_card(register(illustrative=["people_reached"]).state)
    assert (card["help"], card["regions"]) == (["data.geospatial", "human.delivery"], ["Africa"])
    assert (card["screened"], card["illustrative"]) == (False, ["people_reached"])
    assert {"problem", "needs", "countries"}.isdisjoint(card)


def test_a_capability_for_anywhere_has_no_list_of_places():
    columns = capability_columns({"code": "data.earth_observation", "agency": "fao"})
    assert (columns["covers"], columns["delivers_to"], columns["group"]) == (None, None, "data.geospatial")
