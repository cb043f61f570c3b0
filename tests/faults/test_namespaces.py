"""A hub and a member, each in a network of its own, over a line that loses and delays packets and goes dark unsaid.

The servers' TCP, TLS and pings are what deals with it. All facts arrive once, in order, at both.
"""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from shared.facts.fact import Fact
from tests.faults.namespaces import ENDS, Line, Namespace, line, namespace, servers_within, what_is_missing
from tests.node.exchanging import Federation, eventually, federation
from tests.node.three_nodes import faults, leaves_sockets, stored, write
from tests.service.running import until

pytestmark = [pytest.mark.faults, leaves_sockets]

LOSS, DELAY, JITTER = 0.05, 0.05, 0.02
"""A bad line by satellite or mobile radio: of a hundred packets five are lost, an answer takes 100 to 140 ms."""

DARK_SECONDS, LEVEL_SECONDS, PATIENCE = 4, 60, 300
"""In seconds. Level after as long as the dark was, because TCP's pauses double and the last one may end so late, and
LEVEL_SECONDS for the rest."""

Facts = dict[str, Fact]
"""By hash."""


class Apart:
    """The hub's network and the member's, and the line between them."""

    def __init__(self, stack: ExitStack) -> None:
        self.hub: Namespace = stack.enter_context(namespace())
        self.member: Namespace = stack.enter_context(namespace())
        self.line: Line = stack.enter_context(
            line(self.hub, self.member, seed=1, loss=LOSS, delay=DELAY, jitter=JITTER)
        )


@pytest.fixture
def apart() -> Iterator[Apart]:
    missing = what_is_missing()
    if missing is not None:
        pytest.skip(missing)
    with ExitStack() as stack:
        yield Apart(stack)


@pytest.fixture
def mesh(apart: Apart, tmp_path: Path, mongodb_uri: str) -> Iterator[Federation]:
    with (
        servers_within({"hub": apart.hub, "wfp": apart.member}),
        federation(tmp_path, mongodb_uri, "wfp", host=ENDS[0]) as made,
    ):
        yield made
    gc.collect()  # the sockets that nats-py left are this test's, not the next one's


def test_the_line_loses_and_delays_packets_goes_dark_and_is_the_only_way(apart: Apart) -> None:
    def bound(address: str) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, 5000))
        made.settimeout(PATIENCE)
        return made

    made = apart.line
    with apart.hub.within(lambda: bound(ENDS[0])) as receiver, apart.member.within(lambda: bound(ENDS[1])) as sender:
        began = time.monotonic()
        for number in range(100):
            sender.sendto(bytes([number]), (ENDS[0], 5000))
        first = receiver.recv(100)
        assert time.monotonic() - began >= DELAY
        until(lambda: made.carried + made.lost == 100, "each datagram has arrived or is lost")
        arrived = [*first, *(receiver.recv(100)[0] for _ in range(made.carried - 1))]
        assert 1 <= made.lost <= 15
        assert len(set(arrived)) == made.carried
        assert arrived != sorted(arrived), "some have overtaken others"
        made.darken()
        for _ in range(10):
            sender.sendto(b"dark", (ENDS[0], 5000))
        until(lambda: made.carried + made.lost + made.swallowed == 110, "the dark has taken what chance has not")
        made.lighten()
        receiver.setblocking(False)
        with pytest.raises(BlockingIOError):
            receiver.recv(100)
    with pytest.raises(OSError, match="unreachable"):
        apart.hub.within(lambda: socket.create_connection(("203.0.113.1", 1), timeout=5))


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled_over_a_line_that_loses_packets_and_goes_dark(
    apart: Apart, mesh: Federation
) -> None:
    async def story() -> None:
        async with mesh.running():
            facts = await both_write(mesh, 50)
            await mesh.level()
            facts |= await both_write(mesh, 50)  # on their way as the dark falls
            facts |= await in_the_dark(apart.line, DARK_SECONDS, both_write(mesh, 50))
            took = await until_level(mesh, facts)
            assert took < DARK_SECONDS + LEVEL_SECONDS
            assert apart.line.lost > 0
            assert apart.line.swallowed > 0
            await both_hold_each_once(mesh, facts)

    asyncio.run(story())


@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("only_in_the_long_form")
def test_however_often_and_long_a_line_goes_dark_both_ends_are_level_after_it(
    apart: Apart, mesh: Federation, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(1)

    def say(words: str) -> None:
        with capsys.disabled():
            print(words, flush=True)  # noqa: T201 - what happened is what the long form is run for

    async def story() -> None:
        facts: Facts = {}
        async with mesh.running():
            for seconds in [*(chance.uniform(0.5, 25) for _ in range(8)), 60.0]:
                facts |= await both_write(mesh, 50)
                facts |= await in_the_dark(apart.line, seconds, both_write(mesh, 50))
                took = await until_level(mesh, facts)
                say(f"dark for {seconds:4.1f} s, level {took:4.1f} s later")
                assert took < seconds + LEVEL_SECONDS
            await both_hold_each_once(mesh, facts)

    asyncio.run(story())


async def both_write(mesh: Federation, count: int) -> Facts:
    """Facts by ledger, each in its order."""
    ours, theirs = await asyncio.gather(write(mesh["wfp"], count), write(mesh.hub, count, agency="unicc"))
    return {fact.hash: fact for fact in (*ours, *theirs)}


async def in_the_dark(line: Line, seconds: float, doing: Awaitable[Facts]) -> Facts:
    """Done while the line is dark, which it is for at least so many seconds."""
    line.darken()
    _, facts = await asyncio.gather(asyncio.sleep(seconds), doing)
    line.lighten()
    return facts


async def until_level(mesh: Federation, facts: Facts) -> float:
    """Seconds until both hold all of these."""
    began = time.monotonic()
    wanted = list(facts.values())
    await eventually(lambda: all(side.holds(wanted) for side in mesh.sides.values()), "both hold all", PATIENCE)
    await mesh.level(seconds=PATIENCE)
    return time.monotonic() - began


async def both_hold_each_once(mesh: Federation, facts: Facts) -> None:
    """In stores and streams, in order, proven, and nothing else."""
    written = Counter(str(fact.header.ledger) for fact in facts.values())
    hub, member = mesh.hub, mesh["wfp"]
    for side in (hub, member):
        for ledger, count in written.items():
            held = side.store.after(ledger, (1, 0), 100_000)
            assert [fact.header.sequence for fact in held] == list(range(1, count + 1))
            assert {fact.hash for fact in held} <= facts.keys()
        assert faults(side) == {}
        assert (side.codes(), side.forks(), side.frozen()) == (set(), 0, {})
    assert hub.digest() == member.digest()
    for side, ledger in ((hub, "wfp.registry"), (member, "unicc.registry")):
        order = list(range(1, written[ledger] + 1))
        assert await stored(side, "VERIFIED", ledger) == order, f"handed on by {side.domain} once each"
