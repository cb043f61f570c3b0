"""The state machine: what agencies do and what befalls their nodes, in any order, and what must be true in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from shared.facts.fact import Fact
from shared.facts.ids import derived_id
from shared.facts.names import MESH_AUDIENCE, ledger_name
from shared.facts.verify import REDACTED, REKEYED
from shared.ledger.drafts import Author, Draft
from shared.ledger.store import Command
from tests.federation.world import AGENCY_OF, DOMAINS, HUB, MEMBERS, Held, Place, World

OFFICER = Author("0198c0de-0000-7000-8000-0000000000ac", "officer")
NAMESPACE = "0198c0de-0000-7000-8000-00000000da7a"
NODES = st.sampled_from(DOMAINS)
LINKS = st.sampled_from(MEMBERS)
FATES = st.lists(st.sampled_from(("fine", "lost", "unacknowledged", "crash before", "crash after")), max_size=4)
HARMLESS = {"gap", "blank", "key", "agency", "key_range"}
"""Checks that only say that something before is missing, yet."""
LIES = st.sampled_from(("altered", "before its turn", "invented", "of another mesh"))
REFUSED_LIES = {"digest", "sender", "signature", "mesh"}
"""Checks that say that somebody is dishonest."""


def place_of(fact: Fact) -> Place:
    return (str(fact.header.ledger), *fact.header.position)


def is_shared(place: Place) -> bool:
    return ledger_name(place[0]).audience == MESH_AUDIENCE


class Federation(RuleBasedStateMachine):
    """Subclasses make the world."""

    def __init__(self) -> None:
        super().__init__()
        self.world: World = self.make_world()
        self.acknowledged: dict[Place, Fact] = {}
        """What some client was told is recorded."""
        self.attempted: set[str] = set()
        """Subjects of everything that was ever submitted."""
        self.unanswered: dict[str, list[Draft]] = {domain: [] for domain in DOMAINS}
        """Commands that will be repeated, word for word, until they are answered."""
        self.redacted: set[Place] = set()
        self.drafts = 0
        self.lies: set[str] = set()
        """Nodes to which a dishonest peer handed something."""

    def make_world(self) -> World:
        raise NotImplementedError

    def teardown(self) -> None:
        self.world.close()

    # -- what people do --------------------------------------------------------------------------------------

    @rule(domain=NODES, count=st.integers(1, 5), private=st.booleans())
    def register(self, domain: str, count: int, private: bool) -> None:
        self.submit(domain, [self.draft(domain, private=private) for _ in range(count)])

    @rule(domain=NODES, number=st.integers(0, 50))
    def revise(self, domain: str, number: int) -> None:
        mine = [one for one in self.acknowledged_by(domain) if one.header.kind == "pilot"]
        if mine:
            fact = mine[number % len(mine)]
            subject = fact.header.subject
            version = self.world.version_of(domain, (fact.header.agency, "registry", subject))
            if version and subject not in {draft.subject for draft in self.unanswered[domain]}:
                audience = "private" if fact.header.ledger.is_private else "mesh"
                self.submit(domain, [self.draft(domain, subject.split("/")[1], version + 1, audience=audience)])

    @rule(domain=NODES)
    def repeat_what_was_not_answered(self, domain: str) -> None:
        drafts, self.unanswered[domain] = self.unanswered[domain], []
        self.submit(domain, drafts)

    @rule(domain=NODES, number=st.integers(0, 50))
    def redact(self, domain: str, number: int) -> None:
        mine = [one for one in self.acknowledged_by(domain) if one.header.type not in (REDACTED, REKEYED)]
        if mine:
            fact = mine[number % len(mine)]
            audience = "private" if fact.header.ledger.is_private else "mesh"
            epoch, sequence = fact.header.position
            named = [{"epoch": epoch, "sequence": sequence, "subject": fact.header.subject}]
            state = {"facts": named, "reason": "personal_data"}
            self.submit(domain, [self.draft(domain, kind="fact", verb="redacted", audience=audience, state=state)])

    @rule(domain=NODES)
    def rotate_key(self, domain: str) -> None:
        self.world.rotate(domain)

    def draft(
        self,
        domain: str,
        subject: str | None = None,
        version: int = 1,
        *,
        private: bool = False,
        kind: str = "pilot",
        verb: str | None = None,
        audience: str | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> Draft:
        self.drafts += 1
        agency, new = AGENCY_OF[domain], str(derived_id(NAMESPACE, str(self.drafts)))
        return Draft(
            agency=agency,
            service="registry",
            kind=kind,
            verb=verb or ("registered" if version == 1 else "revised"),
            id=subject or new,
            version=version,
            state=state or {"lead_agency": agency, "draft": self.drafts},
            author=OFFICER,
            audience=audience or ("private" if private else "mesh"),
            command=Command(f"{agency} {self.drafts}", "as it was", subject or new),
        )

    def submit(self, domain: str, drafts: Sequence[Draft]) -> None:
        self.attempted |= {draft.subject for draft in drafts}
        for draft, fact in zip(drafts, self.world.record(domain, drafts), strict=True):
            if fact is None:
                self.unanswered[domain].append(draft)
                continue
            held = self.acknowledged.setdefault(place_of(fact), fact)
            assert held.hash == fact.hash, f"{fact.place} was acknowledged to two clients, with different facts"
            for place in draft.state.get("facts", ()):
                self.redacted.add((draft.ledger, place["epoch"], place["sequence"]))

    def acknowledged_by(self, domain: str) -> list[Fact]:
        return [fact for _, fact in sorted(self.acknowledged.items()) if fact.header.agency == AGENCY_OF[domain]]

    # -- what nodes do by themselves -------------------------------------------------------------------------

    @rule(domain=NODES)
    def publish(self, domain: str) -> None:
        self.world.publish(domain)

    @rule(domain=NODES, most=st.integers(1, 8), acknowledged=st.booleans())
    def exchange(self, domain: str, most: int, acknowledged: bool) -> None:
        self.world.exchange(domain, most, acknowledged=acknowledged)

    @rule(domain=NODES)
    def attend(self, domain: str) -> None:
        self.world.attend(domain)

    @rule(domain=NODES)
    def fold(self, domain: str) -> None:
        self.world.fold(domain)

    # -- what befalls them -----------------------------------------------------------------------------------

    @rule(domain=NODES, writes=st.integers(0, 12))
    def crash_soon(self, domain: str, writes: int) -> None:
        self.world.crash_soon(domain, writes)

    @rule(domain=NODES)
    def kill(self, domain: str) -> None:
        self.world.kill(domain)

    @precondition(lambda self: not all(self.world.is_up(domain) for domain in DOMAINS))
    @rule()
    def start_all(self) -> None:
        for domain in DOMAINS:
            self.world.start(domain)

    @rule(domain=NODES, fates=FATES)
    def disturb_publishing(self, domain: str, fates: list[str]) -> None:
        self.world.disturb(domain, fates)

    @rule(domain=NODES)
    def lose_the_databases_answer(self, domain: str) -> None:
        self.world.lose_answers(domain, 1)

    @rule(member=LINKS)
    def cut(self, member: str) -> None:
        self.world.cut(member)

    @rule(member=LINKS)
    def heal(self, member: str) -> None:
        self.world.heal(member)

    @rule(domain=NODES, stream=st.sampled_from(("FACTS", "VERIFIED")))
    def wipe_a_stream(self, domain: str, stream: str) -> None:
        self.world.wipe(domain, stream)

    @rule(domain=NODES, member=LINKS, lie=LIES, number=st.integers(0, 50))
    def hand_out_a_lie(self, domain: str, member: str, lie: str, number: int) -> None:
        """A member's only peer is the hub; the hub's is this member."""
        liar = member if domain == HUB else HUB
        if self.world.lie(domain, liar, lie, number):
            self.lies.add(domain)

    @rule(domain=NODES)
    def copy_the_disk(self, domain: str) -> None:
        self.world.copy_disk(domain)

    @rule(domain=NODES)
    def put_the_disk_back(self, domain: str) -> None:
        if self.world.put_back_disk(domain):
            self.unanswered[domain].clear()  # whether they were carried out, only the disk could tell by their keys

    # -- what must be true -----------------------------------------------------------------------------------

    @rule()
    def everything_is_healed_and_right(self) -> None:
        self.world.converge()
        for domain in DOMAINS:
            self.repeat_what_was_not_answered(domain)
            assert not self.unanswered[domain]
        self.world.converge()
        held = {domain: self.world.held(domain) for domain in DOMAINS}
        for domain, one in held.items():
            self.nothing_acknowledged_is_lost(domain, one)
            self.nothing_is_invented(domain, one)
            assert one.faults == {}, f"{domain}: {one.faults}"
            assert one.refused <= HARMLESS | (REFUSED_LIES if domain in self.lies else set()), (
                f"{domain} refused: {one.refused}"
            )
            assert one.folded == one.rebuilt, f"{domain}: what was folded differs from its rebuild"
            order_is_kept(domain, one, self.redacted)
        first, *others = (
            {place: fact.hash for place, fact in one.facts.items() if is_shared(place)} for one in held.values()
        )
        assert all(other == first for other in others), "nodes hold different facts"
        assert len({one.shared for one in held.values()}) == 1, "nodes have folded different rows"

    def nothing_acknowledged_is_lost(self, domain: str, held: Held) -> None:
        for place, fact in self.acknowledged.items():
            own = fact.header.agency == AGENCY_OF[domain]
            if own or is_shared(place):
                there = held.facts.get(place)
                assert there is not None, f"{domain} lacks {fact.place}, which was acknowledged"
                assert there.hash == fact.hash, f"{domain} holds another fact in the place of {fact.place}"
                if place in self.redacted:
                    assert there.payload is None, f"{domain} still holds what {fact.place} said"
                else:
                    assert there.payload == fact.payload
            else:
                assert place not in held.facts, f"{domain} holds {fact.place}, which is private"

    def nothing_is_invented(self, domain: str, held: Held) -> None:
        for fact in held.facts.values():
            known = fact.header.subject in self.attempted or fact.header.type == REKEYED or fact.header.kind == "roster"
            assert known, f"{domain} holds {fact.place}, which nobody wrote"
        recorded = Counter(
            (fact.header.agency, fact.header.subject, fact.header.version)
            for fact in held.facts.values()
            if fact.header.kind == "pilot"
        )
        assert not [one for one, count in recorded.items() if count > 1], f"{domain}: one change stands twice"


def order_is_kept(domain: str, held: Held, redacted: Set[Place]) -> None:
    """A fact may come twice in a stream; it never comes for the first time after one that follows it. A redacted one is
    taken out, and its copy without content comes anew."""
    for (stream, ledger), places in held.published.items():
        first_times = [place for place in dict.fromkeys(places) if (ledger, *place) not in redacted]
        assert first_times == sorted(first_times), f"{domain}: {stream} holds {ledger} in the order {places}"
