"""Facts in, journal entries out. Done twice, it is done once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.facts.cloudevents import cloud_event_bytes
from shared.facts.fact import Fact
from shared.facts.names import LedgerName
from shared.facts.verify import Head
from shared.ledger.rows import WITHDRAWN, Redaction, redactions_in
from shared.telemetry import counter, span

from .domain.attributes import about, joined, references
from .domain.entries import About, NewEntry
from .journal import Journal
from .memory import CircleBook, Memory, audience_of, known_to
from .tail import Tail


@dataclass(frozen=True, slots=True)
class Described:
    """A fact, what its event is about (also what its aggregate was about until now), and what is remembered of it."""

    fact: Fact
    told: About
    learned: About


class JournalFold:
    """Puts every fact of every ledger into the journal, in the order in which it reached this node."""

    version = 1

    def __init__(self, journal: Journal, memory: Memory, circles: CircleBook, tail: Tail) -> None:
        self._journal = journal
        self._memory = memory
        self._circles = circles
        self._tail = tail

    def wants(self, ledger: LedgerName) -> bool:  # noqa: ARG002 - whatever happens may be told
        return True

    def fold(self, facts: Sequence[Fact]) -> None:
        if not facts:
            return
        with span("fold notifier", facts[0].trace, facts=len(facts)):
            described = self._describe(facts)
            gone = {place_of(redaction) for fact in facts for redaction in redactions_in(fact)}
            added = self._journal.append([entry_for(one.fact, one.told, gone) for one in described])
            self._guard(facts)
            by_place = {fact.place: fact for fact in facts}
            self._tail.extend(
                [(entry, cloud_event_bytes(by_place[entry.new.event], redacted=entry.new.redacted)) for entry in added]
            )
            self._memory.learn((one.fact, one.learned) for one in described)
            self._memory.forget(redaction for fact in facts for redaction in redactions_in(fact))
        counter("pilotmesh.follower.folded").add(len(facts), {"service": "notifier"})

    def rebuild(self, ledgers: Iterable[tuple[str, Iterable[Sequence[Fact]]]]) -> dict[str, Head]:
        """Reads everything again. Positions stay, because clients hold them; what is known of each entry is set
        anew; what the journal lacks is added at its end. Deliveries are planned of what was about to be folded
        anyway, never of what a rebuild found."""
        done = {}
        is_new = self._journal.head() == 0
        for ledger, batches in ledgers:
            newest = None if is_new else self._journal.newest(ledger)
            for facts in batches:
                described = self._describe(facts)
                entries = [
                    entry_for(one.fact, one.told, (), planned=newest is not None and one.fact.header.position > newest)
                    for one in described
                ]
                self._journal.append(entries)
                self._journal.describe(entries)
                self._guard(facts)
                self._memory.learn((one.fact, one.learned) for one in described)
                self._memory.forget(redaction for fact in facts for redaction in redactions_in(fact))
                last = facts[-1]
                done[ledger] = Head(last.header.epoch, last.header.sequence, last.hash)
        self._tail.catch_up()
        return done

    def _describe(self, facts: Sequence[Fact]) -> list[Described]:
        known = self._memory.recall(facts)
        now = self._journal.now()
        described = []
        for fact in facts:
            itself, audience = (fact.header.agency, fact.header.subject), audience_of(fact.header.ledger)
            own = about(fact, now)
            others, unknown = known_to(audience, references(fact), known)
            told = joined(own, others, unknown=unknown)
            apart, unknown = known_to(audience, references(fact) - {itself}, known)
            learned = told if fact.header.verb == WITHDRAWN else joined(own, apart, unknown=unknown)
            described.append(Described(fact, told, learned))
            known[itself, audience] = [learned]  # for those later in this batch
        return described

    def _guard(self, facts: Sequence[Fact]) -> None:
        """What decides who sees what must stand before any stream hears of the batch."""
        self._circles.learn(facts)
        redacted = [place_of(redaction) for fact in facts for redaction in redactions_in(fact)]
        self._journal.forget(redacted)
        self._tail.forget(redacted)


def place_of(redaction: Redaction) -> str:
    return f"{redaction.ledger}:{redaction.epoch}:{redaction.sequence}"


def entry_for(fact: Fact, told: About, gone: Iterable[str], *, planned: bool = True) -> NewEntry:
    header = fact.header
    redacted = fact.payload is None or fact.place in gone
    return NewEntry(
        event=fact.place,
        hash=fact.hash,
        ledger=str(header.ledger),
        agency=header.agency,
        audience=header.ledger.audience,
        type=header.type,
        subject=header.subject,
        time=header.time,
        about=About(told.kinds) if redacted else told,
        redacted=redacted,
        planned=planned,
    )
