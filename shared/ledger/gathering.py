"""Gathers evidence: the facts about a record and what rests on it, and as much of each ledger as proves their place.

What rests on a record is found in the facts themselves: whose content names it, and what those decided on. Reads every
ledger of the node once; a record is asked for rarely.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.facts.fact import Fact, rfc3339
from shared.facts.keys import KeyBook, signature_is_valid
from shared.facts.names import KINDS, SUBJECT, UUID, ledger_name
from shared.facts.verify import REDACTED, REKEYED, REOPENED, Head, announcements_of, head_statement
from shared.ledger.evidence import FORMAT, is_open, pack, shown, written
from shared.ledger.identity import ROSTER_LEDGER, Identity, Roster
from shared.ledger.rows import redactions_in
from shared.ledger.store import LedgerStore, fact_of
from shared.problems import Fault, Invalid, NotFound

CARRIERS = frozenset({"proposal", "testbed", "plan", "indicator"})
"""What names a record and is named in its turn: who answered a proposal about a pilot rests on the pilot as well."""
EXPLAINING = frozenset({REKEYED, REOPENED, REDACTED})
"""Facts whose content a chain cannot be understood without."""

Position = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Mention:
    """A fact, what it is about, and every id that its content names."""

    ledger: str
    position: Position
    kind: str
    own: str
    ids: frozenset[str]


def gather(
    store: LedgerStore,
    identity: Identity,
    about: str,
    heads: Iterable[Mapping[str, Any]],
    now: datetime,
    *,
    private: bool = False,
) -> bytes:
    """The file's bytes. `heads`: witnessed heads, of whatever ledgers; `private`: also what only this node, or a
    circle, may read. Raises Invalid if `about` names no record, NotFound if this node has no fact about it to show."""
    if not SUBJECT.fullmatch(about) or about.split("/", 1)[0] not in frozenset().union(*KINDS.values()):
        raise Invalid([Fault("about", "subject", "a record such as pilot/ID, proposal/ID, testbed/ID or agency/wfp")])
    found, left_out = _concerned(store, about, private)
    if not any(fact.header.subject == about for fact in found):
        hint = "; private and circle ledgers hold some: --private shows them" if left_out else ""
        raise NotFound(f"This node holds no fact about {about} that it may show{hint}.")
    book = Roster(store, identity).book()
    ends = _ends(store, found)
    document = {
        "format": FORMAT,
        "about": about,
        "mesh": identity.mesh,
        "anchor": identity.anchor.hex(),
        "made_at": rfc3339(now),
        "private": private and any(not is_open(fact.header.ledger) for fact in found),
        "left_out": left_out,
        "shown": [shown(fact) for fact in found],
        "ledgers": {ledger: pack(_chain(store, ledger, end)) for ledger, end in sorted(ends.items())},
        "heads": list(_proving(heads, ends, store, book, identity.mesh)),
    }
    return written(document)


def _concerned(store: LedgerStore, about: str, private: bool) -> tuple[list[Fact], dict[str, int]]:
    """The facts to show, by ledger and place; and how many were left out by whom they are for."""
    mentions = list(_mentions(store))
    record = about.split("/", 1)[1]
    named = {record} if UUID.fullmatch(record) else set[str]()
    chosen: dict[tuple[str, Position], Mention] = {}
    grown = True
    while grown:
        grown = False
        for one in mentions:
            place = (one.ledger, one.position)
            if place in chosen or not (one.own == about or one.own.split("/", 1)[1] in named or one.ids & named):
                continue
            chosen[place] = one
            if one.kind in CARRIERS and one.own.split("/", 1)[1] not in named:
                named.add(one.own.split("/", 1)[1])
                grown = True
    facts: dict[tuple[str, Position], Fact] = {}
    left_out: dict[str, int] = {}
    waiting = [store.at(ledger, *position) for ledger, position in sorted(chosen)]
    while waiting:
        fact = waiting.pop()
        if fact is None or (place := (str(fact.header.ledger), fact.header.position)) in facts:
            continue
        if not private and not is_open(fact.header.ledger):
            audience = "private" if fact.header.ledger.is_private else "circle"
            left_out[audience] = left_out.get(audience, 0) + 1
            continue
        facts[place] = fact
        waiting += [store.by_hash(rest.hash) for rest in fact.header.rests_on]
    return [facts[place] for place in sorted(facts)], left_out


def _mentions(store: LedgerStore) -> Iterator[Mention]:
    for ledger in store.ledgers():
        if ledger_name(ledger).service == "mesh":
            continue
        for document in store.walk(ledger):
            payload = document["payload"]
            text = "" if payload is None else bytes(payload).decode(errors="replace")
            position = (document["epoch"], document["sequence"])
            kind = str(document["type"]).split(".")[2]
            yield Mention(ledger, position, kind, document["aggregate"], frozenset(UUID.findall(text)))


def _ends(store: LedgerStore, found: Iterable[Fact]) -> dict[str, Position]:
    """How far each ledger is needed: up to its last fact that is shown, the redaction that explains a missing content,
    and the last announcement of a key; the roster whole."""
    ends: dict[str, Position] = {ROSTER_LEDGER: store.head(ROSTER_LEDGER).position}

    def reach(fact: Fact) -> None:
        ledger = str(fact.header.ledger)
        ends[ledger] = max(fact.header.position, ends.get(ledger, (0, 0)))

    for fact in found:
        reach(fact)
        if fact.payload is None:
            for redaction in store.redactions(fact.header.ledger):
                if any((one.epoch, one.sequence) == fact.header.position for one in redactions_in(redaction)):
                    reach(redaction)
    agencies = {ledger_name(ledger).agency for ledger in ends}
    for announcement in store.rekeyings():
        agency = announcement.header.agency
        if agency in agencies and str(announcement.header.ledger) == announcements_of(agency):
            reach(announcement)
    return ends


def _chain(store: LedgerStore, ledger: str, end: Position) -> Iterator[tuple[Fact, bool]]:
    for document in store.walk(ledger):
        if (document["epoch"], document["sequence"]) > end:
            return
        yield fact_of(document), ledger == ROSTER_LEDGER or document["type"] in EXPLAINING


def _proving(
    heads: Iterable[Mapping[str, Any]], ends: Mapping[str, Position], store: LedgerStore, book: KeyBook, mesh: str
) -> Iterator[dict[str, Any]]:
    """Of each ledger in the file the newest witnessed head that agrees with this node and is signed by its owner."""
    newest: dict[str, dict[str, Any]] = {}
    for told in heads:
        ledger = str(told.get("ledger"))
        if ledger not in ends or (told["epoch"], told["sequence"]) < _place(newest.get(ledger)):
            continue
        head = Head(told["epoch"], told["sequence"], told["hash"])
        held = store.at(ledger, *head.position)
        agency, after = ledger_name(ledger).agency, (head.epoch, head.sequence + 1)
        ranges = (book.find(agency, told.get("keyid", ""), ledger, at) for at in (head.position, after))
        public = next((one.public for one in ranges if one is not None), None)
        if held is None or held.hash != head.hash or public is None:
            continue
        signature = base64.b64decode(told["signature"])
        if signature_is_valid(public, head_statement(mesh, ledger, head).hex(), signature):
            names = ("ledger", "epoch", "sequence", "hash", "keyid", "signature")
            newest[ledger] = {name: told[name] for name in names}
    for ledger in sorted(newest):
        yield newest[ledger]


def _place(head: Mapping[str, Any] | None) -> Position:
    return (0, 0) if head is None else (head["epoch"], head["sequence"])
