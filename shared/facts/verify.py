"""Is this fact what it says it is? Small policies; each error says what was expected and what was found.

The three kinds of trouble of the design are three exceptions, because what follows differs:
`NotAuthentic` (recorded, the head does not move), `ChainTrouble` (a gap waits, a fork freezes the ledger),
`NotFoldable` (head and cursor move on, the fact is marked and healed later). `UnknownKey` waits for the roster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.facts.fact import GENESIS, MAX_BYTES, SALT_BYTES, Fact, Unreadable, payload_digest, to_bytes
from shared.facts.keys import KEY_BYTES, KeyBook, key_id, signature_is_valid
from shared.facts.names import ANCHOR, COMMON_KINDS, KINDS, OWNER_FIELDS, PRIVATE_KINDS, LedgerName

REOPENED = "org.pilotmesh.ledger.reopened.v1"
REKEYED = "org.pilotmesh.ledger.rekeyed.v1"
REDACTED = "org.pilotmesh.fact.redacted.v1"


class Trouble(Exception):  # noqa: N818 - the design's word
    """What is wrong with a fact. `code` is stable, the message says expected and found."""

    kind = "trouble"

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class NotAuthentic(Trouble):
    """Forged, altered, of another mesh, or by somebody with no right to write it."""

    kind = "not_authentic"


class UnknownKey(Trouble):
    """Signed under a key the roster does not name (yet): the fact waits."""

    kind = "unknown_key"


class ChainTrouble(Trouble):
    """A gap before this fact, or a second fact in one place."""

    kind = "chain"


class NotFoldable(Trouble):
    """Authentic, but this node cannot read it (newer type, broken payload)."""

    kind = "not_foldable"


@dataclass(frozen=True, slots=True)
class Head:
    """How far a ledger is known: (epoch, sequence) and hash of its newest fact."""

    epoch: int = 1
    sequence: int = 0
    hash: str = GENESIS

    @property
    def position(self) -> tuple[int, int]:
        return (self.epoch, self.sequence)


def head_statement(mesh: str, ledger: str, head: Head) -> bytes:
    """The bytes that an agency signs to say how far one of its ledgers has come."""
    told = {"mesh": mesh, "ledger": ledger, "epoch": head.epoch, "sequence": head.sequence, "hash": head.hash}
    return b"pilotmesh.head.v1\0" + to_bytes(told)


def check_mesh(fact: Fact, mesh: str) -> None:
    if fact.header.mesh != mesh:
        raise NotAuthentic("mesh", f"{fact.place}: expected mesh {mesh}, found {fact.header.mesh}")


def check_right(fact: Fact) -> None:
    """A service writes only its own kinds, and a payload names no other owner than its ledger's agency."""
    header = fact.header
    try:
        state = fact.state
    except Unreadable:
        state = None  # authentic or not is decided by digest and signature; foldable or not by the fold
    wrong = no_right(header.ledger, header.kind, header.subject, state)
    if wrong is not None:
        raise NotAuthentic(wrong[0], f"{fact.place}: {wrong[1]}")


def no_right(ledger: LedgerName, kind: str, subject: str, state: Mapping[str, Any] | None) -> tuple[str, str] | None:
    """Why such a fact may not stand in this ledger, as (code, sentence); None if it may."""
    about, _, about_id = subject.partition("/")
    if ledger.agency == ANCHOR and str(ledger) != f"{ANCHOR}.mesh":
        return "writer", f"the anchor writes only {ANCHOR}.mesh"
    if ledger.service == "mesh" and kind == "roster" and ledger.agency != ANCHOR:
        return "writer", f"a roster stands only in {ANCHOR}.mesh"
    if kind not in KINDS[ledger.service] and kind not in COMMON_KINDS:
        return "kind", f"{ledger.service} writes no {kind} facts"
    if kind in PRIVATE_KINDS and ledger.audience == "mesh":
        return "audience", f"{kind} facts never stand in a mesh-wide ledger"
    if kind not in COMMON_KINDS and about != kind:
        return "subject", f"a {kind} fact about {subject}"
    if kind == "agency" and about_id != ledger.agency:
        return "owner", f"the fact is about {subject}, but the ledger is {ledger.agency}'s"
    field = OWNER_FIELDS.get(kind)
    owner = None if field is None or state is None else state.get(field)
    if owner is not None and owner != ledger.agency:
        return "owner", f"{field} is {owner!r:.80}, but the ledger is {ledger.agency}'s"
    return None


def check_digest(fact: Fact) -> None:
    """The payload is the one that was signed. A redacted payload proves nothing and breaks nothing."""
    if fact.payload is None or fact.salt is None:
        if fact.payload is not None or fact.salt is not None:
            raise NotAuthentic("digest", f"{fact.place}: payload and salt are there or gone together")
        check_size(fact)
        return
    if len(fact.salt) != SALT_BYTES:  # or bytes could be moved between salt and payload under one digest
        raise NotAuthentic("digest", f"{fact.place}: expected a salt of {SALT_BYTES} bytes, found {len(fact.salt)}")
    found = payload_digest(fact.salt, fact.payload)
    if found != fact.header.payload_digest:
        raise NotAuthentic("digest", f"{fact.place}: expected digest {fact.header.payload_digest}, found {found}")
    check_size(fact)


def check_size(fact: Fact) -> None:
    if len(fact.payload or b"") + len(fact.protected) > MAX_BYTES:
        raise NotAuthentic("size", f"{fact.place}: larger than {MAX_BYTES} bytes")


def check_chain(fact: Fact, head: Head) -> None:
    """The fact comes right after `head`."""
    header = fact.header
    if header.type == REOPENED and (header.epoch, header.sequence) == (head.epoch + 1, 1):
        # A frozen ledger goes on from the hash it names; check_signature asks for the recovery key.
        if head.hash == GENESIS or header.previous != head.hash:
            found = head.hash or "nothing"
            raise ChainTrouble("gap", f"{fact.place}: goes on from {header.previous}, but {found} is the head here")
        return
    if header.position <= head.position:
        if header.position == head.position and fact.hash != head.hash:
            raise ChainTrouble("fork", f"{fact.place}: hash {fact.hash}, but {head.hash} stands there already")
        raise ChainTrouble("position", f"{fact.place}: expected a fact after {head.epoch}:{head.sequence}")
    if header.epoch != head.epoch or header.sequence != head.sequence + 1:
        raise ChainTrouble("gap", f"{fact.place}: expected sequence {head.sequence + 1} of epoch {head.epoch}")
    if header.previous != head.hash:
        raise ChainTrouble("fork", f"{fact.place}: expected previous {head.hash or 'none'}, found {header.previous}")


def check_key(fact: Fact, book: KeyBook) -> bytes:
    """The public key under which this place may be signed, by the key id that the fact names. Computes nothing."""
    header = fact.header
    if not book.knows(header.agency):
        raise UnknownKey("agency", f"{fact.place}: agency {header.agency} is not in the roster")
    recovery = book.recovery.get(header.agency)
    if header.type in (REOPENED, REKEYED) and recovery is not None and header.keyid == key_id(recovery):
        return recovery
    if header.type == REOPENED:
        raise NotAuthentic("key", f"{fact.place}: a ledger is reopened by the recovery key, found {header.keyid}")
    ledger = str(header.ledger)
    held = book.find(header.agency, header.keyid, ledger, header.position)
    if held is None:
        if book.holds(header.agency, header.keyid):
            raise NotAuthentic("key_range", f"{fact.place}: key {header.keyid} does not hold for this position")
        raise UnknownKey("key", f"{fact.place}: key {header.keyid} is not known for {header.agency}")
    if book.contradicts(header.agency, header.keyid, ledger, header.position, fact.hash):
        raise NotAuthentic("key_range", f"{fact.place}: the revocation of {header.keyid} names another fact here")
    return held.public


def check_signature(fact: Fact, book: KeyBook) -> None:
    """Signed under a key that holds for this place."""
    if not signature_is_valid(check_key(fact, book), fact.hash, fact.signature):
        raise NotAuthentic("signature", f"{fact.place}: the signature is not by key {fact.header.keyid}")


def check(fact: Fact, *, mesh: str, head: Head, book: KeyBook) -> Head:
    """All policies in order. Returns the new head; learns a new key from a rekeying fact. Raises Trouble.

    A fact that passes may still be one that this node cannot fold (a newer type): that is the fold's to say.
    """
    try:
        header = fact.header
    except Unreadable as error:
        raise NotAuthentic("unreadable", str(error)) from error
    check_mesh(fact, mesh)
    check_right(fact)
    check_digest(fact)
    check_signature(fact, book)
    check_chain(fact, head)
    if header.type == REKEYED:
        learn_key(fact, book)
    return Head(header.epoch, header.sequence, fact.hash)


def learn_key(fact: Fact, book: KeyBook) -> bool:
    """A `ledger.rekeyed` fact names the key that alone holds for its ledger from the next position on.

    In the agency's ledger of announcements it also says which key it `replaces` and which ledgers had `begun` by then:
    the new key begins all others. False if it names no key that can be read, or if whoever signed it had no right to
    (any more: a revocation reaches what was believed before): then the key before it goes on holding.
    """
    header = fact.header
    try:
        state = fact.state or {}
        public = bytes.fromhex(state["public"])
        check_key(fact, book)
    except (KeyError, ValueError, TypeError, Trouble):
        return False
    if len(public) != KEY_BYTES:
        return False
    book.rekey(header.agency, str(header.ledger), (header.epoch, header.sequence + 1), public)
    succession = succession_in(state) if str(header.ledger) == announcements_of(header.agency) else None
    if succession is not None:
        book.succeed(header.agency, succession[0], public, succession[1])
    return True


def announcements_of(agency: str) -> str:
    """The ledger in which an agency says that its key has changed; for the anchor, its only one."""
    return f"{ANCHOR}.mesh" if agency == ANCHOR else f"{agency}.registry"


def succession_in(state: Mapping[str, Any]) -> tuple[bytes, list[str]] | None:
    """The key that an announcement replaces, and the digests of the ledgers begun before; None if it says neither."""
    try:
        before, begun = bytes.fromhex(state["replaces"]), state["begun"]
    except (KeyError, ValueError, TypeError):
        return None
    if len(before) != KEY_BYTES or not isinstance(begun, list):
        return None
    return before, [digest for digest in begun if isinstance(digest, str)]


def in_order_of_learning(rekeyings: Iterable[Fact]) -> list[Fact]:
    """Announcements first: they introduce keys by which other ledgers were begun; then each ledger in its order."""

    def order(fact: Fact) -> tuple[bool, str, tuple[int, int]]:
        ledger = str(fact.header.ledger)
        return (ledger != announcements_of(fact.header.agency), ledger, fact.header.position)

    return sorted(rekeyings, key=order)


def verdict(fact: Fact, *, mesh: str, head: Head, book: KeyBook) -> Trouble | None:
    """Like `check`, as an answer instead of an exception."""
    try:
        check(fact, mesh=mesh, head=head, book=book)
    except Trouble as trouble:
        return trouble
    return None
