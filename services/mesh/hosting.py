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
from shared.ledger.identity import Member, Roster, members_of
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

        Nothing is answered before the roster fact is committed. Until it is answered, the recovery key lies beside the
        signing key: whoever was not answered (a crash, a lost connection to the database) calls again and is.
        """
        with self._lock:
            pending = self._keyring.folder / f"{agency}.recovery"
            if not pending.exists():
                domain.with_member(self._roster.state(), Member(agency, b"", b"", node))
                write_secret(pending, SigningKey.make().secret().hex() + "\n")
            recovery = SigningKey.from_bytes(bytes.fromhex(pending.read_text().strip()))
            key = self._keyring.key(agency) if self._keyring.hosts(agency) else self._keyring.make(agency)
            self._enter(Member(agency, key.public, recovery.public, node), author)
            actor, token = self._actors.add(agency, ["admin"])
            pending.unlink()
        return {
            "agency": agency,
            "public_key": key.public.hex(),
            "recovery_key": recovery.secret().hex(),
            "recovery_key_notice": "Shown once. Keep it offline: it alone can replace a lost signing key.",
            "admin": {"actor": actor.id, "token": token},
        }

    def _enter(self, member: Member, author: Author) -> None:
        """Puts the member into the roster, unless it stands there with these keys. Raises Conflict, Stale."""
        for _ in range(ATTEMPTS):
            newest = self._ledger.newest(ANCHOR, "roster", "mesh")
            before = {} if newest is None else dict(newest.state or {})
            held = next((one for one in members_of(before) if one.agency == member.agency), None)
            if held is not None and (held.public, held.recovery) == (member.public, member.recovery):
                return
            draft = Draft(
                agency=ANCHOR,
                service="mesh",
                kind="roster",
                verb="issued",
                id="mesh",
                version=1 if newest is None else newest.header.version + 1,
                state=domain.with_member(before, member),
                author=author,
            )
            try:
                self._ledger.record(draft)
            except Stale:
                continue
            return
        raise Stale("The roster changed on every attempt; try again.")

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
