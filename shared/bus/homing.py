"""Whether this node still hosts the agencies whose keys lie on it. The roster says so; a node that gave an agency away,
and was then put back to an earlier day or cut off, does not hold that roster. So it asks the hub, over HTTP because it
may have lost its link with the agency: before its first command after a start, and now and then while it runs.

A hub that does not answer holds nobody up: a node works alone for as long as it must. What it then writes for an agency
that has moved no other node takes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx

from shared.facts.fact import Fact, Unreadable, from_wire, to_bytes
from shared.facts.names import ANCHOR
from shared.facts.verify import Trouble, check_digest, check_mesh, check_signature
from shared.ledger.identity import ROSTER, ROSTER_LEDGER, Identity, Roster, members_of
from shared.ledger.keyring import Keyring
from shared.ledger.store import LedgerStore

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 3.0
FRESH_SECONDS = 10.0
"""Services of one process that start together ask once."""
EVERY_SECONDS = 60.0
LEAVING_EVERY_SECONDS = 3.0
"""While an exported agency waits to be imported somewhere."""

Post = Callable[[str, dict[str, Any]], Any]
"""Posts a document and answers the one that came back. Raises httpx.HTTPError or ValueError."""


def home_statement(mesh: str, agency: str) -> str:
    """Hex digest that is signed by whoever asks where an agency is hosted."""
    return hashlib.sha256(b"pilotmesh.home.v1\0" + to_bytes({"mesh": mesh, "agency": agency})).hexdigest()


def stand_aside(keyring: Keyring, roster: Fact | None, own_domain: str | None) -> list[str]:
    """Gives up the keys of agencies that the roster has at another node. Returns those agencies. A roster older than
    the one by which an agency came here says nothing about it: this node holds it until it has caught up."""
    if own_domain is None or roster is None:
        return []
    at = {member.agency: member for member in members_of(roster.state or {})}
    gone = []
    for agency in keyring.kept():
        if agency not in at or at[agency].domain in (None, own_domain):
            continue
        if (keyring.since(agency) or (0, 0)) > roster.header.position:
            continue
        gone.append(agency)
        log.warning("%s is hosted by %s by now: nothing is written for it here", agency, at[agency].domain)
        keyring.give_up(agency, at[agency].node)
    return gone


class Homes:
    """Asks the hub whom this node hosts. For all services of a process."""

    def __init__(
        self, store: LedgerStore, identity: Identity, roster: Roster, keyring: Keyring, post: Post | None = None
    ) -> None:
        self._store = store
        self._identity = identity
        self._roster = roster
        self._keyring = keyring
        self._post = post or _post
        self._lock = threading.Lock()
        self._asked_at: float | None = None

    def before_the_first_command(self) -> None:
        """Asks, unless another service of this process has done so just now."""
        with self._lock:
            if self._asked_at is None or time.monotonic() - self._asked_at > FRESH_SECONDS:
                self._ask()

    def step(self) -> bool:
        """A worker's step: asks when it is time to."""
        every = LEAVING_EVERY_SECONDS if self._keyring.leaving().kept() else EVERY_SECONDS
        with self._lock:
            if self._asked_at is None or time.monotonic() - self._asked_at > every:
                self._ask()
        return False

    def _ask(self) -> None:
        self._asked_at = time.monotonic()
        hub, agencies = self._identity.hub, self._keyring.kept()
        if hub is None or not agencies:
            return
        proofs = {}
        for agency in agencies:
            key = self._keyring.any_key(agency)
            if key is not None:
                signature = key.sign(home_statement(self._identity.mesh, agency))
                proofs[agency] = {"public": key.public.hex(), "signature": base64.b64encode(signature).decode()}
        try:
            told = self._post(f"{hub.url}/mesh/v1/homes", {"agencies": proofs})
            roster = self._roster_in(base64.b64decode(told["roster"], validate=True))
        except (httpx.HTTPError, ValueError, KeyError, TypeError, Unreadable, Trouble) as error:
            log.info("the hub did not say whom this node hosts: %r", error)
            return
        stand_aside(self._keyring, roster, self._identity.domain)

    def _roster_in(self, wire: bytes) -> Fact:
        """A roster that the anchor has signed. Raises Trouble, Unreadable, or ValueError for one that is
        older than what this node holds."""
        fact = from_wire(wire)
        check_mesh(fact, self._identity.mesh)
        check_digest(fact)
        check_signature(fact, self._roster.book())
        if (str(fact.header.ledger), fact.header.subject) != (ROSTER_LEDGER, ROSTER):
            raise ValueError(f"{fact.place} is no roster")
        newest = self._store.newest(ANCHOR, "mesh", ROSTER)
        if newest is not None and fact.header.position < newest.header.position:
            raise ValueError(f"{fact.place} is older than the roster here")
        return fact


def _post(address: str, document: dict[str, Any]) -> Any:
    answer = httpx.post(address, content=json.dumps(document), timeout=PATIENCE_SECONDS)
    answer.raise_for_status()
    return answer.json()
