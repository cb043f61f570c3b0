"""Which of an agency's keys signs the next fact of a ledger: the one that holds there, never simply the newest.

The ledger itself says so: its newest rekeying, or else the key under which it was begun. A ledger that is only now
begun stands under the key that the agency announced last (docs/adr/0013).
"""

from __future__ import annotations

from collections.abc import Iterable

from shared.facts.fact import Fact, Unreadable
from shared.facts.keys import SigningKey, key_id
from shared.facts.names import ledger_name
from shared.facts.verify import Head, announcements_of
from shared.ledger.keyring import Keyring
from shared.ledger.store import LedgerStore
from shared.problems import Conflict


def signer(store: LedgerStore, keyring: Keyring, ledger: str, head: Head) -> SigningKey:
    """The private key for the fact after `head`. Raises Misdirected if the agency is not hosted here, Conflict if
    its key was revoked or the right one is missing."""
    agency = ledger_name(ledger).agency
    current = keyring.key(agency)
    wanted = key_named_in(store, ledger, head)
    if wanted is None or wanted == current.keyid:
        return current
    held = keyring.by_id(agency, wanted)
    if held is None:
        raise Conflict(
            f"{ledger} stands under key {wanted}, which is not on this node. Go on with the rotation "
            f"(`pilotmesh keys rotate {agency}`, or recover: `pilotmesh keys recover {agency}`)."
        )
    return held


def key_named_in(store: LedgerStore, ledger: str, head: Head) -> str | None:
    """The id of the key that signs after `head`, as the facts tell it; None if they say nothing."""
    public = public_named_by(fact for fact in store.rekeyings(ledger) if fact.header.position <= head.position)
    if public is not None:
        return key_id(public)
    if head.sequence:
        first = store.at(ledger, 1, 1)
        return None if first is None else first.header.keyid
    public = public_named_by(store.rekeyings(announcements_of(ledger_name(ledger).agency)))
    return None if public is None else key_id(public)


def public_named_by(rekeyings: Iterable[Fact]) -> bytes | None:
    """The public key that the last of these rekeyings names; None if none of them can be read."""
    named = None
    for fact in rekeyings:
        try:
            named = bytes.fromhex((fact.state or {})["public"])
        except (Unreadable, KeyError, ValueError, TypeError):
            continue
    return named
