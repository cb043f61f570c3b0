"""What the state machine acts upon: nodes of one mesh, their links, and what may happen to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.facts.fact import Fact
from shared.ledger.drafts import Draft

HUB = "hub"
MEMBERS = ("wfp", "fao")
DOMAINS = (HUB, *MEMBERS)
AGENCY_OF = {HUB: "unicc", **{member: member for member in MEMBERS}}

Place = tuple[str, int, int]


@dataclass
class Held:
    """What one node holds, folds and publishes, looked up when nothing is under way."""

    facts: dict[Place, Fact] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    """What the proof of its ledgers finds wrong."""
    refused: set[str] = field(default_factory=set)
    """Which checks refused something that came to it."""
    folded: str = ""
    rebuilt: str = ""
    shared: str = ""
    """A digest of the rows, as far as they stand on ledgers for the whole mesh."""
    published: dict[tuple[str, str], list[tuple[int, int]]] = field(default_factory=dict)
    """By stream and ledger the places that its streams hold, in their order."""


class World(Protocol):
    """A hub and members. Acts upon a node that is down have no effect."""

    def is_up(self, domain: str) -> bool: ...

    def start(self, domain: str) -> None: ...

    def kill(self, domain: str) -> None: ...

    def record(self, domain: str, drafts: Sequence[Draft]) -> list[Fact | None]:
        """For each draft the fact that was acknowledged; None if no answer came."""

    def version_of(self, domain: str, aggregate: tuple[str, str, str]) -> int: ...

    def rotate(self, domain: str) -> None: ...

    def publish(self, domain: str) -> None: ...

    def exchange(self, domain: str, most: int, *, acknowledged: bool) -> None:
        """Pulls at most so many messages from each outlet of each peer."""

    def attend(self, domain: str) -> None:
        """Exchanges heads with each peer, and asks for what is missing."""

    def fold(self, domain: str) -> None: ...

    def cut(self, member: str) -> None: ...

    def heal(self, member: str) -> None: ...

    def crash_soon(self, domain: str, writes: int) -> None:
        """The node dies before the write that follows so many."""

    def disturb(self, domain: str, fates: Sequence[str]) -> None:
        """What becomes of its next publishes: lost, unacknowledged, and so on."""

    def lose_answers(self, domain: str, inserts: int) -> None:
        """Its next so many inserts are done, and nobody hears of it."""

    def wipe(self, domain: str, stream: str) -> None: ...

    def lie(self, domain: str, liar: str, lie: str, number: int) -> bool:
        """The liar, if it is a peer, hands out what it must not, and nothing of it is stored. False, and nothing is
        done, where that cannot be."""

    def copy_disk(self, domain: str) -> None: ...

    def put_back_disk(self, domain: str) -> bool:
        """The disk is what it was when it was copied. False, and nothing is done, where that would lose what nobody
        else holds: an operator must not do it then, and no design can make it good."""

    def converge(self) -> None:
        """Heals everything and lets it run, for a bounded time; fails if the nodes do not become level."""

    def held(self, domain: str) -> Held: ...

    def close(self) -> None: ...
