"""The measurements. Each takes the bare part and the node in turn, round by round, because the machine is noisy."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

from . import bare, events, load, matching, samples
from .measures import Goal, Measure, percentile
from .node import AGENCIES, BenchNode

CLIENTS = 32
PAUSE_SECONDS = 0.03
UPLOADERS = 4
ROWS = 1_000
"""Observations of one upload."""
STREAM_PATH = "/notifier/v1/stream?kinds=pilot"

Answer = TypeVar("Answer")
Indicator = tuple[str, str, str]
"""Ids of an indicator and of its pilot, and the pilot's country."""


@dataclass(frozen=True)
class Size:
    """How long it may take. `seconds` of load per phase, `events` and `uploads` per round, `solved` per size."""

    rounds: int
    seconds: float
    events: int
    uploads: int
    solved: int


LONG = Size(rounds=3, seconds=6.0, events=40, uploads=24, solved=10)
SHORT = Size(rounds=1, seconds=2.5, events=15, uploads=8, solved=2)


class Bench:
    """One node, one process that makes the load, and what both have measured so far."""

    def __init__(self, node: BenchNode, generator: ProcessPoolExecutor, size: Size) -> None:
        self.node = node
        self.size = size
        self._generator = generator
        self._numbers = 0
        self.tokens = node.officers()
        self._declare()

    def _elsewhere(self, work: Callable[..., Answer], *arguments: Any) -> Answer:
        done: Future[Answer] = self._generator.submit(work, *arguments)
        return done.result(120)

    def _next_numbers(self) -> int:
        """The first of a million numbers that no request has carried."""
        self._numbers += 1_000_000
        return self._numbers

    def _declare(self) -> None:
        """Capabilities, so that matching has something to match."""
        for agency in AGENCIES:
            requests = [
                samples.request(
                    "POST", "/registry/v1/capabilities", self.tokens[agency], samples.capability(agency, at)
                )
                for at in range(len(samples.CODES))
            ]
            self._elsewhere(load.send_all, self.node.port, requests, 1).must_all_be(201)

    # -- the lines of the table ------------------------------------------------------------------------------

    def ceiling(self, port: int) -> float:
        """Requests a second that the generator reaches against an endpoint that does nothing."""
        return self._elsewhere(load.send_for, port, self._pilots(), CLIENTS, 1.0, self._next_numbers()).per_second

    def register_pilots(self) -> list[Measure]:
        measure = Measure("register pilots over HTTP, 32 clients", "pilots/s", Goal("at least", 0.5))
        processor = Measure("the same: processor time of the services' process", "ms/pilot")
        slow = Measure("the same: the slowest of a hundred answers (p99)", "ms")
        levels = Measure("until every service has folded what those rounds registered", "s")
        templates = self._pilots()
        document = samples.pilot(AGENCIES[0])
        for _ in range(self.size.rounds):
            measure.bare.append(
                self._elsewhere(bare.insert_one_for, self.node.database_uri, document, CLIENTS, self.size.seconds)
            )
            used = self.node.processor_seconds()
            first = self._next_numbers()
            done = self._elsewhere(load.send_for, self.node.port, templates, CLIENTS, self.size.seconds, first)
            done.must_all_be(201)
            measure.node.append(done.per_second)
            processor.node.append((self.node.processor_seconds() - used) / done.answered * 1000)
            slow.node.append(percentile(done.latencies, 0.99) * 1000)
            levels.node.append(self.node.wait_until_level())
        return [measure, processor, slow, levels]

    def hear_events(self) -> list[Measure]:
        measure = Measure("POST to event at an SSE client, p50", "ms", Goal("at most", 3.0))
        stream = samples.request("GET", STREAM_PATH, self.tokens[AGENCIES[0]], Accept="text/event-stream")
        template = self._pilots()[0]
        document = samples.pilot(AGENCIES[0])
        body = json.dumps(document).encode()
        where = (self.node.database_uri, self.node.nats_options)
        times = self.size.events
        for _ in range(self.size.rounds):
            taken = self._elsewhere(bare.insert_publish_deliver, *where, document, body, times, PAUSE_SECONDS)
            measure.bare.append(median(taken) * 1000)
            first = self._next_numbers()
            heard = self._elsewhere(events.post_and_hear, self.node.port, stream, template, times, PAUSE_SECONDS, first)
            measure.node.append(median(heard) * 1000)
            measure.note = f"p90 {percentile(heard, 0.9) * 1000:.0f} ms"
        return [measure]

    def observe(self) -> list[Measure]:
        accepted = Measure("observations accepted, bulk", "rows/s", Goal("at least", 0.5))
        readable = Measure("observations folded and readable", "rows/s", Goal("at least", 0.2))
        indicators = self._plans()
        for number in range(self.size.rounds):
            uploads = []
            for at in range(self.size.uploads):
                indicator, pilot, country = indicators[at % len(indicators)]
                first = (number * self.size.uploads + at) // len(indicators) * ROWS
                uploads.append(samples.observations(indicator, pilot, country, ROWS, first))
            rate = self._elsewhere(bare.insert_many, self.node.database_uri, uploads, UPLOADERS)
            accepted.bare.append(rate)
            readable.bare.append(rate)
            token = self.tokens[AGENCIES[0]]
            path = "/metrics/v1/observations"
            requests = [samples.request("POST", path, token, rows) for rows in uploads]
            rows = len(requests) * ROWS
            began = perf_counter()
            done = self._elsewhere(load.send_all, self.node.port, requests, UPLOADERS).must_all_be(202)
            accepted.node.append(rows / done.seconds)
            self._wait_until_readable(indicators, number)
            readable.node.append(rows / (perf_counter() - began))
        return [accepted, readable]

    def rebuild(self) -> list[Measure]:
        measures = []
        with self.node.client(self.node.operator) as client:
            client.timeout = 120
            for service in ("registry", "notifier"):
                measure = Measure(f"rebuild of {service}, from the first fact", "facts/s")
                began = perf_counter()
                answer = client.post(f"/{service}/v1/rebuild")
                taken = perf_counter() - began
                assert answer.status_code == 200, answer.text
                facts = sum(place["sequence"] for place in answer.json()["ledgers"].values())
                measure.node.append(facts / taken)
                measure.note = f"{facts} facts in {taken:.1f} s"
                measures.append(measure)
        return measures

    def propose(self) -> list[Measure]:
        taken = self._elsewhere(matching.proposal_seconds, self.size.solved)
        name = f"one pilot's proposal, {matching.AGENCIES} agencies, {matching.CAPABILITIES} capabilities, p50"
        slowest = f"slowest {max(taken) * 1000:.0f} ms of {len(taken)}"
        return [Measure(name, "ms", node=[median(taken) * 1000], note=slowest)]

    # -- what they need --------------------------------------------------------------------------------------

    def _pilots(self) -> list[load.Template]:
        return [
            samples.numbered_request("/registry/v1/pilots", self.tokens[agency], samples.pilot(agency, place))
            for place, agency in enumerate(AGENCIES * 3)
        ]

    def _plans(self) -> list[Indicator]:
        """Plans of a few pilots of one agency."""
        agency, found = AGENCIES[0], []
        with self.node.client(self.tokens[agency]) as client:
            for place in range(4):
                post = samples.pilot(agency, place)
                made = client.post("/registry/v1/pilots", json=post)
                assert made.status_code == 201, made.text
                pilot = made.json()["id"]
                self.node.wait_until_level()
                for number in range(2):
                    planned = client.post("/metrics/v1/plans", json=samples.plan(pilot, number))
                    assert planned.status_code == 201, planned.text
                    found.append((planned.json()["id"], pilot, post["countries"][0]))
        return found

    def _wait_until_readable(self, indicators: list[Indicator], number: int) -> None:
        """One more row of each indicator, answered when all figures that anybody reads have been set."""
        last = [
            row
            for indicator, pilot, country in indicators
            for row in samples.observations(indicator, pilot, country, 1, 2_000_000 + number)
        ]
        with self.node.client(self.tokens[AGENCIES[0]]) as client:
            client.timeout = 60
            answer = client.post("/metrics/v1/observations?wait=folded", json=last)
            while answer.status_code == 202 and not answer.json()["folded"]:
                answer = client.post("/metrics/v1/observations?wait=folded", json=last)
            assert answer.status_code == 202, answer.text
            for pilot in {pilot for _, pilot, _ in indicators}:
                results = client.get(f"/metrics/v1/pilots/{pilot}/results").json()["results"]
                assert results, f"{pilot} has no results"
