"""tokens.json: kept by many, readable by one, never half written."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from deploy.cli import tokens
from deploy.cli.connection import token_of
from deploy.cli.speaking import Misused


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    tokens.keep(tmp_path / "home", "wfp", {"officer": "secret"})
    file = tokens.path_in(tmp_path / "home")
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text()) == {"wfp": {"officer": "secret"}}


def test_what_was_there_stays(tmp_path: Path) -> None:
    tokens.keep(tmp_path, "node", {"admin": "operator"})
    tokens.keep(tmp_path, "wfp", {"officer": "first"})
    tokens.keep(tmp_path, "wfp", {"viewer": "second"})
    assert tokens.read(tmp_path) == {"node": {"admin": "operator"}, "wfp": {"officer": "first", "viewer": "second"}}


def test_many_agencies_at_once_are_all_in_the_file(tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=tokens.keep, args=(tmp_path, f"agency-{letter}", {"admin": letter}))
        for letter in "abcdefghijkl"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(tokens.read(tmp_path)) == [f"agency-{letter}" for letter in "abcdefghijkl"]


@pytest.mark.parametrize("text", ["", "[]", '{"wfp": "token"}', '{"wfp": {"officer": 3}}'])
def test_a_damaged_file_is_refused_and_not_overwritten(tmp_path: Path, text: str) -> None:
    tokens.path_in(tmp_path).write_text(text)
    with pytest.raises(Misused, match=r"tokens\.json"):
        tokens.keep(tmp_path, "wfp", {"officer": "secret"})
    assert tokens.path_in(tmp_path).read_text() == text


def test_a_token_from_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens.keep(tmp_path, "wfp", {"officer": "of the file"})
    assert token_of("wfp:officer", tmp_path) == "of the file"
    monkeypatch.setenv("PILOTMESH_TOKEN", "of the environment")
    assert token_of("wfp:officer", tmp_path) == "of the environment"


@pytest.mark.parametrize(
    ("who", "remedy"),
    [
        ("wfp:approver", "It has these of wfp: admin, officer."),
        ("fao:officer", "It has tokens of: wfp. Write AGENCY:ROLE, such as wfp:officer."),
        ("wfp", "It has these of wfp: admin, officer."),
    ],
)
def test_an_unknown_actor_is_answered_with_who_there_is(tmp_path: Path, who: str, remedy: str) -> None:
    tokens.keep(tmp_path, "wfp", {"officer": "x", "admin": "y"})
    with pytest.raises(Misused) as told:
        token_of(who, tmp_path)
    assert told.value.remedy == remedy
