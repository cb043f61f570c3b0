"""Histories of aggregates over several ledgers: revised, narrowed, widened, withdrawn, redacted, unreadable.

A story is what the store of the node that wrote it holds: chained facts per ledger, versions counted over all of
them. Tests take it apart and fold it in other orders.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from shared.facts.fact import Fact
from tests.unit.facts.chains import Chain, key_of

CIRCLE = "0198c0de-0000-7000-8000-00000000c1c1"
LEDGERS = ("wfp.registry", "wfp.registry.private", f"wfp.registry.{CIRCLE}", "fao.registry")
PILOTS = tuple(f"0198c0de-0000-7000-8000-0000000000{number:02d}" for number in range(3))
KINDS = frozenset({"pilot"})
ACTS = ("revise", "revise", "move", "withdraw", "redact", "newer", "broken")


@dataclass
class Story:
    """Chains by ledger, in the order in which their facts were written."""

    chains: dict[str, Chain] = field(default_factory=dict)
    written: list[Fact] = field(default_factory=list)
    versions: dict[tuple[str, str], int] = field(default_factory=dict)

    def chain(self, ledger: str) -> Chain:
        agency = ledger.split(".", 1)[0]
        return self.chains.setdefault(ledger, Chain(ledger=ledger, key=key_of(agency)))

    def write(self, ledger: str, pilot: str, verb: str = "revised", *, type_version: int = 1, **state: object) -> Fact:
        agency = ledger.split(".", 1)[0]
        version = self.versions[(agency, pilot)] = self.versions.get((agency, pilot), 0) + 1
        told = {"lead_agency": agency, "written_as": version, **state}
        fact = self.chain(ledger).add(
            b"no JSON" if state.get("broken") else told,
            verb=verb,
            subject=f"pilot/{pilot}",
            version=version,
            type_version=type_version,
        )
        self.written.append(fact)
        return fact

    def redact(self, fact: Fact) -> Fact:
        header = fact.header
        named = [{"epoch": header.epoch, "sequence": header.sequence, "subject": header.subject}]
        redaction = self.chain(str(header.ledger)).add(
            {"facts": named, "reason": "error"}, kind="fact", verb="redacted", subject=f"fact/{header.sequence}"
        )
        self.written.append(redaction)
        return redaction

    def do(self, act: str, ledger: str, pilot: str) -> None:
        if act == "withdraw":
            self.write(ledger, pilot, "withdrawn")
        elif act == "newer":
            self.write(ledger, pilot, type_version=2)
        elif act == "broken":
            self.write(ledger, pilot, broken=True)
        elif act == "redact":
            there = [fact for fact in self.chain(ledger).facts if fact.header.kind == "pilot"]
            if there:
                self.redact(there[len(there) // 2])
        else:
            self.write(ledger, pilot)

    def by_ledger(self) -> list[list[Fact]]:
        return [list(chain.facts) for chain in self.chains.values()]

    def as_stored(self) -> list[list[Fact]]:
        """The ledgers after the node has carried out the redactions: what a rebuild finds."""
        forgotten = {
            (str(fact.header.ledger), one["epoch"], one["sequence"])
            for fact in self.written
            if fact.header.kind == "fact"
            for one in (fact.state or {})["facts"]
        }
        return [
            [
                replace(fact, payload=None, salt=None)
                if (str(fact.header.ledger), *fact.header.position) in forgotten
                else fact
                for fact in facts
            ]
            for facts in self.by_ledger()
        ]


def told(acts: Sequence[tuple[str, str, str]]) -> Story:
    story = Story()
    for act, ledger, pilot in acts:
        story.do(act, ledger, pilot)
    return story


ACTIONS = st.tuples(st.sampled_from(ACTS), st.sampled_from(LEDGERS), st.sampled_from(PILOTS))
STORIES = st.lists(ACTIONS, min_size=1, max_size=14).map(told).filter(lambda story: bool(story.written))


def interleaved(ledgers: Sequence[Sequence[Fact]], dice: random.Random) -> list[Fact]:
    """One order of all facts in which each ledger's own order is kept."""
    turns = list(itertools.chain.from_iterable([number] * len(facts) for number, facts in enumerate(ledgers)))
    dice.shuffle(turns)
    reading = [iter(facts) for facts in ledgers]
    return [next(reading[number]) for number in turns]


def in_batches(facts: Sequence[Fact], dice: random.Random) -> list[list[Fact]]:
    batches: list[list[Fact]] = []
    for fact in facts:
        if not batches or dice.random() < 0.4:
            batches.append([])
        batches[-1].append(fact)
    return batches
