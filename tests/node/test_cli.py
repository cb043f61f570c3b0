"""The `pilotmesh` command against a running node: what it registers, shows, proves, and how it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from deploy.cli import main, tokens
from tests.service.running import RunningNode, until

Command = Callable[..., Result]

PROGRAM = Path(sys.executable).with_name("pilotmesh")

PILOT = """\
title: {{en: {title}}}
summary: {{en: Loss of crops told earlier.}}
problem: {{en: Losses are known only after the harvest.}}
lead_agency: {lead}
countries: [ZMB]
needs:
  - {{code: {code}, country: ZMB, quantity: 1, essential: true}}
starts_on: 2027-01-01
ends_on: {ends_on}
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    running = RunningNode(tmp_path_factory.mktemp("node"), "registry", "notifier", "mesh")
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
def pilotmesh(node: RunningNode, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("PILOTMESH_HOME", str(node.home))
    monkeypatch.setenv("PILOTMESH_URL", node.url)
    return run


def run(*arguments: object, answer: str | None = None) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments], input=answer)


@pytest.fixture(scope="module")
def wfp(node: RunningNode) -> RunningNode:
    """The node with WFP on it and its officer's token kept."""
    admin = node.host("wfp")
    tokens.keep(node.home, "wfp", {"admin": admin, "officer": node.actor("wfp", ["officer"])})
    tokens.keep(node.home, "wfp", {"viewer": node.actor("wfp", ["viewer"])})
    return node


def pilot_file(
    folder: Path,
    name: str = "pilot.yaml",
    *,
    title: str = "Crop loss",
    lead: str = "wfp",
    code: str = "data.earth_observation",
    ends_on: str = "2027-12-31",
) -> Path:
    file = folder / name
    file.write_text(PILOT.format(title=title, lead=lead, code=code, ends_on=ends_on))
    return file


def titles(pilotmesh: Command, *filters: str) -> list[str]:
    listed = pilotmesh("pilot", "list", "--json", *filters)
    assert listed.exit_code == 0, listed.output
    return [pilot["title"]["en"] for pilot in json.loads(listed.stdout)]


def test_a_pilot_in_a_file_is_registered_once_however_often_it_is_posted(
    wfp: RunningNode, pilotmesh: Command, tmp_path: Path
) -> None:
    file = pilot_file(tmp_path, title="Registered once")
    first, second = pilotmesh("pilot", "register", file), pilotmesh("pilot", "register", file)
    assert (first.exit_code, second.exit_code) == (0, 0), first.output
    assert titles(pilotmesh, "-q", "registered once") == ["Registered once"]
    again = pilotmesh("pilot", "register", file, "--again")
    assert again.exit_code == 0
    assert titles(pilotmesh, "-q", "registered once") == ["Registered once"] * 2


def test_faults_name_file_line_and_field_and_the_others_are_registered(
    wfp: RunningNode, pilotmesh: Command, tmp_path: Path
) -> None:
    pilot_file(tmp_path, "a.yaml", title="Sound")
    bad = pilot_file(tmp_path, "b.yaml", title="Unsound", code="data.earth", ends_on="2026-12-31")
    told = pilotmesh("pilot", "register", tmp_path)
    assert told.exit_code == 1
    assert f"{bad}:7: needs[0].code" in told.stderr
    assert f"{bad}:9: ends_on" in told.stderr
    assert "1 registered, 1 refused" in told.stdout
    assert titles(pilotmesh, "-q", "sound") == ["Sound"]


def test_for_programs_each_record_has_an_outcome(wfp: RunningNode, pilotmesh: Command, tmp_path: Path) -> None:
    good = pilot_file(tmp_path, "a.yaml", title="One of two")
    bad = pilot_file(tmp_path, "b.yaml", code="data.earth")
    told = pilotmesh("pilot", "register", good, bad, "--json")
    assert told.exit_code == 1
    registered, refused = json.loads(told.stdout)
    assert registered["version"] == 1
    assert [(fault["where"], fault["field"]) for fault in refused["errors"]] == [
        (f"{bad}:7: needs[0].code", "needs[0].code")
    ]


def test_nothing_is_posted_when_one_of_the_files_cannot_be_read(
    wfp: RunningNode, pilotmesh: Command, tmp_path: Path
) -> None:
    good = pilot_file(tmp_path, "a.yaml", title="Never posted")
    broken = tmp_path / "b.yaml"
    broken.write_text("title: {en: half")
    told = pilotmesh("pilot", "register", good, broken)
    assert told.exit_code == 2
    assert "b.yaml:1: not YAML" in told.stderr
    assert titles(pilotmesh, "-q", "never posted") == []


def test_a_pilot_of_an_agency_without_a_token_says_whose_is_missing(
    wfp: RunningNode, pilotmesh: Command, tmp_path: Path
) -> None:
    told = pilotmesh("pilot", "register", pilot_file(tmp_path, lead="fao"))
    assert told.exit_code == 2
    assert "no token of fao:officer" in told.stderr
    assert "--as AGENCY:ROLE" in told.stderr


def test_a_viewer_is_told_which_role_is_needed(wfp: RunningNode, pilotmesh: Command, tmp_path: Path) -> None:
    told = pilotmesh("pilot", "register", pilot_file(tmp_path, title="Viewed"), "--as", "wfp:viewer")
    assert told.exit_code == 1
    assert "role officer" in told.stderr
    assert titles(pilotmesh, "-q", "viewed") == []


def test_capabilities_are_registered_from_a_list(wfp: RunningNode, pilotmesh: Command, tmp_path: Path) -> None:
    file = tmp_path / "wfp.yaml"
    file.write_text(
        "- {agency: wfp, code: human.field_staff, title: {en: Teams}, countries: [ZMB], units: 2}\n"
        "- {agency: wfp, code: human.nobody, title: {en: Nobody}, countries: [ZMB], units: 2}\n"
    )
    told = pilotmesh("capability", "register", file)
    assert told.exit_code == 1
    assert "registered" in told.stdout
    assert f"{file}:2: [1].code" in told.stderr


def test_hosting_keeps_the_admins_token_and_shows_the_recovery_key_once(node: RunningNode, pilotmesh: Command) -> None:
    told = pilotmesh("agency", "host", "fao")
    assert told.exit_code == 0, told.output
    assert "Recovery key: " in told.stdout
    assert tokens.path_in(node.home).stat().st_mode & 0o777 == 0o600
    added = pilotmesh(
        "actor", "add", "officer", "approver", "--as", "fao:admin", "--keep-as", "officer", "--country", "ZMB"
    )
    assert added.exit_code == 0, added.output
    with node.client(tokens.read(node.home)["fao"]["officer"]) as client:
        me = client.get("/mesh/v1/me").json()
    assert (me["agency"], me["roles"], me["countries"]) == ("fao", ["approver", "officer"], ["ZMB"])
    link = pilotmesh("sign-in-link", me["id"], "--as", "fao:admin")
    assert link.stdout.startswith(f"{node.url}/sign-in?code=")
    again = pilotmesh("agency", "host", "fao")
    assert again.exit_code == 1
    assert "in the roster already" in again.stderr


def test_status_shows_ledgers_and_their_state(wfp: RunningNode, pilotmesh: Command) -> None:
    told = pilotmesh("status", "--json")
    assert told.exit_code == 0, told.output
    stands = json.loads(told.stdout)
    assert stands["ready"]["ok"]
    assert "hub.mesh" in {one["ledger"] for one in stands["ledgers"]}
    assert "is ready" in pilotmesh("status").stdout


def test_the_record_is_proven_while_the_node_runs(wfp: RunningNode, pilotmesh: Command, tmp_path: Path) -> None:
    pilotmesh("pilot", "register", pilot_file(tmp_path, title="Proven"))
    told = pilotmesh("verify", "--json")
    assert told.exit_code == 0, told.output
    proof = json.loads(told.stdout)
    assert proof["proven"]
    assert sum(one["facts"] for one in proof["ledgers"] if one["ledger"] == "wfp.registry") >= 1


def test_streams_can_be_filled_and_services_folded_again(wfp: RunningNode, pilotmesh: Command, tmp_path: Path) -> None:
    pilotmesh("pilot", "register", pilot_file(tmp_path, title="Folded again"))
    republished = pilotmesh("ledger", "republish", "--json")
    assert republished.exit_code == 0, republished.output
    assert {"hub.mesh", "wfp.registry"} <= {one["ledger"] for one in json.loads(republished.stdout)}
    one = json.loads(pilotmesh("ledger", "republish", "wfp.registry", "--from", "1", "--json").stdout)
    assert [entry["ledger"] for entry in one] == ["wfp.registry"]
    rebuilt = pilotmesh("rebuild", "registry")
    assert rebuilt.exit_code == 0, rebuilt.output
    assert titles(pilotmesh, "-q", "folded again") == ["Folded again"]
    assert pilotmesh("rebuild", "weather").exit_code == 2


def test_watching_goes_on_where_a_restart_broke_it(wfp: RunningNode, pilotmesh: Command, tmp_path: Path) -> None:
    before = len(titles(pilotmesh))
    watching = subprocess.Popen(
        [PROGRAM, "watch", "--json", "--from-start", "--kinds", "pilot", "--count", str(before + 3)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    pilotmesh("pilot", "register", pilot_file(tmp_path, "1.yaml", title="Before the restart"))
    assert watching.stdout is not None
    lines = [watching.stdout.readline() for _ in range(before + 1)]
    wfp.stop()
    wfp.start()
    pilotmesh("pilot", "register", pilot_file(tmp_path, "2.yaml", title="After the restart"))
    pilotmesh("pilot", "register", pilot_file(tmp_path, "3.yaml", title="And one more"))
    said, complaints = watching.communicate(timeout=60)
    assert watching.returncode == 0, complaints
    events = [json.loads(line) for line in [*lines, *said.splitlines()]]
    assert complaints.count("No node answers") <= 1
    assert [event["data"]["title"]["en"] for event in events[-3:]] == [
        "Before the restart",
        "After the restart",
        "And one more",
    ]
    assert len({event["id"] for event in events}) == before + 3


def test_where_no_node_answers_the_status_is_3(node: RunningNode, pilotmesh: Command) -> None:
    told = pilotmesh("pilot", "list", "--url", "http://127.0.0.1:1")
    assert told.exit_code == 3
    assert "No node answers at http://127.0.0.1:1" in told.stderr
    assert "pilotmesh up" in told.stderr


def test_a_wrong_filter_of_the_stream_is_named(wfp: RunningNode, pilotmesh: Command) -> None:
    told = pilotmesh("watch", "--kinds", "weather")
    assert told.exit_code == 1
    assert "kinds[0]" in told.stderr


def test_the_command_says_who_has_forgotten_and_when_the_record_was_proven(
    wfp: RunningNode, pilotmesh: Command, tmp_path: Path
) -> None:
    pilotmesh("pilot", "register", pilot_file(tmp_path, title="Not for ever"))
    with wfp.client(wfp.host("wfp")) as client:
        history = client.get("/mesh/v1/status").json()["ledgers"]
        last = next(one["sequence"] for one in history if one["ledger"] == "wfp.registry")
        post = {"ledger": "wfp.registry", "facts": [f"wfp.registry:1:{last}"], "reason": "error"}
        made = client.post("/registry/v1/redactions", json=post)
        assert made.status_code == 201, made.text
    redaction = made.json()["id"]
    told = until(
        lambda: [
            one
            for one in json.loads(pilotmesh("redactions", "--json").stdout)
            if (one["id"], one["confirmed"]) == (redaction, 1)
        ],
        "this node has forgotten",
    )
    assert told[0]["facts"] == post["facts"]
    assert "confirmed by 1 of 1 nodes" in pilotmesh("redactions", redaction).stdout
    assert pilotmesh("redactions", "nobody").exit_code == 1
    assert pilotmesh("verify").exit_code == 0
    stands = json.loads(pilotmesh("node", "status", "--json").stdout)
    assert stands["verified"]["proven"]
    assert all(one["verified"]["proven"] for one in stands["ledgers"])
    assert "Last verified" in pilotmesh("node", "status").stdout
