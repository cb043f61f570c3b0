"""What crosses between nodes: how soon, how much a second, how quickly what was missed is made good."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from pymongo import MongoClient

from tests.node.linked_servers import HUB, Servers, linked_servers

from . import bare, events, hops, samples, writing
from .measures import Goal, Measure, percentile
from .mesh import LEDGER, PATIENCE_SECONDS, READER, WRITER, Holding, Mesh, megabytes, standing_still, wait
from .node import processor_of

PAUSE_SECONDS = 0.03
STREAM_PATH = "/notifier/v1/stream?kinds=pilot"
MISSED = 1_000
CUT_SECONDS = 6.0
"""So long a link stays cut, at least: whoever waits longer and longer between attempts does so by then."""
BATCH = 256
"""Documents of one bare upsert: as many as the intake takes at once."""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Size:
    """How much: `events` per round, facts `taken` in per round, and facts `behind` a new node."""

    rounds: int
    events: int
    taken: int
    behind: int


LONG = Size(rounds=3, events=40, taken=5_000, behind=100_000)
SHORT = Size(rounds=1, events=15, taken=2_000, behind=4_000)


class Crossing:
    """One mesh, one process that makes the load, and what both have measured so far."""

    def __init__(self, mesh: Mesh, generator: ProcessPoolExecutor, size: Size, folder: Path) -> None:
        self.mesh = mesh
        self.size = size
        self._folder = folder
        self._generator = generator
        self._numbers = 900_000_000

    def _elsewhere(self, work: Callable[..., Answer], *arguments: Any, **more: Any) -> Future[Answer]:
        return self._generator.submit(work, *arguments, **more)

    # -- the lines of the table ------------------------------------------------------------------------------

    def hear_across(self) -> list[Measure]:
        measure = Measure(
            "POST at a node to event at another's SSE client, through a hub, p50", "ms", Goal("at most", 3.0)
        )
        slow = Measure("the same: the slowest of ten (p90)", "ms")
        streams = Measure("the bare message, if only streams store it, p50", "ms")
        body = b"x" * self._bytes_of_a_fact()
        way = (WRITER, HUB, READER)
        with self._bare_servers() as servers:
            uris = dict(
                zip(
                    way, (node.mongodb_uri for node in (self.mesh.writer, self.mesh.hub, self.mesh.reader)), strict=True
                )
            )
            for _ in range(self.size.rounds):
                arguments = (way, body, self.size.events, PAUSE_SECONDS)
                taken = self._elsewhere(hops.over_the_hops, servers.settings, uris, *arguments).result(PATIENCE_SECONDS)
                measure.bare.append(median(taken) * 1000)
                taken = self._elsewhere(hops.over_the_hops, servers.settings, {}, *arguments).result(PATIENCE_SECONDS)
                streams.node.append(median(taken) * 1000)
                heard = self._hear(self.size.events).result(PATIENCE_SECONDS)
                measure.node.append(median(heard) * 1000)
                slow.node.append(percentile(heard, 0.9) * 1000)
        return [measure, slow, streams]

    def take_in(self) -> list[Measure]:
        folded = Measure("foreign facts taken in, checked and folded, at a hub", "facts/s", Goal("at least", 0.6))
        held = Measure("the same: taken in and checked", "facts/s")
        indexed = Measure("the same, against upserts into collections with the same indexes", "facts/s")
        alone = Measure("bare upsert of the facts without their rows", "facts/s")
        processor = Measure("the same: processor time of all of the hub's processes", "ms/fact")
        hub, others, count = self.mesh.hub, (self.mesh.writer, self.mesh.reader), self.size.taken
        for _ in range(self.size.rounds):
            before = self.mesh.head()
            with ExitStack() as still:
                with self.mesh.paused():
                    last = self._write(count)
                    still.enter_context(standing_still(*others))
                with Holding(hub) as holding:
                    used = processor_of(hub)
                    held_rate, folded_rate = _rates(holding, before, last)
                    processor.node.append((processor_of(hub) - used) / count * 1000)
            self.mesh.until_level(last)
            with standing_still(hub, *others):
                used = processor_of(hub, "database")
                again = (hub.mongodb_uri, LEDGER, before + 1, count, BATCH)
                upserted = self._elsewhere(bare.upsert_again, *again).result(PATIENCE_SECONDS)
                processor.bare.append((processor_of(hub, "database") - used + upserted.processor) / count * 1000)
                with_indexes = self._elsewhere(bare.upsert_again, *again, indexed=True).result(PATIENCE_SECONDS)
            folded.node.append(folded_rate)
            folded.bare.append(count / (upserted.facts + upserted.rows))
            indexed.node.append(folded_rate)
            indexed.bare.append(count / (with_indexes.facts + with_indexes.rows))
            held.node.append(held_rate)
            alone.node.append(count / upserted.facts)
        processor.note = "bare: of client and database; hardly touched by what else the machine does"
        return [folded, indexed, processor, held, alone]

    def return_of_hub(self) -> list[Measure]:
        measure = Measure(f"level after the hub's return, {MISSED:,} facts missed", "s", Goal("at most", 5.0))
        starting = []
        for _ in range(self.size.rounds):
            self.mesh.hub.kill()
            last = self._write(MISSED)
            began = time.perf_counter()
            self.mesh.hub.start()
            starting.append(time.perf_counter() - began)
            measure.node.append(self.mesh.until_level(last))
        measure.note = f"from when it is ready, {median(starting):.1f} s after it was started"
        return [measure]

    def return_of_link(self) -> list[Measure]:
        measure = Measure(f"level after a link's return, {MISSED:,} facts missed", "s", Goal("at most", 5.0))
        for _ in range(self.size.rounds):
            self.mesh.wire.cut()
            began = time.perf_counter()
            last = self._write(MISSED)
            time.sleep(max(0.0, CUT_SECONDS - (time.perf_counter() - began)))
            self.mesh.wire.heal()
            measure.node.append(self.mesh.until_level(last))
        measure.note = "the writer's link; folded at hub and reader"
        return [measure]

    def join_late(self) -> list[Measure]:
        behind = self.size.behind
        level = Measure(f"a new node, {behind:,} facts behind: from ready to level", "s")
        rate = Measure("the same: taken in, checked and folded", "facts/s")
        quiet = Measure("POST at a node to event at another, before that, p50", "ms")
        meanwhile = Measure("the same while the new node catches up, p50", "ms")
        memory = [Measure(f"resident memory of the {name}, at most, meanwhile", "MB") for name in ("new node", "hub")]
        missing = behind - self.mesh.head()
        last = self._write(missing) if missing > 0 else self.mesh.head()
        self.mesh.until_level(last)
        quiet.node.append(median(self._hear(self.size.events).result(PATIENCE_SECONDS)) * 1000)
        last = self.mesh.head()
        hub_before = megabytes(self.mesh.hub)
        newcomer = self.mesh.add_newcomer()
        newcomer.start()
        began = time.perf_counter()
        hears, peaks = _Hearing(self._hear), [0.0, 0.0]
        with Holding(newcomer) as here:

            def level_now() -> bool:
                hears.look()
                for place, node in enumerate((newcomer, self.mesh.hub)):
                    peaks[place] = max(peaks[place], megabytes(node))
                return here.folded() >= last

            wait(level_now, "the new node is level", 0.1)
            taken = time.perf_counter() - began
        level.node.append(taken)
        rate.node.append(last / taken)
        heard = hears.all()
        meanwhile.node.append(median(heard) * 1000)
        meanwhile.note = (
            f"p90 {percentile(heard, 0.9) * 1000:.0f} ms, slowest {max(heard) * 1000:.0f} ms of {len(heard)}"
        )
        for measure, peak in zip(memory, peaks, strict=True):
            measure.node.append(peak)
        memory[1].note = f"{hub_before:.0f} MB before"
        return [level, rate, quiet, meanwhile, *memory]

    # -- what they need --------------------------------------------------------------------------------------

    def _write(self, count: int) -> int:
        """Records so many pilots at the writer and waits until its streams hold them; the last sequence."""
        node = self.mesh.writer
        written = self._elsewhere(
            writing.register_pilots, node.home, node.mongodb_uri, WRITER, self.mesh.pattern, count
        ).result(PATIENCE_SECONDS)
        self.mesh.until_published(written)
        return written

    def _hear(self, times: int) -> Future[list[float]]:
        first, self._numbers = self._numbers, self._numbers + times
        stream = samples.request("GET", STREAM_PATH, self.mesh.reader_token, Accept="text/event-stream")
        template = samples.numbered_request("/registry/v1/pilots", self.mesh.writer_token, samples.pilot(WRITER))
        ports = {"heard_at": self.mesh.reader.port}
        return self._elsewhere(
            events.post_and_hear, self.mesh.writer.port, stream, template, times, PAUSE_SECONDS, first, **ports
        )

    def _bytes_of_a_fact(self) -> int:
        """As the relay publishes the pattern: measured, not guessed."""
        with MongoClient[dict[str, Any]](self.mesh.writer.mongodb_uri) as client:
            found = client["pilotmesh_ledger"]["facts"].find_one({"aggregate": f"pilot/{self.mesh.pattern}"})
            assert found is not None
            return sum(len(found[part]) for part in ("protected", "payload", "salt", "signature"))

    @contextmanager
    def _bare_servers(self) -> Iterator[Servers]:
        with linked_servers(self._folder / "bare", WRITER, READER) as servers:
            servers.admit(WRITER, READER)
            yield servers


def _rates(hub: Holding, before: int, last: int) -> tuple[float, float]:
    """Facts a second, held and folded, from when the first of them were seen until the last was."""
    wait(lambda: hub.head() > before, "the first facts are taken in")
    first, began = hub.head(), time.perf_counter()
    wait(lambda: hub.holds(last), "the last fact is taken in")
    held = time.perf_counter() - began
    wait(lambda: hub.folded() >= last, "the last fact is folded")
    return (last - first) / held, (last - first) / (time.perf_counter() - began)


class _Hearing:
    """Posts and hears in fives, one after the other, for as long as somebody looks."""

    AT_ONCE = 5

    def __init__(self, hear: Callable[[int], Future[list[float]]]) -> None:
        self._hear = hear
        self._heard: list[float] = []
        self._running = hear(self.AT_ONCE)

    def look(self) -> None:
        if self._running.done():
            self._heard += self._running.result()
            self._running = self._hear(self.AT_ONCE)

    def all(self) -> list[float]:
        self._heard += self._running.result(PATIENCE_SECONDS)
        return self._heard
