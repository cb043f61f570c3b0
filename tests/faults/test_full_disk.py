"""A disk that fills up under a node: commands are refused as unavailable, nothing acknowledged is lost, and the node
goes on by itself when there is room again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.node.home import ROOM_BYTES
from tests.faults.faulty_node import FaultyNode
from tests.faults.officers import Office
from tests.faults.proofs import prove
from tests.service.running import until

pytestmark = pytest.mark.faults

MEGABYTE = 2**20
SIZE_BYTES = ROOM_BYTES + 96 * MEGABYTE
ENOUGH_REFUSALS = 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, in memory; only root may make one."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("needs root on Linux, for a small file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


class Ballast:
    """A file that takes all the room there is."""

    def __init__(self, disk: Path) -> None:
        self._file = disk / "ballast"

    def fill(self) -> None:
        with self._file.open("ab", buffering=0) as file:
            while free := shutil.disk_usage(self._file.parent).free:
                file.write(bytes(min(free, MEGABYTE)))

    def drop(self) -> None:
        self._file.unlink()


@pytest.mark.usefixtures("only_in_the_long_form")
def test_a_full_disk_refuses_loses_nothing_and_is_over_when_there_is_room(small_disk: Path) -> None:
    ballast = Ballast(small_disk)
    with FaultyNode(small_disk / "home", PILOTMESH_LEASE_SECONDS="1") as node:
        node.start()
        with Office(node, ("wfp", "fao"), seed=1) as office:
            office.wait_for_more(5)
            ballast.fill()

            def refused() -> bool:
                ballast.fill()  # what the servers freed meanwhile
                return office.refused_with.total() >= ENOUGH_REFUSALS

            until(refused, "the full disk is felt")
            assert office.refused_with.keys() <= {"503", "507"}, office.refused_with
            ballast.drop()
            office.wait_for_more(5)
            office.finish()
            prove(node, office)
