"""Signed heads: how far each ledger of a hosted agency has come, witnessed outside the database.

A database put back to an earlier state is found out, because the heads it has lost are still in <home>/heads.jsonl.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from shared.facts.keys import signature_is_valid
from shared.facts.names import ANCHOR, ledger_name
from shared.facts.verify import Head
from shared.ledger.keyring import Keyring
from shared.ledger.store import LedgerStore

from . import domain

KEPT = 10_000
"""Lines kept in the file of witnessed heads; older ones are implied by the chain of the newer."""


def signed_heads(store: LedgerStore, keyring: Keyring, mesh: str) -> list[dict[str, Any]]:
    """The heads of all ledgers of hosted agencies, each signed by its agency. Private ones are no secret as such:
    sequence and hash tell nothing of what is in them."""
    heads = []
    for ledger, head in store.heads().items():
        agency = ledger_name(ledger).agency
        if not keyring.hosts(agency) and agency != ANCHOR:
            continue
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


class Witness:
    """The file of witnessed heads of one node."""

    def __init__(self, home: Path) -> None:
        self.path = home / "heads.jsonl"
        self._last: dict[str, tuple[int, int]] = {}

    def remember(self, heads: Iterable[dict[str, Any]]) -> int:
        """Appends what has moved since the last time; on disk before this returns."""
        moved = [head for head in heads if self._last.get(head["ledger"]) != (head["epoch"], head["sequence"])]
        if not moved:
            return 0
        with self.path.open("a") as file:
            file.writelines(json.dumps(head, sort_keys=True) + "\n" for head in moved)
            file.flush()
            os.fsync(file.fileno())
        for head in moved:
            self._last[head["ledger"]] = (head["epoch"], head["sequence"])
        self._shorten()
        return len(moved)

    def _shorten(self) -> None:
        lines = self.path.read_text().splitlines()
        if len(lines) <= KEPT * 2:
            return
        scratch = self.path.with_suffix(".new")
        scratch.write_text("\n".join(lines[-KEPT:]) + "\n")
        scratch.replace(self.path)

    def all(self) -> list[dict[str, Any]]:
        """Every witnessed head; a line cut off by a crash is passed over."""
        if not self.path.exists():
            return []
        heads = []
        for line in self.path.read_text().splitlines():
            try:
                heads.append(json.loads(line))
            except ValueError:
                continue
        return heads

    def missing(self, store: LedgerStore) -> list[str]:
        """Witnessed heads that the store does not hold, one sentence each."""
        witnessed = self.all()
        held = {}
        for head in witnessed:
            fact = store.at(head["ledger"], head["epoch"], head["sequence"])
            if fact is not None:
                held[(head["ledger"], head["epoch"], head["sequence"])] = fact.hash
        return domain.missing_heads(witnessed, held)
