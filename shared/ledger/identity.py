"""What a node is called and whom it believes: the mesh's id, and the anchor whose roster it follows.

The roster is a chained, signed ledger (`hub.mesh`): which agencies there are, the keys that hold for their
ledgers, their recovery keys, where their nodes are, which circles exist. A node that has joined nobody is its own
mesh, and its anchor key lies beside its other keys.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.facts.fact import Fact
from shared.facts.ids import new_id
from shared.facts.keys import KeyBook, KeyRange, Place, key_id
from shared.facts.names import ANCHOR
from shared.facts.verify import in_order_of_learning, learn_key
from shared.ledger.keyring import Keyring, replace_secret, write_secret
from shared.ledger.store import LedgerStore

ROSTER_LEDGER = f"{ANCHOR}.mesh"
ROSTER = "roster/mesh"
ACTIVE, SUSPENDED = "active", "suspended"
"""A suspended agency's node has no link to the hub; what it had shared by then stands."""


@dataclass(frozen=True, slots=True)
class HubAddress:
    """The node that this one has joined: its JetStream domain, its HTTP address, where its NATS takes leaf nodes."""

    domain: str
    url: str
    leaf: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Identity:
    """The mesh this node belongs to, and the public key of the anchor that signs its roster."""

    mesh: str
    anchor: bytes
    hub: HubAddress | None = None
    """None: this node is the hub, or alone."""
    domain: str | None = None
    """This node's JetStream domain, where it was fixed by joining or by becoming a hub (settings.nats_domain)."""

    @classmethod
    def read(cls, home: Path) -> Identity:
        """From <home>/mesh.json. Raises FileNotFoundError if the node was never started."""
        raw = json.loads((home / "mesh.json").read_text())
        hub = raw.get("hub")
        address = None if hub is None else HubAddress(hub["domain"], hub["url"], tuple(hub["leaf"]))
        return cls(raw["mesh"], bytes.fromhex(raw["anchor"]), address, raw.get("domain"))

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {"mesh": self.mesh, "anchor": self.anchor.hex(), "hub": None}
        if self.hub is not None:
            told["hub"] = {"domain": self.hub.domain, "url": self.hub.url, "leaf": list(self.hub.leaf)}
        if self.domain is not None:
            told["domain"] = self.domain
        return told

    def write(self, home: Path) -> None:
        """Into <home>/mesh.json, whole or not at all. Whoever replaces an identity has looked at it before."""
        replace_secret(home / "mesh.json", json.dumps(self.as_json(), indent=2) + "\n")


def ensure_identity(home: Path) -> Identity:
    """The node's identity; made at its first start, with an anchor key of its own. Never replaced."""
    keyring = Keyring(home / "keys")
    try:
        return Identity.read(home)
    except FileNotFoundError:
        with suppress(FileExistsError):  # made before, or by another process of this node in the same moment
            keyring.make(ANCHOR)
        anchor = keyring.key(ANCHOR)
        made = Identity(new_id(), anchor.public)
        with suppress(FileExistsError):
            write_secret(home / "mesh.json", json.dumps(made.as_json(), indent=2) + "\n")
        return Identity.read(home)


@dataclass(frozen=True, slots=True)
class Revocation:
    """A key that holds no further than the last good fact of each ledger named here, and nowhere else."""

    keyid: str
    last_good: Mapping[str, Place]
    successor: bytes | None = None

    def as_json(self) -> dict[str, Any]:
        places = {
            ledger: {"epoch": place.epoch, "sequence": place.sequence, "hash": place.hash}
            for ledger, place in sorted(self.last_good.items())
        }
        successor = None if self.successor is None else self.successor.hex()
        return {"keyid": self.keyid, "last_good": places, "successor": successor}

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Revocation:
        successor = raw.get("successor")
        places = {
            str(ledger): Place(int(one["epoch"]), int(one["sequence"]), str(one["hash"]))
            for ledger, one in raw["last_good"].items()
        }
        return cls(str(raw["keyid"]), places, None if successor is None else bytes.fromhex(successor))


@dataclass(frozen=True, slots=True)
class EarlierKey:
    """A key that the agency had before, and the ledgers begun in its time or before (by `ledger_digest`)."""

    public: bytes
    begun: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {"public": self.public.hex(), "begun": list(self.begun)}

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> EarlierKey:
        return cls(bytes.fromhex(raw["public"]), tuple(map(str, raw.get("begun", ()))))


@dataclass(frozen=True, slots=True)
class Member:
    """One agency in the roster."""

    agency: str
    public: bytes
    recovery: bytes
    node: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    earlier: tuple[EarlierKey, ...] = ()
    """Keys before `public`, the oldest first."""
    revocations: tuple[Revocation, ...] = ()
    domain: str | None = None
    """JetStream domain of the node that hosts the agency; None where that node has no links."""
    leaf: str | None = None
    """Public half of the nkey by which that node's NATS server signs in at the hub's; None on the hub itself."""
    status: str = ACTIVE

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "agency": self.agency,
            "public": self.public.hex(),
            "recovery": self.recovery.hex(),
            "node": self.node,
        }
        if self.earlier:
            told["earlier"] = [one.as_json() for one in self.earlier]
        if self.domain is not None or self.status != ACTIVE:
            told |= {"domain": self.domain, "status": self.status}
        if self.leaf is not None:
            told["leaf"] = self.leaf
        if self.revocations:
            told["revocations"] = [one.as_json() for one in self.revocations]
        return {**self.more, **told}

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Member:
        known = {"agency", "public", "recovery", "node", "earlier", "revocations", "domain", "leaf", "status"}
        return cls(
            raw["agency"],
            bytes.fromhex(raw["public"]),
            bytes.fromhex(raw["recovery"]),
            raw.get("node"),
            {key: value for key, value in raw.items() if key not in known},
            earlier=tuple(EarlierKey.of(one) for one in raw.get("earlier") or ()),
            revocations=tuple(Revocation.of(one) for one in raw.get("revocations") or ()),
            domain=raw.get("domain"),
            leaf=raw.get("leaf"),
            status=str(raw.get("status") or ACTIVE),
        )


def roster_state(members: Sequence[Member], before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The roster's whole state with these members; what `before` held besides is kept."""
    listed = sorted(members, key=lambda member: member.agency)
    state = {"circles": [], "minimum_level": 1, "expires_on": None, **(before or {})}
    state["agencies"] = [member.as_json() for member in listed]
    return state


def members_of(state: Mapping[str, Any]) -> list[Member]:
    return [Member.of(raw) for raw in state.get("agencies", ())]


def anchor_recovery_in(states: Iterable[Mapping[str, Any]]) -> bytes | None:
    """The anchor's recovery key: the first that the roster ever named. Bound once; what is named later is ignored, so
    that whoever steals the anchor's key cannot put another in its place."""
    named = (state.get("anchor_recovery") for state in states)
    first = next((one for one in named if one is not None), None)
    return None if first is None else bytes.fromhex(first)


def key_book(identity: Identity, state: Mapping[str, Any] | None, anchor_recovery: bytes | None = None) -> KeyBook:
    """Which key may sign what, by the roster's state; the anchor's key always holds for the roster itself."""
    members = members_of(state or {})
    ranges = [KeyRange(ANCHOR, key_id(identity.anchor), identity.anchor)]
    ranges += [KeyRange(member.agency, key_id(member.public), member.public) for member in members]
    recovery = {member.agency: member.recovery for member in members}
    if anchor_recovery is not None:
        recovery[ANCHOR] = anchor_recovery
    book = KeyBook(ranges, recovery)
    for member in members:
        keys = [*(one.public for one in member.earlier), member.public]
        for one, following in zip(member.earlier, keys[1:], strict=True):
            book.succeed(member.agency, one.public, following, one.begun)
        for revocation in member.revocations:
            book.revoke(member.agency, revocation.keyid, revocation.last_good, revocation.successor)
    return book


def learned_book(
    identity: Identity,
    state: Mapping[str, Any] | None,
    rekeyings: Iterable[Fact],
    anchor_recovery: bytes | None = None,
) -> KeyBook:
    """The same, with what rekeying facts have added; those that a revocation reaches add nothing."""
    book = key_book(identity, state, anchor_recovery)
    for fact in in_order_of_learning(rekeyings):
        learn_key(fact, book)
    return book


class Roster:
    """The roster as the node's store holds it, read again when it has grown."""

    def __init__(self, store: LedgerStore, identity: Identity) -> None:
        self._store = store
        self._identity = identity
        self._lock = threading.Lock()
        self._anchor_recovery: bytes | None = None
        self._scanned: str | None = None
        self._read: tuple[str, dict[str, Any]] | None = None

    def newest(self) -> Fact | None:
        """The newest version with the place that it has; None if this node holds none yet."""
        return self._store.newest(ANCHOR, "mesh", ROSTER)

    def state(self) -> dict[str, Any]:
        """The newest version; read again only when its ledger has another head, because it is asked for with every
        batch of facts and grows with the mesh. Not to be changed by whoever gets it."""
        head = self._store.head(ROSTER_LEDGER).hash
        read = self._read
        if read is None or read[0] != head:
            newest = self._store.newest(ANCHOR, "mesh", ROSTER)
            read = self._read = (head, {} if newest is None or newest.state is None else newest.state)
        return read[1]

    def members(self) -> list[Member]:
        return members_of(self.state())

    def book(self) -> KeyBook:
        """The key book, with what rekeying facts in the store have added."""
        return learned_book(self._identity, self.state(), self._store.rekeyings(), self.anchor_recovery())

    def anchor_recovery(self) -> bytes | None:
        """The anchor's recovery key, public half; None if the roster never named one."""
        newest = self._store.newest(ANCHOR, "mesh", ROSTER)
        with self._lock:
            if newest is not None and self._anchor_recovery is None and self._scanned != newest.hash:
                versions = self._store.versions(ANCHOR, "mesh", ROSTER)
                self._anchor_recovery = anchor_recovery_in(fact.state or {} for fact in versions)
                self._scanned = newest.hash
            return self._anchor_recovery
