"""`make demo-federation`: four nodes on one machine end with equal digests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_four_nodes_end_with_equal_digests_although_one_was_cut_off(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "deploy.demo.federation"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "Digests are equal: every node holds the same." in told.stdout
    assert "neither knows the other's news" in told.stdout
    assert list(tmp_path.iterdir()) == [], "the demo leaves nothing behind"
