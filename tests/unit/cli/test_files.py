"""Files that people write by hand: what is in them, and where a fault stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.cli.files import entries, entries_of
from deploy.cli.results import rows_of, where_in
from deploy.cli.speaking import Misused


def written(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_a_fault_is_shown_with_file_line_and_field(tmp_path: Path) -> None:
    file = written(
        tmp_path, "pilot.yaml", "title: {en: Maps}\nneeds:\n  - code: data.earth_observation\n    country: ZMX\n"
    )
    (entry,) = entries_of(file)
    assert entry.where("needs[0].country") == f"{file}:4: needs[0].country"
    assert entry.where("needs[0].code") == f"{file}:3: needs[0].code"


def test_a_field_that_is_missing_is_shown_where_it_should_stand(tmp_path: Path) -> None:
    file = written(tmp_path, "pilot.yaml", "title: {en: Maps}\nneeds:\n  - code: data.earth_observation\n")
    (entry,) = entries_of(file)
    assert entry.where("needs[0].country") == f"{file}:3: needs[0].country"
    assert entry.where("problem") == f"{file}:1: problem"
    assert entry.where("") == f"{file}:1"


def test_each_entry_of_a_list_is_a_record_of_its_own(tmp_path: Path) -> None:
    file = written(tmp_path, "fao.yaml", "- code: data.health\n- code: data.education\n  units: 3\n")
    first, second = entries_of(file)
    assert (first.value, second.value) == ({"code": "data.health"}, {"code": "data.education", "units": 3})
    assert second.where("units") == f"{file}:3: [1].units"


def test_several_yaml_documents_are_several_records(tmp_path: Path) -> None:
    file = written(tmp_path, "two.yaml", "title: {en: One}\n---\ntitle: {en: Two}\n")
    assert [entry.value["title"]["en"] for entry in entries_of(file)] == ["One", "Two"]


def test_what_is_written_stays_what_it_is(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "pilot.yaml",
        "starts_on: 2027-01-31\ncountry: NO\nlanguage: no\nmonth: 2027-01\ntime: 12:30\ncode: 010\n"
        "units: 3\nshare: 2.5\nessential: true\nnothing:\nquoted: '2.3'\n",
    )
    assert entries_of(file)[0].value == {
        "starts_on": "2027-01-31",
        "country": "NO",
        "language": "no",
        "month": "2027-01",
        "time": "12:30",
        "code": "010",
        "units": 3,
        "share": 2.5,
        "essential": True,
        "nothing": None,
        "quoted": "2.3",
    }


def test_a_field_that_stands_twice_is_refused_and_not_silently_the_last(tmp_path: Path) -> None:
    file = written(tmp_path, "pilot.yaml", "title: {en: One}\nneeds: []\ntitle: {en: Two}\n")
    with pytest.raises(Misused, match=r"pilot\.yaml:3: title stands here a second time"):
        entries_of(file)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("broken.yaml", "title: {en: One\nneeds: []\n", r"broken\.yaml:2: not YAML"),
        ("tab.yaml", "title:\n\ten: One\n", r"tab\.yaml:2: not YAML"),
        ("broken.json", '{"title": ', r"broken\.json is not JSON: .*line 1 column"),
        ("rows.ndjson", '{"id": "a"}\n{"id": \n', r"rows\.ndjson:2: not JSON"),
    ],
)
def test_a_file_that_cannot_be_read_names_the_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(Misused, match=said):
        entries_of(written(tmp_path, name, text))


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misused, match=r"gone\.yaml cannot be read: No such file"):
        entries_of(tmp_path / "gone.yaml")
    (tmp_path / "picture.yaml").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(Misused, match=r"picture\.yaml is not UTF-8"):
        entries_of(tmp_path / "picture.yaml")


def test_a_folder_stands_for_its_files_in_order_and_for_nothing_else(tmp_path: Path) -> None:
    written(tmp_path, "b.yaml", "title: {en: B}\n")
    written(tmp_path, "a.json", '{"title": {"en": "A"}}')
    written(tmp_path, "deep/c.yml", "title: {en: C}\n")
    written(tmp_path, "README.md", "# not a record")
    assert [entry.value["title"]["en"] for entry in entries([tmp_path])] == ["A", "B", "C"]


def test_a_folder_without_a_record_says_so(tmp_path: Path) -> None:
    with pytest.raises(Misused, match="holds no file that ends in"):
        list(entries([tmp_path]))


def test_a_row_of_ndjson_is_its_line(tmp_path: Path) -> None:
    file = written(tmp_path, "rows.ndjson", '{"id": "a"}\n\n{"id": "b"}\n')
    rows = rows_of(file)
    assert [row.value["id"] for row in rows] == ["a", "b"]
    assert where_in(rows, file, "[1].period.end") == f"{file}:3: [1].period.end"


def test_observations_may_stand_under_their_name(tmp_path: Path) -> None:
    file = written(tmp_path, "results.yaml", "observations:\n  - id: a\n  - id: b\n    value: 3\n")
    rows = rows_of(file)
    assert where_in(rows, file, "[1].value") == f"{file}:4: observations[1].value"


def test_faults_of_the_whole_upload_name_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "rows.json", '[{"id": "a"}]')
    assert where_in(rows_of(file), file, "") == f"{file}: the whole"
