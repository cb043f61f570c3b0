"""`python -m tests.bench [--short] [--json PATH] [--only NAME …]`: the whole bench takes under four minutes."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.node.embedded import accepts, free_port
from tests.service.running import until

from . import load, report
from .measures import Goal, Measure
from .node import BenchNode
from .rounds import LONG, SHORT, Bench

SPAWN = multiprocessing.get_context("spawn")
PARTS = ("register", "events", "observations", "rebuild", "matching")


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure a node against the bare parts that it stands on.")
    parser.add_argument("--short", action="store_true", help="one round of each, in under a minute")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), metavar="PATH", help="where the numbers go")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts alone")
    parser.add_argument("--home", type=Path, help="the node's folder (default: one that is removed afterwards)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pilotmesh-bench-") as folder:
        measures, about = run(chosen.home or Path(folder) / "node", chosen.short, chosen.only)
    report.show(measures, about)
    report.write(chosen.json, measures, about)
    return 0


def run(home: Path, short: bool, only: tuple[str, ...]) -> tuple[list[Measure], dict[str, Any]]:
    size = SHORT if short else LONG
    began = time.perf_counter()
    node = BenchNode(home)
    started, memory = Measure("whole node: start to ready", "s", Goal("at most", 5.0)), _memory("at rest")
    with ProcessPoolExecutor(1, mp_context=SPAWN) as generator:
        try:
            cold = node.start_to_ready()
            if not short:
                node.stop()
                started.node.append(node.start_to_ready())
                started.note = f"the first time, with everything to be made: {cold:.1f} s"
            else:
                started.node.append(cold)
            memory.node.append(node.memory() / 2**20)
            say(f"the node is ready after {started.value:.1f} s")
            bench = Bench(node, generator, size)
            database, nats = node.databases_named()
            with an_empty_endpoint() as port:
                ceiling = bench.ceiling(port)
            parts: dict[str, Callable[[], list[Measure]]] = {
                "register": bench.register_pilots,
                "events": bench.hear_events,
                "observations": bench.observe,
                "rebuild": bench.rebuild,
                "matching": bench.propose,
            }
            measures: list[Measure] = []
            for name in only:
                measures += parts[name]()
                say(f"{name}: {time.perf_counter() - began:.0f} s")
            loaded = _memory("after all of the above")
            loaded.node.append(node.memory() / 2**20)
        finally:
            node.stop()
    about = {
        "database": database,
        "nats": nats,
        "python": sys.version.split()[0],
        "processors": os.cpu_count(),
        "short": short,
        "seconds": round(time.perf_counter() - began, 1),
        "load_generator_requests_per_second": round(ceiling),
        "load_average": os.getloadavg()[0],
    }
    return [*measures, started, memory, loaded], about


def _memory(when: str) -> Measure:
    return Measure(f"whole node: resident memory of all processes, {when}", "MB", Goal("at most", 500.0))


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)  # noqa: T201 - progress, for whoever waits


@contextmanager
def an_empty_endpoint() -> Iterator[int]:
    """The port of an endpoint that does nothing, in a process of its own."""
    port = free_port()
    serving = SPAWN.Process(target=load.serve_nothing, args=(port,), daemon=True)
    serving.start()
    try:
        until(lambda: accepts(port), "the empty endpoint answers")
        yield port
    finally:
        serving.terminate()
        serving.join()


if __name__ == "__main__":
    sys.exit(main())
