"""Reopening a frozen ledger: by the recovery key alone, in the next epoch, from the head that is left.

What others may have seen beyond that head is given up by this, for good: restore it first, if anybody still has it.
"""

from __future__ import annotations

import secrets
from datetime import datetime

from shared.facts.fact import SALT_BYTES, Fact, rfc3339, to_bytes
from shared.facts.ids import derived_id, new_id
from shared.facts.keys import SigningKey, Unsigned, key_id, seal
from shared.facts.names import ledger_name
from shared.facts.verify import REOPENED
from shared.ledger.drafts import Author
from shared.ledger.identity import Identity, Roster
from shared.ledger.store import LedgerStore
from shared.problems import Conflict, Forbidden


def reopen(
    store: LedgerStore,
    identity: Identity,
    ledger: str,
    recovery: SigningKey,
    author: Author,
    reason: str,
    now: datetime,
) -> Fact:
    """Writes `ledger.reopened` and returns it. `Keyring.touch` afterwards lets services that run go on at once.

    Raises Forbidden if `recovery` is not the key that the roster binds to the agency, Conflict if the ledger is empty.
    """
    name = ledger_name(ledger)
    bound = Roster(store, identity).book().recovery.get(name.agency)
    if bound is None or recovery.keyid != key_id(bound):
        raise Forbidden(f"The roster binds another recovery key to {name.agency}.")
    head = store.head(ledger)
    if not head.sequence:
        raise Conflict(f"{ledger} holds no fact: there is nothing to go on from.")
    about = f"ledger/{derived_id('ledger', ledger)}"
    before = store.newest(name.agency, name.service, about)
    unsigned = Unsigned(
        mesh=identity.mesh,
        ledger=ledger,
        id=new_id(),
        type=REOPENED,
        subject=about,
        version=1 if before is None else before.header.version + 1,
        time=rfc3339(now),
        actor=author.actor,
        role=author.role,
        office=author.office,
        payload=to_bytes({"ledger": ledger, "epoch": head.epoch, "sequence": head.sequence, "reason": reason}),
    )
    fact = seal(
        unsigned,
        epoch=head.epoch + 1,
        sequence=1,
        previous=head.hash,
        salt=secrets.token_bytes(SALT_BYTES),
        key=recovery,
    )
    store.insert([fact], [None], own=True)
    return fact
