"""Signing keys: Ed25519 by `cryptography`; a key is named by the digest of its public half."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from shared.facts.fact import GENESIS, SALT_BYTES, Fact, Rest, fact_hash, payload_digest, rfc3339, to_bytes

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


class KeyBook:
    """Which key may sign what: the roster's ranges, and what `ledger.rekeyed` facts changed.

    In every place of a ledger one rule holds: if the ledger was rekeyed before it, the newest such key alone;
    otherwise the roster's ranges. So a key that was replaced signs nothing after the place where it was.
    """

    def __init__(self, ranges: Iterable[KeyRange] = (), recovery: dict[str, bytes] | None = None) -> None:
        self._ranges: dict[str, list[KeyRange]] = {}
        self._rekeyed: dict[str, dict[tuple[int, int], KeyRange]] = {}
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

    def knows(self, agency: str) -> bool:
        return agency in self._ranges

    def find(self, agency: str, keyid: str, ledger: str, position: tuple[int, int]) -> KeyRange | None:
        """The range under which the key signs in this place; None if it does not."""
        rekeyed = [first for first in self._rekeyed.get(ledger, ()) if first <= position]
        held = [self._rekeyed[ledger][max(rekeyed)]] if rekeyed else self._ranges.get(agency, ())
        for one in held:
            if one.agency == agency and one.keyid == keyid and one.covers(ledger, position):
                return one
        return None

    def holds(self, agency: str, keyid: str) -> bool:
        """Whether the key is known for the agency at all, in whatever range."""
        rekeyed = (one for by_first in self._rekeyed.values() for one in by_first.values())
        return any(one.agency == agency and one.keyid == keyid for one in (*self._ranges.get(agency, ()), *rekeyed))


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


__all__ = ["KeyBook", "KeyRange", "SigningKey", "Unsigned", "key_id", "rfc3339", "seal", "signature_is_valid"]
