"""Signing keys: Ed25519 by `cryptography`; a key is named by the digest of its public half."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from shared.facts.fact import GENESIS, SALT_BYTES, Fact, Rest, fact_hash, payload_digest, rfc3339, to_bytes
from shared.facts.names import PRIVATE_AUDIENCE

START = (1, 1)
KEY_BYTES = 32
"""Length of an Ed25519 public key (RFC 8032, section 5.1.5)."""


def key_id(public: bytes) -> str:
    """`ed25519:` and the first 16 bytes of SHA-256 of the public key, in hex."""
    return "ed25519:" + hashlib.sha256(public).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and its name. Never logged, never sent."""

    private: Ed25519PrivateKey = field(repr=False)
    public: bytes
    keyid: str

    @classmethod
    def make(cls) -> SigningKey:
        return cls.of(Ed25519PrivateKey.generate())

    @classmethod
    def of(cls, private: Ed25519PrivateKey) -> SigningKey:
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return cls(private, public, key_id(public))

    @classmethod
    def from_bytes(cls, secret: bytes) -> SigningKey:
        return cls.of(Ed25519PrivateKey.from_private_bytes(secret))

    def secret(self) -> bytes:
        return self.private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())

    def sign(self, fact_hash_hex: str) -> bytes:
        return self.private.sign(bytes.fromhex(fact_hash_hex))


def signature_is_valid(public: bytes, hash_hex: str, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, bytes.fromhex(hash_hex))
    except (InvalidSignature, ValueError):
        return False
    return True


@dataclass(frozen=True, slots=True)
class KeyRange:
    """A key holds for positions (epoch, sequence) of ledgers of one agency, never for times.

    `ledger` None means all the agency's ledgers; `last` None means it still holds.
    """

    agency: str
    keyid: str
    public: bytes
    ledger: str | None = None
    first: tuple[int, int] = START
    last: tuple[int, int] | None = None

    def covers(self, ledger: str, position: tuple[int, int]) -> bool:
        if self.ledger is not None and self.ledger != ledger:
            return False
        return self.first <= position and (self.last is None or position <= self.last)


@dataclass(frozen=True, slots=True)
class Place:
    """A fact's place and hash, as a revocation names it."""

    epoch: int
    sequence: int
    hash: str

    @property
    def position(self) -> tuple[int, int]:
        return (self.epoch, self.sequence)


@dataclass(frozen=True, slots=True)
class Succession:
    """`keyid` follows `before` in ledgers begun from now on; `begun` (`ledger_digest`s) go on until rekeyed."""

    before: str
    keyid: str
    begun: frozenset[str]


def ledger_digest(ledger: str) -> str:
    """Names a ledger without saying its name (a circle's members are nobody else's business): 32 hex digits."""
    return hashlib.sha256(b"pilotmesh.ledger.v1\0" + ledger.encode()).hexdigest()[:32]


class KeyBook:
    """Which key may sign what: the roster's ranges, what `ledger.rekeyed` facts changed, what was revoked.

    In every place of a ledger one rule holds: if the ledger was rekeyed before it, the newest such key alone;
    otherwise the roster's ranges, narrowed by successions to the ledgers begun in each key's time. So a key that was
    replaced signs nothing after the place where it was, and begins no ledger. A revoked key signs nothing beyond the
    last good fact that its revocation names for the ledger, and nothing at all where it names none; a private ledger,
    which nobody else can have witnessed, is the exception.
    """

    def __init__(self, ranges: Iterable[KeyRange] = (), recovery: dict[str, bytes] | None = None) -> None:
        self._ranges: dict[str, list[KeyRange]] = {}
        self._rekeyed: dict[str, dict[tuple[int, int], KeyRange]] = {}
        self._successions: dict[str, list[Succession]] = {}
        self._revoked: dict[tuple[str, str], Mapping[str, Place]] = {}
        self.recovery = dict(recovery or {})
        for one in ranges:
            self.add(one)

    def add(self, one: KeyRange) -> None:
        held = self._ranges.setdefault(one.agency, [])
        if one not in held:
            held.append(one)

    def rekey(self, agency: str, ledger: str, first: tuple[int, int], public: bytes) -> None:
        """From `first` on, `public` alone signs `ledger`, until it is rekeyed again. The first to say so counts."""
        one = KeyRange(agency, key_id(public), public, ledger, first)
        self._rekeyed.setdefault(ledger, {}).setdefault(first, one)

    def succeed(self, agency: str, before: bytes, public: bytes, begun: Iterable[str]) -> None:
        """`public` signs the agency's ledgers that are begun from now on, `before` those in `begun` until they are
        rekeyed (digests, by `ledger_digest`). Said again, ledgers are added to `begun`."""
        old, new = key_id(before), key_id(public)
        if old == new:
            return
        self.add(KeyRange(agency, old, before))
        self.add(KeyRange(agency, new, public))
        said = self._successions.setdefault(agency, [])
        same = [one for one in said if (one.before, one.keyid) == (old, new)]
        together = Succession(old, new, frozenset(begun).union(*(one.begun for one in same)))
        self._successions[agency] = [*(one for one in said if one not in same), together]

    def revoke(self, agency: str, keyid: str, last_good: Mapping[str, Place], successor: bytes | None = None) -> None:
        """`keyid` holds no further than the place that `last_good` names for a ledger. From the next place on the
        `successor` signs there, if there is one; else only what the recovery key rekeys goes on."""
        self._revoked[agency, keyid] = dict(last_good)
        for ledger, place in last_good.items() if successor is not None else ():
            self.rekey(agency, ledger, (place.epoch, place.sequence + 1), successor or b"")

    def knows(self, agency: str) -> bool:
        return agency in self._ranges

    def owners(self, keyid: str) -> set[str]:
        """The agencies for which this key is known, in whatever range."""
        return {agency for agency in self._ranges if self.holds(agency, keyid)}

    def find(self, agency: str, keyid: str, ledger: str, position: tuple[int, int]) -> KeyRange | None:
        """The range under which the key signs in this place; None if it does not."""
        if self._is_beyond(agency, keyid, ledger, position):
            return None
        rekeyed = [first for first in self._rekeyed.get(ledger, ()) if first <= position]
        if rekeyed:
            held = [self._rekeyed[ledger][max(rekeyed)]]
        else:
            held = [one for one in self._ranges.get(agency, ()) if self._may_begin(one, ledger)]
        for one in held:
            if one.agency == agency and one.keyid == keyid and one.covers(ledger, position):
                return one
        return None

    def contradicts(self, agency: str, keyid: str, ledger: str, position: tuple[int, int], hash_hex: str) -> bool:
        """Whether the key's revocation names another fact for this very place."""
        place = self._revoked.get((agency, keyid), {}).get(ledger)
        return place is not None and place.position == position and place.hash != hash_hex

    def revoked(self, agency: str) -> list[str]:
        """The key ids that were revoked."""
        return sorted(keyid for owner, keyid in self._revoked if owner == agency)

    @property
    def all_revoked(self) -> frozenset[tuple[str, str]]:
        """Agencies with the ids of keys that were revoked."""
        return frozenset(self._revoked)

    def holds(self, agency: str, keyid: str) -> bool:
        """Whether the key is known for the agency at all, in whatever range."""
        return self.public(agency, keyid) is not None

    def public(self, agency: str, keyid: str) -> bytes | None:
        """The agency's key of this id, in whatever range it is known; None if it is not."""
        rekeyed = (one for by_first in self._rekeyed.values() for one in by_first.values())
        known = (*self._ranges.get(agency, ()), *rekeyed)
        return next((one.public for one in known if (one.agency, one.keyid) == (agency, keyid)), None)

    def _is_beyond(self, agency: str, keyid: str, ledger: str, position: tuple[int, int]) -> bool:
        last_good = self._revoked.get((agency, keyid))
        if last_good is None:
            return False
        place = last_good.get(ledger)
        return not _is_private(ledger) if place is None else position > place.position

    def _may_begin(self, one: KeyRange, ledger: str) -> bool:
        """Whether a ledger that was never rekeyed may stand under this key."""
        if _is_private(ledger):
            return True  # seen by nobody but its own node
        digest = ledger_digest(ledger)
        for said in self._successions.get(one.agency, ()):
            if one.keyid == said.before and digest not in said.begun:
                return False
            if one.keyid == said.keyid and digest in said.begun:
                return False
        return True


def _is_private(ledger: str) -> bool:
    return ledger.endswith("." + PRIVATE_AUDIENCE)


@dataclass(frozen=True, slots=True)
class Unsigned:
    """Everything of a fact but its place in the chain, its salt and its signature."""

    mesh: str
    ledger: str
    id: str
    type: str
    subject: str
    version: int
    time: str
    actor: str
    role: str
    office: str | None
    payload: bytes
    rests_on: tuple[Rest, ...] = ()
    trace: str | None = None


def seal(unsigned: Unsigned, *, epoch: int, sequence: int, previous: str, salt: bytes, key: SigningKey) -> Fact:
    """Puts a fact in its place in the chain and signs it. `salt` is 32 random bytes, new for every sealing."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, found {len(salt)}")
    if (sequence == 1 and epoch == 1) != (previous == GENESIS):
        raise ValueError("exactly the first fact of a ledger has no previous one")
    protected = to_bytes(
        {
            "mesh": unsigned.mesh,
            "ledger": unsigned.ledger,
            "epoch": epoch,
            "sequence": sequence,
            "previous": previous,
            "id": unsigned.id,
            "type": unsigned.type,
            "subject": unsigned.subject,
            "version": unsigned.version,
            "time": unsigned.time,
            "actor": unsigned.actor,
            "role": unsigned.role,
            "office": unsigned.office,
            "keyid": key.keyid,
            "payload_digest": payload_digest(salt, unsigned.payload),
            "rests_on": [rest.as_json() for rest in unsigned.rests_on],
        }
    )
    return Fact(
        protected=protected,
        payload=unsigned.payload,
        salt=salt,
        signature=key.sign(fact_hash(protected)),
        trace=unsigned.trace,
    )


__all__ = [
    "KeyBook",
    "KeyRange",
    "Place",
    "SigningKey",
    "Unsigned",
    "key_id",
    "ledger_digest",
    "rfc3339",
    "seal",
    "signature_is_valid",
]
