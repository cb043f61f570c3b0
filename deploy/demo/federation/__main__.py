"""`python -m deploy.demo.federation [--keep]`: the story, and whether it ended with equal digests (status 1 if not)."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from deploy.cli.speaking import Trouble, console, say_trouble
from deploy.demo.federation.nodes import Federation
from deploy.demo.federation.story import AGENCIES, CUT_OFF, Story, summary


def main() -> int:
    parser = argparse.ArgumentParser(description="A hub and three agencies' nodes on this machine.")
    parser.add_argument("--keep", action="store_true", help="keep the nodes' homes when it is over")
    keep: bool = parser.parse_args().keep
    folder = Path(tempfile.mkdtemp(prefix="pilotmesh-federation-"))
    federation = Federation(folder, AGENCIES, CUT_OFF)
    console.print(f"Four nodes in {folder}, each with its own keys, ports, NATS domain and database.", soft_wrap=True)
    began = time.monotonic()
    try:
        agreed = Story(federation, console).tell()
        same = summary(federation.nodes, agreed, console)
    except Trouble as trouble:
        say_trouble(trouble)
        keep = True
        return trouble.status
    except KeyboardInterrupt:
        return 1
    finally:
        federation.stop()
        if keep:
            console.print(f"The homes are kept in {folder}.", soft_wrap=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    verdict = "equal: every node holds the same" if same else "NOT equal"
    console.print(f"Digests are {verdict}. {time.monotonic() - began:.0f} s in all.")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
