"""Starts whole nodes that die at a step: `python -m tests.faults.crashing_node SERVICE …`.

Each line `NUMBER CALL` on its input starts one: NUMBER is the step's place in ALL, with 0 for CALL it lives on. It
tells the process ids and ends on its output. Everything is imported once, here; each node is a process of its own,
forked before there is any thread, connection or file, which saves most of the seconds that a start takes.
"""

from __future__ import annotations

import importlib.util
import os
import sys

import deploy.node.composition
import deploy.node.web
import shared.ledger.identity
from deploy.node.launcher import run_node
from deploy.node.loading import Factory, load_service
from shared.settings import Settings
from tests.faults.steps import ALL, crash_at

IMPORTED = (deploy.node.composition, deploy.node.web, shared.ledger.identity)
"""What a node imports while its servers start."""
BEGUN, READY, ENDED = "begun", "ready", "ended"


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def run(services: dict[str, Factory], number: int, call: int) -> None:
    if call:
        crash_at(ALL[number], call)
    run_node(Settings(), load=lambda: services, on_ready=lambda _: say(READY))


def main(names: list[str]) -> None:
    services = {name: load_service(name) for name in names if importlib.util.find_spec(f"services.{name}.app")}
    for line in sys.stdin:
        number, call = line.split()
        pid = os.fork()
        if pid == 0:
            sys.stdin.close()
            run(services, int(number), int(call))
            return
        say(BEGUN, pid)
        _, status = os.waitpid(pid, 0)
        say(ENDED, os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(sys.argv[1:])
