"""nkeys of NATS users: an Ed25519 pair, the seed kept by the one who signs in, the public half told to the other.

Format: prefix, 32 bytes, CRC-16/XMODEM little-endian, in base32 without padding
(github.com/nats-io/nkeys, strkey.go).
"""

from __future__ import annotations

import base64
import re

from shared.facts.keys import SigningKey

_USER, _SEED = 20 << 3, 18 << 3
_PUBLIC = re.compile(r"U[A-Z2-7]{55}")


def make() -> tuple[str, str]:
    """Seed and public half of a new user."""
    key = SigningKey.make()
    seed = bytes([_SEED | (_USER >> 5), (_USER & 31) << 3]) + key.secret()
    return _encoded(seed), _encoded(bytes([_USER]) + key.public)


def is_public(text: str) -> bool:
    """Whether `text` is the public half of a user's nkey, its checksum right."""
    if not _PUBLIC.fullmatch(text):
        return False
    raw = base64.b32decode(text)
    return raw[-2:] == _checksum(raw[:-2])


def public_of(seed: str) -> str:
    """The public half. Raises ValueError if `seed` is no user's seed."""
    return _encoded(bytes([_USER]) + key_of(seed).public)


def bytes_of(public: str) -> bytes:
    """The bare key in a public half that `is_public`, by which signatures are checked."""
    return base64.b32decode(public)[1:33]


def key_of(seed: str) -> SigningKey:
    """The pair as a key that signs. Raises ValueError if `seed` is no user's seed."""
    raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
    if len(raw) != 36 or raw[-2:] != _checksum(raw[:-2]) or not seed.startswith("SU"):
        raise ValueError("this is no seed of a user's nkey")
    return SigningKey.from_bytes(raw[2:34])


def _encoded(raw: bytes) -> str:
    return base64.b32encode(raw + _checksum(raw)).decode().rstrip("=")


def _checksum(raw: bytes) -> bytes:
    crc = 0
    for byte in raw:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
        crc &= 0xFFFF
    return crc.to_bytes(2, "little")
