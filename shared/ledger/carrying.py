"""The file in which an agency travels from one node to another: its keys, its ledgers from their first facts on, and
what only its node knows. Sealed with a passphrase; whoever alters a byte of it makes it useless.

    one line of JSON: format, agency, mesh, when, and the parameters of the key derivation
    then, to the end: AES-256-GCM of zlib of lines of JSON, the line above as associated data

The key is scrypt's (RFC 7914) of the passphrase. The first line inside is the manifest, each other line a fact.
"""

from __future__ import annotations

import base64
import json
import secrets
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from shared.facts.fact import Fact, Unreadable, from_wire, rfc3339, to_bytes, to_wire
from shared.facts.keys import KeyBook
from shared.facts.names import ledger_name
from shared.facts.verify import Head, Trouble, check
from shared.ledger.departing import Place
from shared.ledger.store import Document, LedgerStore, fact_of

FORMAT = "pilotmesh.agency.v1"
COST = {"n": 1 << 15, "r": 8, "p": 1}
"""Of scrypt: 32 MiB and about a tenth of a second for each passphrase that somebody tries."""
MOST_BYTES = (1 << 31) - 64
"""What AES-GCM takes at once."""
MOST_UNPACKED = 1 << 33
REPEATED_WITHIN = timedelta(days=7)
"""Idempotency keys older than this stay behind: nobody repeats a request after so long."""


class NotCarried(Exception):  # noqa: N818 - what the file is
    """The file cannot be used; the sentence says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Carried:
    """One fact with what stands beside it in the store."""

    fact: Fact
    command: Document | None
    twice: bool
    """Its version was used before, by its own writer; it is a fact all the same."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in the file. Nothing of it is checked but that it is what was sealed."""

    manifest: dict[str, Any]
    facts: list[Carried]

    @property
    def agency(self) -> str:
        return str(self.manifest["agency"])

    @property
    def heads(self) -> dict[str, Place]:
        return {ledger: (one[0], one[1], one[2]) for ledger, one in self.manifest["heads"].items()}


def new_passphrase() -> str:
    """One that nobody guesses: 160 bits, in groups of five that can be read over a telephone."""
    text = base64.b32encode(secrets.token_bytes(20)).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def facts_of(store: LedgerStore, agency: str, now: datetime) -> Iterator[dict[str, Any]]:
    """Every fact of an agency's ledgers as a line of the file, ledger after ledger in order."""
    for ledger in store.ledgers():
        if ledger_name(ledger).agency != agency:
            continue
        for document in store.walk(ledger):
            fact = fact_of(document)
            line: dict[str, Any] = {"fact": json.loads(to_wire(fact))}
            if fact.trace is not None:
                line["trace"] = fact.trace
            if document.get("command") and document["stored_at"] > now - REPEATED_WITHIN:
                line["command"] = document["command"]
            if document["version"] != fact.header.version:
                line["twice"] = True
            yield line


def seal(manifest: Mapping[str, Any], facts: Iterable[Mapping[str, Any]], passphrase: str, now: datetime) -> bytes:
    """The file's bytes. Raises NotCarried if they would be more than can be sealed at once."""
    packing = zlib.compressobj()
    parts = [packing.compress(to_bytes(dict(manifest)) + b"\n")]
    parts += [packing.compress(to_bytes(dict(line)) + b"\n") for line in facts]
    parts.append(packing.flush())
    packed = b"".join(parts)
    if len(packed) > MOST_BYTES:
        raise NotCarried(f"{len(packed) >> 20} MiB are more than one file can hold; tell the makers of PilotMesh.")
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    head = {
        "format": FORMAT,
        "agency": manifest["agency"],
        "mesh": manifest["mesh"],
        "made_at": rfc3339(now),
        "scrypt": {**COST, "salt": base64.b64encode(salt).decode()},
        "nonce": base64.b64encode(nonce).decode(),
    }
    line = to_bytes(head)
    return line + b"\n" + AESGCM(_derived(passphrase, salt, COST)).encrypt(nonce, packed, line)


def head_of(sealed: bytes) -> dict[str, Any]:
    """The first line, which anyone can read. Raises NotCarried if this is no such file."""
    line = sealed.split(b"\n", 1)[0]
    try:
        head = json.loads(line)
        if head["format"] != FORMAT:
            raise NotCarried(f"This file is {head['format']}; this node reads {FORMAT}. Update the node.")
        _ = (str(head["agency"]), str(head["mesh"]), head["scrypt"]["salt"], head["nonce"])
    except (ValueError, KeyError, TypeError) as error:
        raise NotCarried("This is no file that `node export-agency` has written.") from error
    told: dict[str, Any] = head
    return told


def opened(sealed: bytes, passphrase: str) -> Contents:
    """What is in the file. Raises NotCarried if the passphrase is wrong or a byte of the file is not as it was."""
    head = head_of(sealed)
    line, _, locked = sealed.partition(b"\n")
    try:
        cost = {name: int(head["scrypt"][name]) for name in ("n", "r", "p")}
        if cost != COST:  # the file must not decide how much memory opening it takes
            raise NotCarried(f"The file asks for scrypt with {cost}; this node derives keys with {COST}.")
        key = _derived(passphrase, base64.b64decode(head["scrypt"]["salt"]), cost)
        packed = AESGCM(key).decrypt(base64.b64decode(head["nonce"]), locked, line)
    except InvalidTag as error:
        raise NotCarried("The passphrase is wrong, or the file was altered or cut short.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise NotCarried(f"The file's first line is damaged ({error}); copy it again.") from error
    unpacking = zlib.decompressobj()
    text = unpacking.decompress(packed, MOST_UNPACKED)
    try:
        manifest, *lines = (json.loads(one) for one in text.splitlines())
        return Contents(manifest, [_carried(one) for one in lines])
    except (ValueError, KeyError, TypeError, Unreadable) as error:
        raise NotCarried(
            f"The file was sealed by a node that wrote it otherwise ({error}); update this node."
        ) from error


def proven(contents: Contents, book: KeyBook) -> None:
    """Checks every fact as if it came from a stranger: each ledger is complete from its first fact to the head at which
    it was sealed. Raises NotCarried with the first fault."""
    reached: dict[str, Head] = {}
    mesh = str(contents.manifest["mesh"])
    for one in contents.facts:
        ledger = str(one.fact.header.ledger)
        if one.fact.header.agency != contents.agency:
            raise NotCarried(f"{one.fact.place} is not {contents.agency}'s.")
        try:
            reached[ledger] = check(one.fact, mesh=mesh, head=reached.get(ledger, Head()), book=book)
        except Trouble as trouble:
            raise NotCarried(f"{trouble.detail} ({trouble.code}). Nothing was imported.") from trouble
    for ledger, (epoch, sequence, hash_hex) in contents.heads.items():
        found = reached.get(ledger, Head())
        if (found.epoch, found.sequence, found.hash) != (epoch, sequence, hash_hex):
            told = f"{ledger} was sealed at {epoch}:{sequence}, and ends at {found.epoch}:{found.sequence} in the file"
            raise NotCarried(f"{told}. Nothing was imported: export it again.")


def _carried(line: Mapping[str, Any]) -> Carried:
    fact = from_wire(to_bytes(line["fact"]), line.get("trace"))
    return Carried(fact, line.get("command"), bool(line.get("twice")))


def _derived(passphrase: str, salt: bytes, cost: Mapping[str, int]) -> bytes:
    return Scrypt(salt=salt, length=32, n=cost["n"], r=cost["r"], p=cost["p"]).derive(passphrase.encode())
