"""The lists together: whole, in two languages, versioned, cheap to import, and amendable by an operator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date

import pytest

from shared.vocabulary import catalogue, places, sdg, tables
from shared.vocabulary.tables import VocabularyError


@pytest.fixture
def operator(tmp_path):
    """A directory of the operator's own rows; the shipped lists are back afterwards."""
    yield tmp_path
    catalogue.load_overrides(None)


def write(directory, name, *lines):
    (directory / f"{name}.csv").write_text("\n".join(lines) + "\n", "utf-8")


def test_every_code_that_a_list_names_is_in_the_list_it_means():
    assert catalogue.faults() == []


def test_every_label_is_there_in_english_and_french():
    without = [
        (name, record)
        for name, listed in catalogue.catalogue().items()
        for record in listed["records"]
        for field in ("label", "name", "text", "definition", "names")
        if isinstance(record.get(field), dict) and not {"en", "fr"} <= set(record[field])
    ]
    assert without == []


def test_the_catalogue_is_plain_json_with_a_version_and_source_for_each_list():
    whole = json.loads(json.dumps(catalogue.catalogue()))
    assert set(whole) == set(tables.shipped_about())
    for listed in whole.values():
        assert listed["version"]
        assert listed["source"]
        assert date.fromisoformat(listed["checked_on"]) <= date(2026, 11, 22)
        assert listed["records"]
    assert {name: listed["version"] for name, listed in whole.items()} == catalogue.versions()


def test_no_date_in_a_list_is_lost_on_the_way_to_json():
    rows = catalogue.catalogue()["country_groups"]["records"]
    lao = next(row for row in rows if (row["group"], row["iso3"]) == ("ldc", "LAO"))
    assert lao["status"]["valid_to"] == "2026-11-24"


def test_importing_the_vocabulary_reads_no_list_and_starts_nothing():
    script = (
        "import shared.vocabulary.catalogue as c, sys; from shared.vocabulary import tables\n"
        "assert all(table._records is None for table in tables.all_tables())\n"
        "heavy = {'pydantic', 'yaml', 'hdx', 'fastapi', 'mongoengine'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_operator_records_a_decision_without_a_release(operator):
    write(
        operator,
        "country_groups",
        "group,iso3,status,valid_to,source,checked_on",
        "ldc,BGD,scheduled,2029-11-24,General Assembly decision of December 2026,2026-12-20",
    )
    catalogue.load_overrides(operator)
    bangladesh = places.status("BGD", "ldc", date(2027, 1, 1))
    assert (bangladesh.member, bangladesh.status) == (True, "scheduled")
    assert bangladesh.valid_to == date(2029, 11, 24)
    assert bangladesh.valid_from == date(1975, 1, 1), "columns that the file does not give keep the shipped value"
    assert places.status("NPL", "ldc", date(2027, 1, 1)).status == "under_review"


def test_a_figure_can_say_that_the_table_was_amended(operator):
    shipped = tables.version("country_groups")
    write(operator, "country_groups", "group,iso3,valid_to", "ldc,BGD,2029-11-24")
    catalogue.load_overrides(operator)
    by_digest = tables.version("country_groups")
    assert by_digest.startswith(f"{shipped}+")
    (operator / "tables.json").write_text(json.dumps({"country_groups": {"version": "hq-2026-12"}}))
    catalogue.load_overrides(operator)
    assert tables.version("country_groups") == f"{shipped}+hq-2026-12"
    assert tables.version("places") == "hdx-python-country-4.2.5"


def test_a_later_framework_adds_and_retires_indicators(operator):
    write(
        operator,
        "sdg_indicators",
        "code,same_as,en,fr,retired",
        "3.8.3,,A new indicator,Un nouvel indicateur,",
        "8.1.1,,Growth of GDP per person,Croissance du PIB par habitant,2025",
    )
    catalogue.load_overrides(operator)
    assert sdg.canonical("3.8.3") == "3.8.3"
    assert sdg.INDICATORS["8.1.1"].retired == "2025", "a retired code stays known to the records that carry it"
    assert sdg.framework_version() != sdg.FRAMEWORK_VERSION


def test_the_official_wording_can_be_laid_over_our_labels(operator):
    write(operator, "sdg_goals", "code,official_en", "2,Wording that the operator loaded")
    catalogue.load_overrides(operator)
    assert sdg.GOALS["2"].official == {"en": "Wording that the operator loaded"}
    assert sdg.GOALS["2"].label["en"] == "End hunger"


def test_a_faulty_file_is_refused_with_every_fault_and_changes_nothing(operator):
    write(
        operator,
        "country_groups",
        "group,iso3,status,valid_to,source,checked_on",
        "ldc,BGD,maybe,,x,2026-12-20",
        "ldc,NPL,decided,soon,x,2026-12-20",
    )
    write(operator, "contry_groups", "group,iso3", "ldc,BGD")
    with pytest.raises(VocabularyError) as refusal:
        catalogue.load_overrides(operator)
    said = str(refusal.value)
    assert "row ldc/BGD" in said
    assert "row ldc/NPL" in said
    assert "contry_groups.csv is no list" in said
    assert places.status("BGD", "ldc", date(2027, 1, 1)).status == "under_review"


def test_a_row_about_a_place_that_does_not_exist_is_refused(operator):
    write(operator, "extreme_poverty", "iso3,share,year,line,price_base,source", "ZMX,0.5,2024,3.00,2021 PPP,x")
    with pytest.raises(VocabularyError, match=r"'ZMX' is not in places\.csv"):
        catalogue.load_overrides(operator)


def test_a_percentage_is_not_taken_for_a_share(operator):
    write(operator, "extreme_poverty", "iso3,share,year", "ZMB,71.7,2022")
    with pytest.raises(VocabularyError, match=r"share 71\.7 is not between 0 and 1"):
        catalogue.load_overrides(operator)


def test_a_line_without_its_code_is_refused_by_number(operator):
    write(operator, "units", "code,en,fr", ",hours,heures")
    with pytest.raises(VocabularyError, match=r"units\.csv, line 2: code is missing"):
        catalogue.load_overrides(operator)


def test_a_directory_that_is_not_there_is_refused(operator):
    with pytest.raises(VocabularyError, match="not a directory"):
        catalogue.load_overrides(operator / "nowhere")


def test_the_environment_names_the_directory_for_every_process(operator):
    write(operator, "country_groups", "group,iso3,valid_to", "ldc,BGD,2029-11-24")
    script = (
        "from datetime import date; from shared.vocabulary import places\n"
        "print(places.status('BGD', 'ldc', date(2030, 1, 1)).member)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, tables.VARIABLE: str(operator)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "False", done.stderr
