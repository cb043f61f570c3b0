"""Hosting an agency: its signing key is made here, its recovery key is shown once, the roster names both halves."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import Any

from shared.access.actors import NODE, Actor, Actors, new_token
from shared.facts.keys import SigningKey
from shared.facts.names import ANCHOR
from shared.ledger.drafts import Author, Draft
from shared.ledger.identity import Member, Roster
from shared.ledger.keyring import Keyring, write_secret
from shared.ledger.ledger import Ledger
from shared.problems import Stale

from . import domain

log = logging.getLogger(__name__)

ATTEMPTS = 20


class Hosting:
    """Adds agencies to this node and to the roster it anchors."""

    def __init__(self, ledger: Ledger, roster: Roster, keyring: Keyring, actors: Actors, home: Path) -> None:
        self._ledger = ledger
        self._roster = roster
        self._keyring = keyring
        self._actors = actors
        self._home = home
        self._lock = threading.Lock()

    def host(self, agency: str, author: Author, node: str | None) -> dict[str, Any]:
        """Makes keys, records the roster with them, and an admin's token. Raises Conflict if hosted already.

        Nothing is answered before the roster fact is committed; a crash before that leaves a key file that the
        next call takes up, with a new recovery key, because the old one was never bound.
        """
        with self._lock:
            key = self._keyring.key(agency) if self._keyring.hosts(agency) else None
            recovery = SigningKey.make()
            for _ in range(ATTEMPTS):
                newest = self._ledger.newest(ANCHOR, "roster", "mesh")
                before = {} if newest is None else dict(newest.state or {})
                key_public = key.public if key else b""
                state = domain.with_member(before, Member(agency, key_public, recovery.public, node))
                if key is None:
                    key = self._keyring.make(agency)
                    state = domain.with_member(before, Member(agency, key.public, recovery.public, node))
                try:
                    self._ledger.record(
                        Draft(
                            agency=ANCHOR,
                            service="mesh",
                            kind="roster",
                            verb="issued",
                            id="mesh",
                            version=1 if newest is None else newest.header.version + 1,
                            state=state,
                            author=author,
                        )
                    )
                except Stale:
                    continue
                break
            else:
                raise Stale("The roster changed on every attempt; try again.")
        actor, token = self._actors.add(agency, ["admin"])
        return {
            "agency": agency,
            "public_key": key.public.hex(),
            "recovery_key": recovery.secret().hex(),
            "recovery_key_notice": "Shown once. Keep it offline: it alone can replace a lost signing key.",
            "admin": {"actor": actor.id, "token": token},
        }

    def ensure_operator(self) -> Actor:
        """The node's operator; at the first start one is made and its token put into <home>/tokens.json.

        The token is on disk before it is good for anything: a crash in between leaves one that the next start makes
        good, not an operator whose token nobody knows.
        """
        known = [actor for actor in self._actors.of_agency(NODE) if actor.has("admin")]
        if known:
            return known[0]
        path = self._home / "tokens.json"
        token = new_token()
        try:
            write_secret(path, json.dumps({NODE: {"admin": token}}, indent=2) + "\n")
        except FileExistsError:
            held = _operators_token(path)
            if held is None:
                log.warning("%s is there already; the operator's token was not written into it", path)
            token = held or token
        actor, _ = self._actors.add(NODE, ["admin"], name="operator", token=token)
        return actor


def _operators_token(path: Path) -> str | None:
    try:
        held = json.loads(path.read_text())[NODE]["admin"]
    except (ValueError, KeyError, TypeError):  # somebody else's words: the node starts all the same
        return None
    return held if isinstance(held, str) and held else None
