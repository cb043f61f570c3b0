"""Joining: the hub makes single-use invites, and admits whoever comes with one and with proof of its keys."""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pymongo import WriteConcern
from pymongo.collection import Collection

from shared.access.actors import digest_of
from shared.facts.fact import Fact, rfc3339, to_wire
from shared.ledger.drafts import Author
from shared.ledger.identity import Identity, members_of
from shared.ledger.store import Document
from shared.problems import Conflict, Problem, TooMany
from shared.settings import Settings

from . import membership
from .members import RosterWriter
from .membership import JoinRequest

INVITE_VERSION = 1
WRONG_CODES, WRONG_SECONDS = 20, 60.0
"""So many wrong codes in so many seconds are answered by this process; then all wait. Codes have 256 bits anyway."""


class InviteRefused(Problem):
    """`reason` is one of wrong, expired, used, agency."""

    status, slug, title = 403, "invite-refused", "This invite lets nobody in"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail, reason=reason)


class Joining:
    """Invites and admissions at the hub. `<home>/nats/hub.json` (of `hub init`) says how members link to it."""

    def __init__(
        self, writer: RosterWriter, invites: Collection[Document], identity: Identity, settings: Settings
    ) -> None:
        self._writer = writer
        self._invites = invites.with_options(write_concern=WriteConcern("majority", j=True))
        self._identity = identity
        self._settings = settings
        self._lock = threading.Lock()
        self._wrong: deque[float] = deque(maxlen=WRONG_CODES)

    def invite(self, agency: str, days: int, author: Author) -> dict[str, Any]:
        """A new invite, as the file that the agency gets. The code is nowhere else. Raises Conflict."""
        hub = self._hub()
        state = self._writer.state()
        if membership.is_expired(state, self._writer.now().date()):
            raise Conflict(f"The roster expired on {state['expires_on']}: `pilotmesh hub expires` renews it.")
        if any(one.agency == agency for one in members_of(state)):
            raise Conflict(f"{agency} is in the roster already.")
        code = secrets.token_urlsafe(32)
        now = self._writer.now()
        expires_at = now + timedelta(days=days)
        self._invites.insert_one(
            {
                "_id": digest_of(code),
                "agency": agency,
                "made_at": now,
                "made_by": author.actor,
                "expires_at": expires_at,
                "used_by": None,
            }
        )
        return {
            "pilotmesh_invite": INVITE_VERSION,
            "mesh": self._identity.mesh,
            "anchor": self._identity.anchor.hex(),
            "anchor_key": self._writer.anchor_key(),
            "agency": agency,
            "code": code,
            "expires_at": rfc3339(expires_at),
            "hub": {"domain": self._settings.nats_domain, "url": self._settings.url, "leaf": hub["leaf"]},
            "authority": hub["authority"],
        }

    def join(self, post: Mapping[str, Any]) -> dict[str, Any]:
        """Admits the agency; the same request again is answered the same. Raises InviteRefused, Invalid, Conflict."""
        self._hub()
        code, request = membership.join_request(post, self._identity.mesh)
        self._heed_wrong_codes()
        now = self._writer.now()
        with self._lock:
            invite = self._invites.find_one({"_id": digest_of(code)})
            if invite is None:
                self._wrong.append(time.monotonic())
                raise InviteRefused("wrong", "No invite of this hub has this code. Ask the secretariat for one.")
            if invite["agency"] != request.agency:
                raise InviteRefused("agency", f"This invite is for {invite['agency']}, not for {request.agency}.")
            mark = _mark(request)
            if invite["used_by"] not in (None, mark):
                raise InviteRefused(
                    "used", "This invite was used before, with other keys. If that was not you, tell the secretariat."
                )
            if invite["used_by"] is None and now >= _aware(invite["expires_at"], now):
                raise InviteRefused("expired", "This invite has expired. Ask the secretariat for another.")
            fact = self._admitted(request)
            # Only now: an invite that led to a refusal (a domain that is taken) may be used again.
            self._invites.update_one({"_id": invite["_id"]}, {"$set": {"used_by": mark, "used_at": now}})
        return self._answer(request, fact)

    def _admitted(self, request: JoinRequest) -> Fact:
        """The roster fact with the member in it."""

        def change(state: Mapping[str, Any]) -> dict[str, Any]:
            if membership.is_member(state, request):
                return dict(state)
            today = self._writer.now().date()
            return membership.admit(state, request, own_domain=self._settings.nats_domain, today=today)

        return self._writer.change(Author("joining", "system"), change)

    def _answer(self, request: JoinRequest, fact: Fact) -> dict[str, Any]:
        return {
            "mesh": self._identity.mesh,
            "agency": request.agency,
            "roster": base64.b64encode(to_wire(fact)).decode(),
            "hub": {"domain": self._settings.nats_domain, "url": self._settings.url, "leaf": self._hub()["leaf"]},
        }

    def _hub(self) -> dict[str, Any]:
        told = hub_end(self._settings.home)
        if told is None:
            raise Conflict("This node is no hub. `pilotmesh hub init` makes it one; then it is started again.")
        return told

    def _heed_wrong_codes(self) -> None:
        if len(self._wrong) == WRONG_CODES and time.monotonic() - self._wrong[0] < WRONG_SECONDS:
            raise TooMany("Too many wrong codes came in; try again in a minute.")


def hub_end(home: Path) -> dict[str, Any] | None:
    """How members link to this node: `leaf` addresses and the `authority`'s certificate. None if it is no hub."""
    try:
        told: dict[str, Any] = json.loads((home / "nats" / "hub.json").read_text())
    except FileNotFoundError:
        return None
    return told


def _mark(request: JoinRequest) -> str:
    return digest_of("\0".join((request.public.hex(), request.recovery.hex(), request.domain, request.leaf)))


def _aware(time: datetime, like: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=like.tzinfo)
