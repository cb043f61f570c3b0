"""The core of the intake: whatever order facts come in, however often, whatever is lost and asked for again, a node
ends with the same facts; and of two histories with what they share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from services.mesh.checking import Outcome, sort_out
from shared.facts.fact import Fact
from shared.facts.keys import KeyBook
from shared.facts.verify import Head, learn_key
from shared.ledger.cutting import last_common
from shared.ledger.rows import redactions_in
from tests.unit.facts.chains import MESH, Chain, book_of, key_of

LEDGERS = ("wfp.registry", "fao.registry")


@dataclass
class Memory:
    """What a node holds, without a database: does what an outcome says, as the intake does."""

    ledgers: dict[str, list[Fact]] = field(default_factory=dict)
    left: dict[str, Fact] = field(default_factory=dict)
    limits: dict[tuple[str, int], int] = field(default_factory=dict)
    waiting: dict[str, list[Fact]] = field(default_factory=dict)
    refused: list[Fact] = field(default_factory=list)

    def head(self, ledger: str) -> Head:
        held = self.ledgers.get(ledger)
        return Head(*held[-1].header.position, held[-1].hash) if held else Head()

    def at(self, ledger: str, epoch: int, sequence: int) -> Fact | None:
        return next((f for f in self.ledgers.get(ledger, ()) if f.header.position == (epoch, sequence)), None)

    def by_hash(self, hash_hex: str) -> Fact | None:
        return next((f for held in self.ledgers.values() for f in held if f.hash == hash_hex), None)

    def given_up(self, hash_hex: str) -> Fact | None:
        return self.left.get(hash_hex)

    def limit(self, ledger: str, epoch: int) -> int | None:
        return self.limits.get((ledger, epoch))

    def is_redacted(self, ledger: str, position: tuple[int, int]) -> bool:
        held = self.ledgers.get(ledger, ())
        return any((one.epoch, one.sequence) == position for fact in held for one in redactions_in(fact))

    def book(self) -> KeyBook:
        book = book_of("wfp", "fao")
        for held in self.ledgers.values():
            for fact in held:
                if fact.header.kind == "ledger":
                    learn_key(fact, book)
        return book

    def take(self, facts: Sequence[Fact]) -> list[Outcome]:
        outcomes = []
        for ledger in sorted({str(fact.header.ledger) for fact in facts}):
            arrived = [fact for fact in facts if str(fact.header.ledger) == ledger]
            waited = self.waiting.get(ledger, [])
            out = sort_out([*arrived, *waited], ledger, mesh=MESH, book=self.book(), shelf=self)
            if out.cut is not None:
                self._cut(ledger, out.cut)
            self.ledgers.setdefault(ledger, []).extend(out.accepted)
            for first, second in out.forks:
                epoch, sequence = last_common(first, second)
                self.limits[ledger, epoch] = min(sequence, self.limits.get((ledger, epoch), sequence))
            limit = self.limit(ledger, self.head(ledger).epoch)
            if limit is not None:
                self._cut(ledger, (self.head(ledger).epoch, limit))
            self.waiting[ledger] = [fact for fact, _ in out.waiting]
            self.refused += [fact for fact, _ in out.refused]
            outcomes.append(out)
        return outcomes

    def _cut(self, ledger: str, keep: tuple[int, int]) -> None:
        held = self.ledgers.get(ledger, [])
        self.left |= {fact.hash: fact for fact in held if fact.header.position > keep}
        self.ledgers[ledger] = [fact for fact in held if fact.header.position <= keep]

    def hashes(self, ledger: str) -> list[str]:
        return [fact.hash for fact in self.ledgers.get(ledger, ())]


def written(ledger: str, count: int, rekeyed_at: int | None, redacted: int | None) -> list[Fact]:
    """A ledger as its agency wrote it: with a new key from somewhere on, and a fact that was redacted later."""
    agency = ledger.split(".", 1)[0]
    chain = Chain(ledger=ledger, key=key_of(agency))
    for number in range(1, count + 1):
        if number == rekeyed_at:
            chain.add({"public": key_of(f"{agency} 2").public.hex()}, kind="ledger", verb="rekeyed", subject="ledger/k")
            chain.key = key_of(f"{agency} 2")
        else:
            chain.add({"lead_agency": agency}, subject=f"pilot/{number}")
    if redacted is not None:
        named = {"facts": [{"epoch": 1, "sequence": redacted, "subject": f"pilot/{redacted}"}], "reason": "error"}
        chain.add(named, kind="fact", verb="redacted", subject="fact/r")
    return chain.facts


@st.composite
def stories(draw: st.DrawFn) -> tuple[dict[str, list[Fact]], list[list[Fact]]]:
    """Ledgers, and batches in which copies of some of their facts come: in any order, again, and not all of them."""
    told: dict[str, list[Fact]] = {}
    copies: list[Fact] = []
    for ledger in LEDGERS:
        count = draw(st.integers(1, 8))
        rekeyed_at = draw(st.none() | st.integers(1, count))
        redacted = draw(st.none() | st.integers(1, count))
        if redacted == rekeyed_at:
            redacted = None
        facts = written(ledger, count, rekeyed_at, redacted)
        if redacted is not None and draw(st.booleans()):
            bare = replace(facts[redacted - 1], payload=None, salt=None)
            facts = [bare if fact.hash == bare.hash else fact for fact in facts]
        told[ledger] = facts
        copies += facts
    arriving = draw(st.lists(st.sampled_from(copies), max_size=30))
    cuts = sorted(draw(st.lists(st.integers(0, len(arriving)), max_size=6)))
    edges = [0, *cuts, len(arriving)]
    return told, [arriving[start:end] for start, end in itertools.pairwise(edges)]


def fill_gaps(memory: Memory, answer: Callable[[str, tuple[int, int]], Sequence[Fact]], limit: int) -> None:
    """Asks as the intake does: what follows the head, page by page, until nothing more comes."""
    for ledger in LEDGERS:
        while True:
            before = memory.head(ledger)
            memory.take(answer(ledger, before.position))
            if memory.head(ledger) == before:
                break


@given(stories(), st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_any_interleaving_duplication_and_loss_ends_in_the_same_store(
    story: tuple[dict[str, list[Fact]], list[list[Fact]]], page: int
) -> None:
    told, batches = story
    memory = Memory()
    for batch in batches:
        for out in memory.take(batch):
            assert not out.forks
            assert not out.refused
            assert out.cut is None

    def answer(ledger: str, after: tuple[int, int]) -> list[Fact]:
        facts = [fact for fact in told[ledger] if fact.header.position > after][:page]
        bare = {fact.header.position for fact in facts if fact.payload is None}
        explaining = [one for one in told[ledger] for r in redactions_in(one) if (r.epoch, r.sequence) in bare]
        keys = [one for one in told[ledger] if explaining and one.header.kind == "ledger"]
        return [*facts, *keys, *explaining]

    fill_gaps(memory, answer, page)
    for ledger in LEDGERS:
        assert memory.hashes(ledger) == [fact.hash for fact in told[ledger]]
        assert memory.waiting.get(ledger, []) == []


@given(
    st.integers(0, 3),
    st.integers(1, 4),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
    st.integers(1, 5),
)
@settings(max_examples=150, deadline=None)
def test_two_histories_end_at_what_they_share_in_whatever_order_their_facts_come(
    common: int, first: int, second: int, random: object, size: int
) -> None:
    chain = Chain()
    shared = [chain.add({"lead_agency": "wfp"}, subject=f"pilot/s{n}") for n in range(common)]
    other = Chain(head=chain.head)
    one = [chain.add({"lead_agency": "wfp"}, subject=f"pilot/a{n}") for n in range(first)]
    two = [other.add({"lead_agency": "wfp"}, subject=f"pilot/b{n}") for n in range(second)]
    facts = [*shared, *one, *two]
    random.shuffle(facts)  # type: ignore[attr-defined]
    memory = Memory()
    for start in range(0, len(facts), size):
        memory.take(facts[start : start + size])
    memory.take(facts)  # what a node that knows of the fork is sent again
    assert memory.hashes("wfp.registry") == [fact.hash for fact in shared]
    assert memory.limits == {("wfp.registry", 1): common}
    assert memory.refused == []


@given(st.integers(1, 3), st.integers(0, 3), st.randoms(use_true_random=False), st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_a_reopened_ledger_is_the_same_for_who_saw_what_was_given_up_and_who_did_not(
    kept: int, given_up: int, random: object, size: int
) -> None:
    chain = Chain()
    shared = [chain.add({"lead_agency": "wfp"}, subject=f"pilot/s{n}") for n in range(kept)]
    again = Chain(head=chain.head)
    lost = [chain.add({"lead_agency": "wfp"}, subject=f"pilot/a{n}") for n in range(given_up)]
    reopened = again.add({}, kind="ledger", verb="reopened", subject="ledger/x", epoch=2, key=key_of("wfp recovery"))
    after = again.add({"lead_agency": "wfp"}, subject="pilot/z")
    facts = [*shared, *lost, reopened, after]
    random.shuffle(facts)  # type: ignore[attr-defined]
    memory = Memory()
    for start in range(0, len(facts), size):
        memory.take(facts[start : start + size])
    memory.take([*shared, reopened, after])
    assert memory.hashes("wfp.registry") == [fact.hash for fact in [*shared, reopened, after]]


def test_an_altered_copy_does_not_stand_in_the_way_of_the_real_one() -> None:
    (fact,) = written("wfp.registry", 1, None, None)
    altered = replace(fact, payload=b"{}")
    for copies in ([altered, fact], [fact, altered], [replace(fact, payload=None, salt=None), altered, fact]):
        memory = Memory()
        memory.take(copies)
        assert memory.ledgers["wfp.registry"] == [fact]
        assert memory.waiting["wfp.registry"] == []
