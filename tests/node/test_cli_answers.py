"""From the command line: a proposal is read, answered in an agency's name, and observations are uploaded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from deploy.cli import tokens
from deploy.cli.files import entries_of
from tests.node.test_cli import run
from tests.service.running import RunningNode, until

Command = Callable[..., Result]

ROLES = {
    "officer": ["officer"],
    "monitor": ["monitor"],
    "coordinator": ["coordinator", "approver"],
    "approver": ["approver"],
}

PILOT = """\
title: {en: Armyworm warning}
problem: {en: Farmers cannot tell the pest from others. They spray too late.}
lead_agency: fao
countries: [ZMB]
needs:
  - {code: human.field_staff, country: ZMB, quantity: 1, essential: true}
starts_on: 2026-01-01
ends_on: 2029-12-31
"""
PLAN = {
    "code": "told",
    "title": {"en": "Farmers told"},
    "unit": "people",
    "measure": "people_reached",
    "direction": "up",
    "baseline": {"value": 0, "on": "2026-01-01"},
    "target": {"value": 9000, "on": "2029-12-31"},
    "calendar": "quarterly",
    "dimensions": ["SEX"],
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node where FAO's pilot needs somebody whom only WFP has."""
    running = RunningNode(tmp_path_factory.mktemp("answers"), PILOTMESH_RELEASE="auto")
    try:
        running.start()
        for agency in ("fao", "wfp"):
            held = {name: running.actor(agency, roles) for name, roles in ROLES.items()}
            tokens.keep(running.home, agency, {**held, "admin": running.host(agency)})
            with running.client(running.host(agency)) as admin:
                post = {"slug": agency, "name": {"en": agency.upper()}, "acronym": agency.upper(), "kind": "un_entity"}
                assert admin.post("/registry/v1/agencies", json=post).status_code == 201
        yield running
    finally:
        running.stop()


@pytest.fixture
def pilotmesh(node: RunningNode, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("PILOTMESH_HOME", str(node.home))
    monkeypatch.setenv("PILOTMESH_URL", node.url)
    return run


@pytest.fixture(scope="module")
def pilot(node: RunningNode) -> str:
    with node.client(tokens.read(node.home)["wfp"]["officer"]) as officer:
        offer = {
            "agency": "wfp",
            "code": "human.field_staff",
            "title": {"en": "Teams"},
            "countries": ["ZMB"],
            "units": 2,
        }
        assert officer.post("/registry/v1/capabilities", json=offer).status_code == 201
    with node.client(node.operator) as operator:
        until(lambda: not operator.get("/matching/v1/lag").json()["behind"], "matching knows of it")
    with node.client(tokens.read(node.home)["fao"]["officer"]) as officer:
        file = node.home / "pilot.yaml"
        file.write_text(PILOT)
        answer = officer.post("/registry/v1/pilots", json=entries_of(file)[0].value)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


def invitation(pilotmesh: Command, pilot: str) -> dict[str, Any]:
    def waiting() -> Any:
        told = pilotmesh("proposals", "--pilot", pilot, "--invited", "wfp", "--json")
        return json.loads(told.stdout) if told.exit_code == 0 else None

    found: dict[str, Any] = until(waiting, "WFP is invited")[0]
    return found


def decisions(node: RunningNode, proposal: str) -> list[str]:
    with node.client(tokens.read(node.home)["wfp"]["approver"]) as approver:
        told = approver.get(f"/matching/v1/proposals/{proposal}").json()
    return [one["response"]["decision"] for one in told["team"] if one["response"]]


def test_proposals_say_who_and_why(pilotmesh: Command, pilot: str) -> None:
    invitation(pilotmesh, pilot)
    told = pilotmesh("proposals", "--pilot", pilot, "--full")
    assert told.exit_code == 0, told.output
    assert "Armyworm warning" in told.stdout
    assert "wfp invited" in told.stdout
    assert "The weakest point is" in told.stdout


def test_nothing_is_said_without_a_yes(node: RunningNode, pilotmesh: Command, pilot: str) -> None:
    proposal = invitation(pilotmesh, pilot)["id"]
    told = pilotmesh("respond", proposal, "--as", "wfp:approver", "--accept", answer="n\n")
    assert told.exit_code == 0
    assert "In the name of wfp, as approver: we take part as proposed." in told.stdout
    assert "Nothing was said." in told.stdout
    assert decisions(node, proposal) == []


def test_what_will_be_said_is_shown_with_the_proposal_it_is_bound_to(pilotmesh: Command, pilot: str) -> None:
    proposal = invitation(pilotmesh, pilot)
    told = pilotmesh(
        "respond",
        proposal["id"],
        "--as",
        "wfp:approver",
        "--decline",
        "timing",
        "--words",
        "Next season.",
        answer="n\n",
    )
    assert "Armyworm warning, led by fao" in told.stdout
    assert "we do not take part (timing). Next season." in told.stdout
    assert proposal["hash"] in told.stdout


@pytest.mark.parametrize("said", [[], ["--accept", "--decline", "risk"], ["--accept", "--conditions", "x"]])
def test_one_thing_is_said_or_none(pilotmesh: Command, pilot: str, said: list[str]) -> None:
    told = pilotmesh("respond", invitation(pilotmesh, pilot)["id"], "--as", "wfp:approver", *said)
    assert told.exit_code == 2
    assert "Say one of --accept" in told.stderr


def test_an_unknown_reason_is_refused_before_anything_is_asked(pilotmesh: Command, pilot: str) -> None:
    told = pilotmesh("respond", "x", "--as", "wfp:approver", "--decline", "no idea")
    assert told.exit_code == 2


def test_a_program_must_say_yes_itself(node: RunningNode, pilotmesh: Command, pilot: str) -> None:
    proposal = invitation(pilotmesh, pilot)["id"]
    told = pilotmesh("respond", proposal, "--as", "wfp:approver", "--accept", "--json")
    assert told.exit_code == 2
    assert "add --yes" in told.stderr
    assert decisions(node, proposal) == []


def test_an_officer_is_told_that_an_approver_accepts(node: RunningNode, pilotmesh: Command, pilot: str) -> None:
    proposal = invitation(pilotmesh, pilot)["id"]
    told = pilotmesh("respond", proposal, "--as", "wfp:officer", "--accept", "--yes")
    assert told.exit_code == 1
    assert "approver" in told.stderr
    assert decisions(node, proposal) == []


def test_an_answer_is_recorded_once_it_is_confirmed(node: RunningNode, pilotmesh: Command, pilot: str) -> None:
    proposal = invitation(pilotmesh, pilot)["id"]
    told = pilotmesh(
        "respond", proposal, "--as", "wfp:approver", "--conditions", "Two people, from March on.", answer="y\n"
    )
    assert told.exit_code == 0, told.output
    assert "Said." in told.stdout
    assert decisions(node, proposal) == ["accept_with_conditions"]


def test_observations_name_the_row_that_is_wrong_and_are_taken_whole(
    node: RunningNode, pilotmesh: Command, pilot: str, tmp_path: Path
) -> None:
    with node.client(node.operator) as operator:
        until(lambda: not operator.get("/metrics/v1/lag").json()["behind"], "metrics knows of the pilot")
    with node.client(tokens.read(node.home)["fao"]["monitor"]) as monitor:
        plan = monitor.post("/metrics/v1/plans", json={**PLAN, "pilot": pilot})
        assert plan.status_code == 201, plan.text
    row = {
        "indicator": plan.json()["id"],
        "pilot": pilot,
        "country": "ZMB",
        "period": {"start": "2026-07-01", "end": "2026-09-30"},
        "basis": "reported",
    }
    rows = [
        {**row, "id": "all", "value": 90},
        {**row, "id": "women", "value": 50, "disaggregation": {"SEX": "F"}},
        {**row, "id": "men", "value": -3, "disaggregation": {"SEX": "M"}},
    ]
    file = tmp_path / "rows.ndjson"
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    refused = pilotmesh("observe", file, "--as", "fao:monitor")
    assert refused.exit_code == 1
    assert "None of 3 rows was taken" in refused.stderr
    assert f"{file}:3: [2].value" in refused.stderr
    file.write_text("".join(json.dumps(one) + "\n" for one in rows[:2]))
    for _ in range(2):  # the same file twice is one upload
        taken = pilotmesh("observe", file, "--as", "fao:monitor", "--json")
        assert taken.exit_code == 0, taken.output
        assert json.loads(taken.stdout)["rows"] == 2
    with node.client(tokens.read(node.home)["fao"]["monitor"]) as monitor:
        assert monitor.get("/metrics/v1/observations", params={"pilot": pilot}).json()["total"] == 2
