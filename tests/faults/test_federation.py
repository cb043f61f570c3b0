"""A hub and its members break in every way while officers of all agencies register pilots, each at their own node.

Every acknowledged command is there once at every node that may know of it, nothing is folded twice, every fold equals
its rebuild, and all nodes hold the same soon after the last fault has ended.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.faults.across import prove_all
from tests.faults.mesh import FaultyMesh, faulty_mesh, missing_of
from tests.faults.trouble import AT_WORK, SHORT, Fault, long
from tests.service.running import until

pytestmark = pytest.mark.faults

Say = Callable[[str], None]
LEVEL_SECONDS = 60
PATIENCE_SECONDS = 600
"""Who is late is found wrong in the end, after what is worse was looked for."""
COMMANDS = 10_000
MISSED = 1000


def break_in_turn(mesh: FaultyMesh, faults: Sequence[Fault], chance: random.Random, say: Say) -> None:
    for number, fault in enumerate(faults, 1):
        began = time.monotonic()
        fault.happen(mesh, chance)
        mesh.wait_for_more(AT_WORK)
        say(f"{number:3}. {fault.name} ({time.monotonic() - began:.1f} s); {mesh.count} acknowledged")


def quiet(_: str) -> None:
    """The short form says nothing."""


@pytest.mark.timeout(600)
def test_a_mesh_that_breaks_here_and_there_loses_nothing(tmp_path: Path) -> None:
    with faulty_mesh(tmp_path, ("wfp", "fao"), officers=1, seed=1, pace=0.2) as mesh:
        break_in_turn(mesh, SHORT, random.Random(1), quiet)
        mesh.finish()
        mesh.until_level(LEVEL_SECONDS)
        prove_all(mesh)


@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("only_in_the_long_form")
def test_a_mesh_that_breaks_in_every_way_loses_nothing_of_ten_thousand_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(words: str) -> None:
        with capsys.disabled():
            print(words, flush=True)  # noqa: T201 - what happened is what the long form is run for

    chance, faults = random.Random(1), long()
    with faulty_mesh(tmp_path, ("wfp", "fao", "unicef"), officers=3, seed=1, pace=0) as mesh:
        say("")
        break_in_turn(mesh, faults, chance, say)
        while mesh.count < COMMANDS:
            mesh.wait_for_more(10)
        after_hub = hub_returns(mesh, say)
        after_link = link_returns(mesh, say)
        prove_all(mesh)
        retries = sum(office.retries for office in mesh.offices)
        kills = sum(node.kills for node in mesh.nodes)
        say(
            f"{len(faults) + 2} faults, {kills} processes killed, {mesh.count} commands acknowledged, "
            f"{retries} repeated after faults; lost 0, folded twice 0, equal {after_link:.1f} s after the last heal"
        )
        assert max(after_hub, after_link) < LEVEL_SECONDS


def hub_returns(mesh: FaultyMesh, say: Say) -> float:
    """Seconds from the hub's being ready again until all nodes hold and have folded the same."""
    mesh.hub.kill()
    goal = mesh.count + MISSED
    mesh.resume()
    while mesh.count < goal:
        mesh.wait_for_more(5)
    mesh.finish()
    mesh.hub.start()
    began = time.monotonic()
    missed = sum(missing_of(member, member, mesh.hub) for member in mesh.members.values())
    return told(mesh, say, f"the hub's return, {missed} facts missed", began)


def link_returns(mesh: FaultyMesh, say: Say) -> float:
    """The same, from the return of one member's link."""
    cut_off = mesh.members["fao"]
    cut_off.wire.cut()
    mesh.resume()
    others = [member for member in mesh.members.values() if member is not cut_off]

    def missed() -> int:
        return sum(missing_of(member, mesh.hub, cut_off) for member in others)

    until(lambda: missed() >= MISSED, f"{MISSED} facts are missed", 1800)
    mesh.finish()
    count = missed()
    cut_off.wire.heal()
    return told(mesh, say, f"the link's return, {count} facts missed", time.monotonic())


def told(mesh: FaultyMesh, say: Say, what: str, began: float) -> float:
    mesh.until_heads_agree(PATIENCE_SECONDS)
    held = time.monotonic() - began
    mesh.until_level(PATIENCE_SECONDS)
    folded = time.monotonic() - began
    say(f"after {what}: all nodes hold the same {held:.1f} s later, have folded the same {folded:.1f} s later")
    return folded
