"""Who has carried out a redaction: this node says so once nothing of it is left here, and gathers what others say.

Every redaction that this node folded has an entry: which nodes are to carry it out, by the roster as it is then, and
whether this one has. A hub gathers the confirmations of its members, a member asks its hub for those about its own
redactions. All of it may be repeated, and nothing hangs on when: whoever was away for days is asked when it is back.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pymongo import ASCENDING, UpdateOne
from pymongo.database import Database

from shared.facts.fact import Fact, rfc3339
from shared.facts.keys import KeyBook
from shared.facts.names import LedgerName, ledger_name
from shared.facts.verify import Trouble
from shared.ledger.circles import CircleReaders
from shared.ledger.confirmation import Confirmation, check_confirmation, confirmation_in
from shared.ledger.identity import SUSPENDED, Identity, Member, Roster
from shared.ledger.keyring import Keyring
from shared.ledger.quarantine import Quarantine
from shared.ledger.rows import redactions_in
from shared.ledger.store import JOURNALED, Document, LedgerStore

log = logging.getLogger(__name__)

AT_ONCE = 64
"""Redactions that one question asks about."""
MOST_TOLD = 1500
"""Confirmations in one answer: a message is at most 1 MiB."""

NEW, DOING, DONE = "new", "doing", "done"


@dataclass(frozen=True)
class Redacted:
    """One redacting fact and who is to carry it out."""

    hash: str
    id: str
    ledger: str
    epoch: int
    sequence: int
    expected: Mapping[str, Sequence[str]]
    """Agencies by the domain of the node that hosts them; none for a hub that hosts nobody."""
    stands: str
    gone: Sequence[str] = ()
    """Domains that were expected, never said a word, and host no agency any more: nobody is left to ask."""

    @property
    def place(self) -> str:
        return f"{self.ledger}:{self.epoch}:{self.sequence}"


class Confirmations:
    """The entries, and what nodes said. On disk before a method returns."""

    def __init__(self, database: Database[Document]) -> None:
        self._entries = database.get_collection("forgotten", write_concern=JOURNALED)
        self._told = database.get_collection("confirmations", write_concern=JOURNALED)
        self._entries.create_index([("stands", ASCENDING)])
        self._entries.create_index([("open", ASCENDING)])
        self._told.create_index([("redaction", ASCENDING)])

    def note(self, fact: Fact) -> None:
        """This redaction was folded here. May be repeated."""
        header = fact.header
        entry = {
            "ledger": str(header.ledger),
            "agency": header.agency,
            "id": header.subject.split("/", 1)[1],
            "epoch": header.epoch,
            "sequence": header.sequence,
            "stands": NEW,
            "open": True,
        }
        self._entries.update_one({"_id": fact.hash}, {"$setOnInsert": entry}, upsert=True)

    def standing(self, stands: str) -> list[Redacted]:
        return [_redacted(one) for one in self._entries.find({"stands": stands})]

    def open(self) -> list[Redacted]:
        """Redactions that somebody has not confirmed yet."""
        return [_redacted(one) for one in self._entries.find({"open": True}) if "expected" in one]

    def of_agencies(self, agencies: Iterable[str]) -> list[Redacted]:
        """Redactions of these agencies, the newest first."""
        found = self._entries.find({"agency": {"$in": sorted(agencies)}})
        return sorted(map(_redacted, found), key=lambda one: (one.id, one.hash), reverse=True)

    def find(self, redaction: str) -> Redacted | None:
        found = self._entries.find_one({"_id": redaction})
        return None if found is None else _redacted(found)

    def expect(self, redaction: str, nodes: Mapping[str, Sequence[str]]) -> None:
        """These nodes are to carry it out. What was expected first stays."""
        self._entries.update_one(
            {"_id": redaction, "stands": NEW}, {"$set": {"expected": _listed(nodes), "stands": DOING}}
        )

    def release(self, one: Redacted, gone: Iterable[str]) -> None:
        """These nodes are waited for no more; that they never confirmed stays written."""
        left = {domain: one.expected[domain] for domain in one.expected if domain not in gone}
        now = {"expected": _listed(left), "gone": sorted({*one.gone, *gone})}
        self._entries.update_one({"_id": one.hash}, {"$set": now})

    def done(self, redaction: str) -> None:
        self._entries.update_one({"_id": redaction}, {"$set": {"stands": DONE}})

    def set_open(self, redaction: str, is_open: bool) -> None:
        self._entries.update_one({"_id": redaction}, {"$set": {"open": is_open}})

    def drop(self, redaction: str) -> None:
        """The redaction itself was given up: nobody is asked about it."""
        self._entries.delete_one({"_id": redaction})

    def keep(self, told: Sequence[Confirmation]) -> None:
        """One word of each node about each redaction. That they are authentic was checked."""
        self._told.bulk_write(
            [UpdateOne({"_id": f"{one.redaction}|{one.domain}"}, {"$set": one.as_json()}, upsert=True) for one in told]
        )

    def told(self, redactions: Iterable[str]) -> dict[str, dict[str, Confirmation]]:
        """By redaction and domain."""
        found: dict[str, dict[str, Confirmation]] = {}
        for one in self._told.find({"redaction": {"$in": list(redactions)}}):
            read = confirmation_in(one)
            if read is not None:
                found.setdefault(read.redaction, {})[read.domain] = read
        return found


def _listed(nodes: Mapping[str, Sequence[str]]) -> list[Document]:
    return [{"domain": domain, "agencies": sorted(agencies)} for domain, agencies in sorted(nodes.items())]


def _redacted(entry: Document) -> Redacted:
    expected = {one["domain"]: tuple(one["agencies"]) for one in entry.get("expected", ())}
    place, gone = (entry["ledger"], entry["epoch"], entry["sequence"]), tuple(entry.get("gone", ()))
    return Redacted(entry["_id"], entry["id"], *place, expected, entry["stands"], gone)


class Confirming:
    """What the node says, whom it asks, and what it believes."""

    def __init__(
        self,
        store: LedgerStore,
        keyring: Keyring,
        identity: Identity,
        roster: Roster,
        own_domain: str,
        database: Database[Document],
        quarantine: Quarantine,
    ) -> None:
        self.confirmations = Confirmations(database)
        self._store = store
        self._keyring = keyring
        self._identity = identity
        self._roster = roster
        self._own = own_domain
        self._quarantine = quarantine
        self._circles = CircleReaders(store)
        self._revoked: frozenset[tuple[str, str]] = frozenset()

    # -- this node -------------------------------------------------------------------------------------------

    def expected(self, ledger: LedgerName) -> dict[str, list[str]]:
        """The nodes that hold this ledger, or may: by the roster as it is now. Also those of suspended agencies:
        they have what they were given before."""
        nodes: dict[str, list[str]] = {self._own: []}
        if ledger.is_private:
            return {self._own: [ledger.agency]}
        hub = self._own if self._identity.hub is None else self._identity.hub.domain
        if self._identity.hub is not None:
            nodes[hub] = []
        readers = None if ledger.circle is None else self._circles.now(ledger, self._roster.state())
        for member in self._roster.members():
            if readers is None or member.agency in readers:
                here = self._keyring.hosts(member.agency)
                nodes.setdefault(member.domain or (self._own if here else hub), []).append(member.agency)
        return nodes

    def confirm(self, one: Redacted, now: datetime | None = None) -> None:
        """Nothing of it is left on this node."""
        own = Confirmation(one.hash, self._own, rfc3339(now or datetime.now(UTC)))
        if self._own not in self.confirmations.told([one.hash]).get(one.hash, {}):
            self.confirmations.keep([own])
        self.confirmations.done(one.hash)

    def _signed(self, one: Confirmation, members: Sequence[Member]) -> Confirmation | None:
        """This node's own word as others get it. None while no agency here can sign: its key was revoked."""
        hosted = [member for member in members if member.domain == self._own]
        if not hosted:
            return one
        for member in sorted(hosted, key=lambda member: (member.status == SUSPENDED, member.agency)):
            if member.agency in self._keyring.hosted():
                return one.signed(self._identity.mesh, member.agency, self._keyring.key(member.agency))
        return None

    def answer(self, asked: Iterable[tuple[str, Sequence[str]]]) -> list[dict[str, Any]]:
        """What is known here of these redactions and nodes. The caller has seen to it that the asker may know."""
        members = self._roster.members()
        wanted = dict(asked)
        told = self.confirmations.told(wanted)
        answer: list[dict[str, Any]] = []
        for redaction, nodes in wanted.items():
            for domain, one in told.get(redaction, {}).items():
                said = self._signed(one, members) if domain == self._own else one
                if domain in nodes and said is not None and len(answer) < MOST_TOLD:
                    answer.append(said.as_json())
        return answer

    # -- others ----------------------------------------------------------------------------------------------

    def missing(self, peer: str, book: KeyBook) -> list[tuple[str, list[str]]]:
        """What to ask this peer: the hub for every node that has not confirmed a redaction of an agency of this node,
        a member's node for its own word."""
        upstream = self._identity.hub is not None and peer == self._identity.hub.domain
        self._reopen(book)
        asked, named = [], {member.domain for member in self._roster.members()}
        open_ = self.confirmations.open()
        told = self.confirmations.told(one.hash for one in open_)
        for one in open_:
            if upstream and not self._keyring.hosts(ledger_name(one.ledger).agency):
                continue
            lacking = sorted(one.expected.keys() - self.confirmed(one, book, told).keys())
            gone = [domain for domain in lacking if one.expected[domain] and domain not in {*named, self._own}]
            if gone and any(named):
                log.warning("%s: %s left the roster without a word on the redaction", one.place, ", ".join(gone))
                self.confirmations.release(one, gone)
                lacking = [domain for domain in lacking if domain not in gone]
            if not lacking and one.stands == DONE:
                self.confirmations.set_open(one.hash, False)
            wanted = [domain for domain in lacking if domain != self._own and (upstream or domain == peer)]
            if wanted:
                asked.append((one.hash, wanted))
        return asked

    def confirmed(
        self, one: Redacted, book: KeyBook, told: Mapping[str, Mapping[str, Confirmation]] | None = None
    ) -> dict[str, Confirmation]:
        """By domain, of the nodes that are expected to confirm. What was signed under a key that was revoked since
        counts no more. `told`: what is kept, where it was read already."""
        found, kept = {}, self.confirmations.told([one.hash]) if told is None else told
        for domain, said in kept.get(one.hash, {}).items():
            revoked = said.agency is not None and said.keyid in book.revoked(said.agency)
            if domain in one.expected and (domain == self._own or not revoked):
                found[domain] = said
        return found

    def _reopen(self, book: KeyBook) -> None:
        """Keys were revoked: redactions of which a confirmation counts no more are asked about again."""
        if book.all_revoked == self._revoked:
            return
        done = self.confirmations.standing(DONE)
        told = self.confirmations.told(one.hash for one in done)
        for one in done:
            if one.expected.keys() - self.confirmed(one, book, told).keys():
                self.confirmations.set_open(one.hash, True)
        self._revoked = book.all_revoked

    def take(self, peer: str, asked: Sequence[tuple[str, Sequence[str]]], told: Iterable[object], book: KeyBook) -> int:
        """Keeps what nodes really said of what was asked; the rest is recorded as refused. How much was kept."""
        members, wanted = self._roster.members(), dict(asked)
        kept = []
        for raw in told:
            one = confirmation_in(raw)
            if one is None or one.domain not in wanted.get(one.redaction, ()):
                continue
            try:
                check_confirmation(one, mesh=self._identity.mesh, members=members, book=book, told_by=peer)
            except Trouble as trouble:
                self._refuse(peer, one, trouble)
            else:
                kept.append(one)
        if kept:
            self.confirmations.keep(kept)
        return len(kept)

    def _refuse(self, peer: str, one: Confirmation, trouble: Trouble) -> None:
        found = self.confirmations.find(one.redaction)
        self._quarantine.add(
            source=f"peer {peer}",
            kind=trouble.kind,
            code=trouble.code,
            detail=trouble.detail,
            content=f"{one.redaction}|{one.domain}|{one.signature}".encode(),
            place=None if found is None else found.place,
        )


def named_places(fact: Fact) -> list[tuple[str, int, int]]:
    return [(one.ledger, one.epoch, one.sequence) for one in redactions_in(fact)]
