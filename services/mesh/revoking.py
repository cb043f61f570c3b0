"""What the roster takes back: facts that a revoked key signed beyond the last good one; agencies not to be heard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.facts.keys import KeyBook
from shared.facts.names import ledger_name
from shared.facts.verify import Trouble, check_key
from shared.ledger.identity import SUSPENDED, Member
from shared.ledger.keyring import Keyring
from shared.ledger.store import LedgerStore

Position = tuple[int, int]


def suspended(members: Sequence[Member]) -> frozenset[str]:
    return frozenset(member.agency for member in members if member.status == SUSPENDED)


def facts_beyond(store: LedgerStore, members: Sequence[Member], book: KeyBook) -> Iterator[tuple[str, Position]]:
    """Ledgers that hold a fact under a key that does not hold for its place, and the last place before it.

    Only agencies of which a key was revoked are looked at; a private ledger is its own node's business.
    """
    revoked = {member.agency: member.revocations for member in members if member.revocations}
    for ledger in store.ledgers():
        name = ledger_name(ledger)
        if name.agency not in revoked or name.is_private:
            continue
        good = [one.last_good[ledger].position for one in revoked[name.agency] if ledger in one.last_good]
        at = before(min(good)) if len(good) == len(revoked[name.agency]) else (1, 0)
        keep = _last_good(store, ledger, at, book)
        if keep is not None:
            yield ledger, keep


def put_away_revoked(keyring: Keyring, book: KeyBook) -> list[str]:
    """Agencies of this node whose signing key was revoked: it signs nothing more, in no process of the node."""
    found = [agency for agency in keyring.hosted() if keyring.key(agency).keyid in book.revoked(agency)]
    for agency in found:
        keyring.put_away(agency)
    return found


def before(position: Position) -> Position:
    return position[0], position[1] - 1


def _last_good(store: LedgerStore, ledger: str, at: Position, book: KeyBook) -> Position | None:
    while facts := store.after(ledger, at, 256):
        for fact in facts:
            try:
                check_key(fact, book)
            except Trouble:
                return before(fact.header.position)
            at = fact.header.position
    return None
