"""`python -m tests.bench [--short] [--json PATH] [--only NAME …]`: a whole node, then a mesh of them."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.node.embedded import accepts, free_port
from deploy.node.home import read_note
from tests.service.running import until

from . import crossing, load, report
from .crossing import Crossing
from .measures import Goal, Measure
from .mesh import Mesh
from .node import BenchNode, servers_named
from .rounds import LONG, SHORT, Bench

SPAWN = multiprocessing.get_context("spawn")
OF_A_NODE = ("register", "events", "observations", "rebuild", "matching")
OF_A_MESH = ("crossing", "intake", "hub-return", "link-return", "newcomer")
PARTS = (*OF_A_NODE, *OF_A_MESH)

Parts = Mapping[str, Callable[[], list[Measure]]]


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure nodes against the bare parts that they stand on.")
    parser.add_argument("--short", action="store_true", help="one round of each, in about two minutes")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), metavar="PATH", help="where the numbers go")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts alone")
    parser.add_argument("--behind", type=int, metavar="N", help="facts behind a new node (100,000; 4,000 if short)")
    parser.add_argument("--home", type=Path, help="the node's folder (default: one that is removed afterwards)")
    chosen = parser.parse_args()
    of_a_node, of_a_mesh = ([name for name in some if name in chosen.only] for some in (OF_A_NODE, OF_A_MESH))
    began, load_before = time.perf_counter(), os.getloadavg()[0]
    measures: list[Measure] = []
    about: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="pilotmesh-bench-") as folder:
        if of_a_node:
            found, about = run(chosen.home or Path(folder) / "node", chosen.short, of_a_node)
            measures += found
        if of_a_mesh and (given := [name for name in GIVEN if name in os.environ]):
            say(f"nodes of a mesh have servers of their own: left out, because {', '.join(given)} is set")
        elif of_a_mesh:
            found, of_mesh = run_mesh(Path(folder) / "mesh", chosen.short, of_a_mesh, chosen.behind)
            measures += found
            about = of_mesh | about
    about |= {
        "python": sys.version.split()[0],
        "processors": os.cpu_count(),
        "short": chosen.short,
        "seconds": round(time.perf_counter() - began, 1),
        "load_average_before": load_before,
        "load_average": os.getloadavg()[0],
    }
    report.show(measures, about)
    report.write(chosen.json, measures, about)
    return 0


GIVEN = ("PILOTMESH_MONGODB_URI", "PILOTMESH_NATS_URL")


def run(home: Path, short: bool, only: Sequence[str]) -> tuple[list[Measure], dict[str, Any]]:
    """The parts that one whole node has."""
    size = SHORT if short else LONG
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
            parts: Parts = {
                "register": bench.register_pilots,
                "events": bench.hear_events,
                "observations": bench.observe,
                "rebuild": bench.rebuild,
                "matching": bench.propose,
            }
            measures = measured(parts, only)
            loaded = _memory("after all of the above")
            loaded.node.append(node.memory() / 2**20)
        finally:
            node.stop()
    about = {"database": database, "nats": nats, "load_generator_requests_per_second": round(ceiling)}
    return [*measures, started, memory, loaded], about


def run_mesh(
    folder: Path, short: bool, only: Sequence[str], behind: int | None
) -> tuple[list[Measure], dict[str, Any]]:
    """The parts that take a hub and members."""
    size = crossing.SHORT if short else crossing.LONG
    mesh = Mesh(folder)
    with ProcessPoolExecutor(1, mp_context=SPAWN) as generator:
        try:
            mesh.start()
            say("the mesh is level")
            bench = Crossing(mesh, generator, replace(size, behind=behind or size.behind), folder)
            parts: Parts = {
                "crossing": bench.hear_across,
                "intake": bench.take_in,
                "hub-return": bench.return_of_hub,
                "link-return": bench.return_of_link,
                "newcomer": bench.join_late,
            }
            measures = measured(parts, only)
            database, nats = servers_named(mesh.hub.mongodb_uri, str(read_note(mesh.hub.home)["nats_url"]))
        finally:
            mesh.stop()
    return measures, {"database": database, "nats": nats}


def measured(parts: Parts, only: Sequence[str]) -> list[Measure]:
    measures: list[Measure] = []
    for name in only:
        began = time.perf_counter()
        found = parts[name]()
        told = "; ".join(f"{one.name} {report.told(one.value, one.unit)}" for one in found)
        say(f"{name}, {time.perf_counter() - began:.0f} s: {told}")
        measures += found
    return measures


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
