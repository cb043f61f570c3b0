"""Signed heads: how far each ledger of a hosted agency has come, in its agency's own name."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from shared.facts.names import ledger_name
from shared.facts.verify import head_statement
from shared.ledger.keyring import Keyring
from shared.ledger.signing import signer
from shared.ledger.store import LedgerStore
from shared.ledger.witness import Witness, head_is_signed
from shared.problems import Conflict


def signed_heads(
    store: LedgerStore, keyring: Keyring, mesh: str, ledgers: Iterable[str] | None = None
) -> list[dict[str, Any]]:
    """The heads of all ledgers (or of `ledgers`) of hosted agencies, each signed by its agency. Private ones are no
    secret as such: sequence and hash tell nothing of what is in them."""
    heads = []
    for ledger, head in store.durable_heads(ledgers).items():
        if not keyring.hosts(ledger_name(ledger).agency) or head.sequence == 0:
            continue  # another node's; or its first fact is only being written, so there is nothing to sign
        try:
            key = signer(store, keyring, ledger, head)
        except Conflict:
            continue  # its key is gone: until it is rekeyed nobody can say anything in its name
        signature = key.private.sign(head_statement(mesh, ledger, head))
        heads.append(
            {
                "ledger": ledger,
                "epoch": head.epoch,
                "sequence": head.sequence,
                "hash": head.hash,
                "keyid": key.keyid,
                "signature": base64.b64encode(signature).decode(),
            }
        )
    return heads


class HeadsKeeper:
    """Witnesses the node's own heads as they move. Its step runs in a worker."""

    def __init__(self, store: LedgerStore, keyring: Keyring, mesh: str, witness: Witness) -> None:
        self._store = store
        self._keyring = keyring
        self._mesh = mesh
        self._witness = witness
        self._seen: dict[str, tuple[int, int]] = {}

    def step(self) -> bool:
        tails = self._store.tails()
        moved = [ledger for ledger, tail in tails.items() if self._seen.get(ledger) != tail]
        if moved:
            self._witness.remember(signed_heads(self._store, self._keyring, self._mesh, moved))
            self._seen.update(tails)
        return False


__all__ = ["HeadsKeeper", "head_is_signed", "signed_heads"]
