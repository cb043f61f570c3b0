"""Who may act on this node: actors, their tokens, sessions and sign-in links.

An actor is an opaque id; its name stays here, erasable, and never enters a fact. Tokens, sessions and links are
random strings of which only the SHA-256 is kept.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.collection import Collection
from pymongo.database import Database

from shared.facts.ids import new_id
from shared.ledger.drafts import Author
from shared.ledger.store import JOURNALED, Document
from shared.problems import Forbidden, NotFound, Unauthenticated

ROLES = ("viewer", "officer", "monitor", "coordinator", "approver", "admin")
NODE = "node"
"""The slug of the node's own operator; no agency may take it."""

SESSION_LENGTH = timedelta(hours=12)
LINK_LENGTH = timedelta(days=7)
CACHE_SECONDS = 2.0
"""How long another replica may go on honouring a token after it was revoked here."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who acts for one agency. `offices` and `countries` say what matters to them; empty is all."""

    id: str
    agency: str
    roles: frozenset[str]
    office: str | None = None
    countries: tuple[str, ...] = ()
    languages: tuple[str, ...] = ("en",)
    name: str | None = field(default=None, repr=False)

    @property
    def is_operator(self) -> bool:
        return self.agency == NODE and "admin" in self.roles

    def has(self, *roles: str) -> bool:
        return bool(self.roles.intersection(roles))

    def acting_as(self, *roles: str) -> Author:
        """The author of a fact, in the first of `roles` that the actor holds. Raises Forbidden."""
        for role in roles:
            if role in self.roles:
                return Author(self.id, role, self.office)
        raise Forbidden(
            f"This needs the role {' or '.join(roles)}; you hold {', '.join(sorted(self.roles)) or 'none'}."
        )


def require(actor: Actor, agency: str, *roles: str) -> Author:
    """The author of a fact in `agency`'s name. Raises Forbidden, saying which agency or role is missing."""
    if actor.agency != agency:
        raise Forbidden(f"You act for {actor.agency}; only actors of {agency} may do this. Nobody answers for another.")
    return actor.acting_as(*roles)


def new_token() -> str:
    return secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class Actors:
    """The node's actors, in the database `<prefix>_node`."""

    def __init__(self, database: Database[Document], clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._actors: Collection[Document] = database.get_collection("actors", write_concern=JOURNALED)
        self._sessions: Collection[Document] = database.get_collection("sessions", write_concern=JOURNALED)
        self._links: Collection[Document] = database.get_collection("sign_in_links", write_concern=JOURNALED)
        self._clock = clock
        self._cache: dict[str, tuple[float, Actor]] = {}
        self._lock = threading.Lock()

    def ensure_indexes(self) -> None:
        self._actors.create_index("tokens")
        self._actors.create_index("agency")
        self._sessions.create_index("until", expireAfterSeconds=0)
        self._links.create_index("until", expireAfterSeconds=0)

    def add(
        self,
        agency: str,
        roles: Iterable[str],
        *,
        office: str | None = None,
        countries: Iterable[str] = (),
        languages: Iterable[str] = ("en",),
        name: str | None = None,
        actor_id: str | None = None,
        token: str | None = None,
    ) -> tuple[Actor, str]:
        """A new actor and its token, which is shown once. `token`: one that was made and kept before."""
        actor = Actor(
            actor_id or new_id(), agency, frozenset(roles), office, tuple(countries), tuple(languages) or ("en",), name
        )
        token = token or new_token()
        self._actors.insert_one(
            {
                "_id": actor.id,
                "agency": actor.agency,
                "roles": sorted(actor.roles),
                "office": actor.office,
                "countries": list(actor.countries),
                "languages": list(actor.languages),
                "name": actor.name,
                "tokens": [digest_of(token)],
                "made_at": self._clock(),
            }
        )
        return actor, token

    def of_agency(self, agency: str) -> list[Actor]:
        """Those who act for the agency now."""
        return [actor_of(raw) for raw in self._actors.find({"agency": agency, "left_at": None}).sort("_id", 1)]

    def get(self, actor_id: str) -> Actor:
        """Raises NotFound."""
        raw = self._actors.find_one({"_id": actor_id})
        if raw is None:
            raise NotFound("No such actor on this node.")
        return actor_of(raw)

    def present(self, actor_id: str) -> Actor:
        """Like `get`, for one who has not left. Raises NotFound."""
        raw = self._actors.find_one({"_id": actor_id, "left_at": None})
        if raw is None:
            raise NotFound("No such actor on this node, or one who has left.")
        return actor_of(raw)

    def leave(self, actor_id: str) -> None:
        """The actor leaves: tokens and sessions end, the name is erased, the id stays in the facts."""
        self._actors.update_one({"_id": actor_id}, {"$set": {"tokens": [], "name": None, "left_at": self._clock()}})
        self._sessions.delete_many({"actor": actor_id})
        self._links.delete_many({"actor": actor_id})
        with self._lock:
            self._cache.clear()

    def cached(self, token: str) -> Actor | None:
        """The actor, if this process looked the token up a moment ago. Never blocks."""
        with self._lock:
            held = self._cache.get(digest_of(token))
        return held[1] if held is not None and time.monotonic() - held[0] < CACHE_SECONDS else None

    def by_token(self, token: str) -> Actor:
        """The actor whose token or session this is. Raises Unauthenticated."""
        known = self.cached(token)
        if known is not None:
            return known
        digest = digest_of(token)
        now = time.monotonic()
        raw = self._actors.find_one({"tokens": digest}) or self._by_session(digest)
        if raw is None:
            raise Unauthenticated("The bearer token is unknown, expired or withdrawn. Ask your agency's admin for one.")
        actor = actor_of(raw)
        with self._lock:
            if len(self._cache) > 10_000:
                self._cache.clear()
            self._cache[digest] = (now, actor)
        return actor

    def _by_session(self, digest: str) -> Document | None:
        session = self._sessions.find_one({"_id": digest, "until": {"$gt": self._clock()}})
        return None if session is None else self._actors.find_one({"_id": session["actor"], "left_at": None})

    # -- signing in with a link ------------------------------------------------------------------------------

    def make_link(self, actor_id: str) -> str:
        """A code that signs the actor in once, within seven days."""
        self.present(actor_id)
        code = secrets.token_urlsafe(24)
        self._links.insert_one({"_id": digest_of(code), "actor": actor_id, "until": self._clock() + LINK_LENGTH})
        return code

    def whose_link(self, code: str) -> Actor:
        """Whom the link would sign in, without using it up. Raises NotFound."""
        raw = self._links.find_one({"_id": digest_of(code), "until": {"$gt": self._clock()}})
        if raw is None:
            raise NotFound("This link was used already, or has expired. Ask for a new one.")
        return self.present(raw["actor"])

    def sign_in(self, code: str) -> tuple[Actor, str]:
        """Uses the link up and opens a session. Returns the actor and the session's token. Raises NotFound."""
        raw = self._links.find_one_and_delete({"_id": digest_of(code), "until": {"$gt": self._clock()}})
        if raw is None:
            raise NotFound("This link was used already, or has expired. Ask for a new one.")
        actor = self.present(raw["actor"])
        token = secrets.token_urlsafe(32)
        self._sessions.insert_one({"_id": digest_of(token), "actor": actor.id, "until": self._clock() + SESSION_LENGTH})
        return actor, token

    def sign_out(self, token: str) -> None:
        digest = digest_of(token)
        self._sessions.delete_one({"_id": digest})
        with self._lock:
            self._cache.pop(digest, None)


def actor_of(raw: dict[str, Any]) -> Actor:
    return Actor(
        raw["_id"],
        raw["agency"],
        frozenset(raw["roles"]),
        raw.get("office"),
        tuple(raw.get("countries") or ()),
        tuple(raw.get("languages") or ("en",)),
        raw.get("name"),
    )
