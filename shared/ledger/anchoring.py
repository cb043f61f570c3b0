"""The anchor's recovery key: bound by the roster once, and never another."""

from __future__ import annotations

from pathlib import Path

from shared.facts.keys import SigningKey
from shared.facts.names import ANCHOR
from shared.ledger.appender import Appender
from shared.ledger.drafts import Author, Draft
from shared.ledger.identity import Identity, Roster
from shared.ledger.keyring import Keyring, write_secret
from shared.ledger.rekeying import recovery_key
from shared.ledger.store import LedgerStore
from shared.problems import Conflict, Stale

ATTEMPTS = 20


def bind_anchor_recovery(
    store: LedgerStore, identity: Identity, keyring: Keyring, file: Path, author: Author
) -> SigningKey:
    """Makes the key, writes it into `file` and records the roster that names its public half; `file` as it is, if a
    repetition finds it there. Raises Conflict if the roster names one already, or the anchor's key is not here."""
    roster = Roster(store, identity)
    if roster.anchor_recovery() is not None:
        raise Conflict("The roster names the anchor's recovery key already; it is bound once and never re-assigned.")
    if not keyring.hosts(ANCHOR):
        raise Conflict("The anchor's key is not on this node, so the roster cannot be changed now.")
    try:
        write_secret(file.absolute(), SigningKey.make().secret().hex() + "\n")
    except FileExistsError:
        pass  # of an attempt that did not come to its end; if it holds something else, that is told below
    except OSError as error:
        raise Conflict(f"{file} cannot be written: {error.strerror or error}.") from error
    made = recovery_key(file.read_text())
    appender = Appender(store, keyring, identity.mesh)
    appender.start()
    try:
        for _ in range(ATTEMPTS):
            newest = store.newest(ANCHOR, "mesh", "roster/mesh")
            state = {} if newest is None else dict(newest.state or {})
            version = 1 if newest is None else newest.header.version + 1
            state = {"agencies": [], **state, "anchor_recovery": made.public.hex()}
            try:
                appender.record(Draft(ANCHOR, "mesh", "roster", "issued", "mesh", version, state, author))
            except Stale:
                continue
            return made
    finally:
        appender.stop()
    raise Stale("The roster changed on every attempt; try again.")
