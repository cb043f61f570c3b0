"""Publishing facts to a stream: one fact, or a run of one ledger's facts, of which the stream takes all or none.

A run is one atomic batch of JetStream's: the server stores what came only when the last message has come and nothing is
missing between, in one write to its disk, and acknowledges it once. So a run needs no more waiting than a fact, and
still a stream never holds a fact without those before it: that its last message tells how far it got stays true,
whatever is lost on the way and wherever this process is cut off.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence

from nats.aio.client import Client
from nats.js.api import Header
from nats.js.errors import APIError

from shared.bus.subjects import REACHED, headers_of, reached_header, subject_of
from shared.facts.fact import Fact, to_wire
from shared.telemetry import counter, span

BATCH_ID, BATCH_SEQUENCE, BATCH_COMMIT = "Nats-Batch-Id", "Nats-Batch-Sequence", "Nats-Batch-Commit"
NOT_ENABLED = 10174
"""What the server answers where the stream takes no batches: it was provisioned by an earlier version."""

MOST_FACTS = 256
MOST_BYTES = 2 * 2**20
"""Of one run; the server keeps what has come of it aside until the last message is there."""
PATIENCE_SECONDS, RUN_PATIENCE_SECONDS = 5.0, 20.0


class Publisher:
    """Publishes under the subjects that this node's own facts have, or (`foreign`) those of facts it accepted."""

    def __init__(self, connection: Client, *, foreign: bool) -> None:
        self._connection = connection
        self._js = connection.jetstream()
        self._foreign = foreign
        self._without_runs: set[str] = set()

    async def publish(self, stream: str, fact: Fact, reached: tuple[int, int] | None = None) -> None:
        """Returns when the stream has the fact on disk. `reached`: it is published again, and out of its turn."""
        headers = headers_of(fact)
        if reached is not None:
            headers[REACHED] = reached_header(reached)
        with span("relay", fact.trace, ledger=str(fact.header.ledger), sequence=fact.header.sequence):
            subject = subject_of(fact, foreign=self._foreign)
            await self._js.publish(subject, to_wire(fact), timeout=PATIENCE_SECONDS, stream=stream, headers=headers)
        counter("pilotmesh.relay.published").add(1)

    async def publish_run(self, stream: str, facts: Sequence[Fact]) -> None:
        """Returns when the stream has all of these facts on disk, in this order. Raises nats.errors.Error, APIError.

        After an error the stream has all or none of them; which of the two, its last message tells.
        """
        if len(facts) > 1 and stream not in self._without_runs:
            try:
                await self._publish_at_once(stream, facts)
            except APIError as error:
                if error.err_code != NOT_ENABLED:
                    raise
                self._without_runs.add(stream)  # nothing was stored; provisioning allows it at the next start
            else:
                return
        for fact in facts:
            await self.publish(stream, fact)

    async def _publish_at_once(self, stream: str, facts: Sequence[Fact]) -> None:
        batch = secrets.token_hex(12)
        for number, fact in enumerate(facts, start=1):
            headers = {
                **headers_of(fact),
                Header.EXPECTED_STREAM.value: stream,
                BATCH_ID: batch,
                BATCH_SEQUENCE: str(number),
            }
            subject, message = subject_of(fact, foreign=self._foreign), to_wire(fact)
            with span("relay", fact.trace, ledger=str(fact.header.ledger), sequence=fact.header.sequence):
                if number < len(facts):
                    await self._connection.publish(subject, message, headers=headers)
                    continue
                headers[BATCH_COMMIT] = "1"
                answer = await self._connection.request(subject, message, RUN_PATIENCE_SECONDS, headers=headers)
            told = json.loads(answer.data)
            if "error" in told:
                raise APIError.from_error(told["error"])
        counter("pilotmesh.relay.published").add(len(facts))


def runs(facts: Sequence[Fact]) -> Iterator[Sequence[Fact]]:
    """The facts in order, in runs that are not too large; of one fact, where it is large."""
    start = size = 0
    for number, fact in enumerate(facts):
        size += len(fact.protected) + len(fact.payload or b"")
        if number > start and (size > MOST_BYTES or number - start >= MOST_FACTS):
            yield facts[start:number]
            start, size = number, len(fact.protected) + len(fact.payload or b"")
    if start < len(facts):
        yield facts[start:]
