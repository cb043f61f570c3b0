"""Signed heads: how far each ledger of a hosted agency has come, in its agency's own name."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from shared.facts.keys import signature_is_valid
from shared.facts.names import ANCHOR, ledger_name
from shared.facts.verify import Head
from shared.ledger.keyring import Keyring
from shared.ledger.store import LedgerStore

from . import domain


def signed_heads(
    store: LedgerStore, keyring: Keyring, mesh: str, ledgers: Iterable[str] | None = None
) -> list[dict[str, Any]]:
    """The heads of all ledgers (or of `ledgers`) of hosted agencies, each signed by its agency. Private ones are no
    secret as such: sequence and hash tell nothing of what is in them."""
    heads = []
    for ledger, head in store.durable_heads(ledgers).items():
        agency = ledger_name(ledger).agency
        if (not keyring.hosts(agency) and agency != ANCHOR) or head.sequence == 0:
            continue  # another node's; or its first fact is only being written, so there is nothing to sign
        key = keyring.key(agency)
        signature = key.private.sign(domain.head_statement(mesh, ledger, head))
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


def head_is_signed(mesh: str, public: bytes, told: dict[str, Any]) -> bool:
    """Whether `told` (as `signed_heads` gives it) was signed under `public`."""
    statement = domain.head_statement(mesh, told["ledger"], Head(told["epoch"], told["sequence"], told["hash"]))
    return signature_is_valid_over(public, statement, base64.b64decode(told["signature"]))


def signature_is_valid_over(public: bytes, statement: bytes, signature: bytes) -> bool:
    return signature_is_valid(public, statement.hex(), signature)
