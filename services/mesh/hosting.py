"""Hosting an agency: its signing key is made here, its recovery key is shown once, the roster names both halves."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.access.actors import NODE, Actor, Actors, new_token
from shared.facts.keys import SigningKey
from shared.ledger.drafts import Author
from shared.ledger.identity import Member, members_of
from shared.ledger.keyring import Keyring, write_secret

from . import domain
from .members import RosterWriter

log = logging.getLogger(__name__)


class Hosting:
    """Adds agencies to this node and to the roster it anchors."""

    def __init__(self, writer: RosterWriter, keyring: Keyring, actors: Actors, home: Path, domain: str | None) -> None:
        self._writer = writer
        self._keyring = keyring
        self._actors = actors
        self._home = home
        self._domain = domain
        self._lock = threading.Lock()

    def host(self, agency: str, author: Author, node: str | None) -> dict[str, Any]:
        """Makes keys, records the roster with them, and an admin's token. Raises Conflict if hosted already.

        Nothing is answered before the roster fact is committed. Until it is answered, the recovery key lies beside the
        signing key: whoever was not answered (a crash, a lost connection to the database) calls again and is.
        """
        with self._lock:
            pending = self._keyring.folder / f"{agency}.recovery"
            if not pending.exists():
                self._writer.need_anchor()
                domain.with_member(self._writer.state(), Member(agency, b"", b"", node))
                write_secret(pending, SigningKey.make().secret().hex() + "\n")
            recovery = SigningKey.from_bytes(bytes.fromhex(pending.read_text().strip()))
            key = self._keyring.key(agency) if self._keyring.hosts(agency) else self._keyring.make(agency)
            self._enter(Member(agency, key.public, recovery.public, node, domain=self._domain), author)
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

        def change(state: Mapping[str, Any]) -> dict[str, Any]:
            held = next((one for one in members_of(state) if one.agency == member.agency), None)
            if held is not None and (held.public, held.recovery) == (member.public, member.recovery):
                return dict(state)
            return domain.with_member(state, member)

        self._writer.change(author, change)

    def ensure_admins(self) -> None:
        """An agency that came by joining has its admin's token in tokens.json: here it is made good for something."""
        for agency in self._keyring.hosted():
            token = _token_of(self._home / "tokens.json", agency)
            if token is not None and not self._actors.of_agency(agency):
                self._actors.add(agency, ["admin"], token=token)

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
            held = _token_of(path, NODE)
            if held is None:
                log.warning("%s is there already; the operator's token was not written into it", path)
            token = held or token
        actor, _ = self._actors.add(NODE, ["admin"], name="operator", token=token)
        return actor


def _token_of(path: Path, agency: str) -> str | None:
    try:
        held = json.loads(path.read_text())[agency]["admin"]
    except (OSError, ValueError, KeyError, TypeError):  # somebody else's words: the node starts all the same
        return None
    return held if isinstance(held, str) and held else None
