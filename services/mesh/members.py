"""The roster's writer, and the file by which the hub's NATS server learns who may link."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.facts.fact import Fact
from shared.facts.names import ANCHOR
from shared.ledger.drafts import Author, Draft
from shared.ledger.identity import Identity, Roster
from shared.ledger.keyring import Keyring, replace_secret
from shared.ledger.ledger import Ledger
from shared.problems import Conflict, Stale

from . import membership
from .membership import RosterChange

ATTEMPTS = 20


class RosterWriter:
    """Records changes of the roster, signed by the anchor."""

    def __init__(self, ledger: Ledger, keyring: Keyring, identity: Identity, *, takes_links: bool = True) -> None:
        self._ledger = ledger
        self._keyring = keyring
        self._identity = identity
        self._takes_links = takes_links
        self.now = ledger.now

    def newest(self) -> Fact | None:
        return self._ledger.newest(ANCHOR, "roster", "mesh")

    def state(self) -> Mapping[str, Any]:
        newest = self.newest()
        return {} if newest is None else newest.state or {}

    def change(self, author: Author, change: RosterChange) -> Fact:
        """Makes the roster what `change` answers for it as it stands; nothing is recorded if that is the same.

        Raises what `change` raises, Conflict where the anchor's key is not at hand, Stale if it never came to it.
        """
        for _ in range(ATTEMPTS):
            newest = self.newest()
            before = {} if newest is None else dict(newest.state or {})
            after = change(before)
            if newest is not None and after == before:
                return newest
            self.need_anchor()
            draft = Draft(
                agency=ANCHOR,
                service="mesh",
                kind="roster",
                verb="issued",
                id="mesh",
                version=1 if newest is None else newest.header.version + 1,
                state=after,
                author=author,
            )
            try:
                return self._ledger.record(draft).fact
            except Stale:
                continue
        raise Stale("The roster changed on every attempt; try again.")

    def anchor_key(self) -> str | None:
        """Public half, in hex, of the key that signs the roster now; None where it is not at hand."""
        return self._keyring.key(ANCHOR).public.hex() if self._keyring.hosts(ANCHOR) else None

    def need_anchor(self) -> None:
        """Raises Conflict, with the remedy, where this node cannot sign the roster."""
        if self._keyring.hosts(ANCHOR):
            return
        hub = self._identity.hub
        if hub is not None and not self._takes_links:
            raise Conflict(
                f"This node is a member: who is in the mesh is the hub's to record ({hub.url}). Another agency joins "
                "with an invite of its own: `pilotmesh node join FILE`."
            )
        raise Conflict(
            "The anchor's key is not on this node, so the roster cannot be changed now. Put it back for as long as "
            "it takes: `pilotmesh hub anchor put-back FILE`. It must be on one node only."
        )


class LinkFile:
    """`<home>/nats/members.json` as the roster has it; whoever runs the NATS server watches it (deploy/nats)."""

    def __init__(self, roster: Roster, home: Path, own_domain: str) -> None:
        self._roster = roster
        self._path = home / "nats" / "members.json"
        self._hub = home / "nats" / "hub.json"
        self._own_domain = own_domain

    def step(self) -> bool:
        """Writes the file if it says otherwise. Nothing on a node that is no hub."""
        if self._hub.exists():
            text = json.dumps({"leaves": membership.leaves(self._roster.state(), self._own_domain)}, indent=2) + "\n"
            if not self._path.exists() or self._path.read_text() != text:
                replace_secret(self._path, text)
        return False
