"""Refusals reach a person as sentences, with every fault and the right exit status."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from deploy.cli.files import Entry
from deploy.cli.records import Outcome, key_of
from deploy.cli.speaking import (
    MISUSED,
    REFUSED,
    UNREACHABLE,
    Misused,
    Refused,
    Trouble,
    Unreachable,
    plainly,
    problem_of,
    words,
)

DOCUMENT = {
    "type": "https://pilotmesh.org/problems/invalid",
    "title": "The request has faults",
    "status": 422,
    "detail": "needs[0].code: unknown; ends_on: before it starts",
    "errors": [
        {"field": "needs[0].code", "code": "unknown-code", "detail": "did you mean [data].earth_observation?"},
        {"field": "", "code": "whole", "detail": "something about the whole"},
    ],
}


def status_of(trouble: Trouble) -> int:
    with pytest.raises(typer.Exit) as left, plainly():
        raise trouble
    return left.value.exit_code


def test_every_fault_of_a_refusal_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    assert status_of(Refused(problem_of(422, DOCUMENT))) == REFUSED
    said = capfd.readouterr().err
    assert "The request has faults (422)" in said
    assert "needs[0].code: did you mean [data].earth_observation?" in said
    assert "the whole: something about the whole" in said


def test_a_refusal_without_faults_says_its_detail(capfd: pytest.CaptureFixture[str]) -> None:
    status_of(
        Refused(problem_of(403, {"title": "This actor may not do that", "detail": "This needs the role approver"}))
    )
    assert "This needs the role approver" in capfd.readouterr().err


def test_an_answer_that_is_no_problem_document_is_quoted(capfd: pytest.CaptureFixture[str]) -> None:
    status_of(Refused(problem_of(502, "<h1>Bad gateway</h1>")))
    assert "<h1>Bad gateway</h1>" in capfd.readouterr().err


def test_a_programs_status_tells_misuse_from_absence() -> None:
    assert status_of(Misused("wrong")) == MISUSED
    assert status_of(Unreachable("away")) == UNREACHABLE


def test_a_remedy_is_said_with_the_trouble(capfd: pytest.CaptureFixture[str]) -> None:
    status_of(Unreachable("No node answers.", remedy="Start one with `pilotmesh up`."))
    assert "Start one with `pilotmesh up`." in capfd.readouterr().err


def test_for_programs_a_refused_record_names_its_file_and_line() -> None:
    entry = Entry(Path("fao.yaml"), "[1]", {}, {"[1]": 9, "[1].needs[0].code": 12})
    told = Outcome(entry, problem=problem_of(422, DOCUMENT)).as_json()
    assert told["status"] == 422
    assert told["errors"][0]["where"] == "fao.yaml:12: [1].needs[0].code"
    assert told["errors"][1]["where"] == "fao.yaml:9: [1]"


def test_the_same_record_has_the_same_key_however_it_is_written() -> None:
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})
    assert len(key_of({})) <= 255


@pytest.mark.parametrize(
    ("text", "said"),
    [({"fr": "Cartes"}, "Cartes"), ({"en": "Maps", "fr": "Cartes"}, "Maps"), (None, ""), ("plain", "plain")],
)
def test_a_text_is_shown_in_english_or_whatever_there_is(text: object, said: str) -> None:
    assert words(text) == said
