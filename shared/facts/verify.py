"""Is this fact what it says it is? Small policies; each error says what was expected and what was found.

The three kinds of trouble of the design are three exceptions, because what follows differs:
`NotAuthentic` (recorded, the head does not move), `ChainTrouble` (a gap waits, a fork freezes the ledger),
`NotFoldable` (head and cursor move on, the fact is marked and healed later). `UnknownKey` waits for the roster.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.facts.fact import GENESIS, MAX_BYTES, Fact, Unreadable, payload_digest
from shared.facts.keys import KeyBook, KeyRange, key_id, signature_is_valid
from shared.facts.names import ANCHOR, COMMON_KINDS, KINDS, OWNER_FIELDS, PRIVATE_KINDS

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


def check_mesh(fact: Fact, mesh: str) -> None:
    if fact.header.mesh != mesh:
        raise NotAuthentic("mesh", f"{fact.place}: expected mesh {mesh}, found {fact.header.mesh}")


def check_right(fact: Fact) -> None:
    """A service writes only its own kinds, and a payload names no other owner than its ledger's agency."""
    header = fact.header
    if header.service == "mesh" and header.kind == "roster" and header.agency != ANCHOR:
        raise NotAuthentic("writer", f"{fact.place}: a roster stands only in {ANCHOR}.mesh")
    if header.kind not in KINDS[header.service] and header.kind not in COMMON_KINDS:
        raise NotAuthentic("kind", f"{fact.place}: {header.service} writes no {header.kind} facts")
    if header.kind in PRIVATE_KINDS and header.ledger.audience == "mesh":
        raise NotAuthentic("audience", f"{fact.place}: {header.kind} facts never stand in a mesh-wide ledger")
    if header.kind not in COMMON_KINDS and header.subject.split("/", 1)[0] != header.kind:
        raise NotAuthentic("subject", f"{fact.place}: a {header.kind} fact about {header.subject}")
    owner_field = OWNER_FIELDS.get(header.kind)
    if owner_field is None or fact.payload is None:
        return
    try:
        state = fact.state or {}
    except (Unreadable, ValueError):
        return  # authentic or not is decided by digest and signature; foldable or not by the fold
    owner = state.get(owner_field)
    if owner is not None and owner != header.agency:
        raise NotAuthentic("owner", f"{fact.place}: {owner_field} is {owner}, but the ledger is {header.agency}'s")


def check_digest(fact: Fact) -> None:
    """The payload is the one that was signed. A redacted payload proves nothing and breaks nothing."""
    if fact.payload is None or fact.salt is None:
        if fact.payload is not None or fact.salt is not None:
            raise NotAuthentic("digest", f"{fact.place}: payload and salt are there or gone together")
        return
    found = payload_digest(fact.salt, fact.payload)
    if found != fact.header.payload_digest:
        raise NotAuthentic("digest", f"{fact.place}: expected digest {fact.header.payload_digest}, found {found}")
    if len(fact.payload) + len(fact.protected) > MAX_BYTES:
        raise NotAuthentic("size", f"{fact.place}: larger than {MAX_BYTES} bytes")


def check_chain(fact: Fact, head: Head) -> None:
    """The fact comes right after `head`."""
    header = fact.header
    if header.type == REOPENED and header.epoch == head.epoch + 1 and header.sequence == 1:
        return  # a frozen ledger goes on from the hash it names; check_signature asks for the recovery key
    if header.position <= head.position:
        if header.position == head.position and fact.hash != head.hash:
            raise ChainTrouble("fork", f"{fact.place}: hash {fact.hash}, but {head.hash} stands there already")
        raise ChainTrouble("position", f"{fact.place}: expected a fact after {head.epoch}:{head.sequence}")
    if header.epoch != head.epoch or header.sequence != head.sequence + 1:
        raise ChainTrouble("gap", f"{fact.place}: expected sequence {head.sequence + 1} of epoch {head.epoch}")
    if header.previous != head.hash:
        raise ChainTrouble("fork", f"{fact.place}: expected previous {head.hash or 'none'}, found {header.previous}")


def check_signature(fact: Fact, book: KeyBook) -> None:
    """Signed under a key that holds for this place."""
    header = fact.header
    if not book.knows(header.agency):
        raise UnknownKey("agency", f"{fact.place}: agency {header.agency} is not in the roster")
    recovery = book.recovery.get(header.agency)
    if header.type in (REOPENED, REKEYED) and recovery is not None and header.keyid == key_id(recovery):
        public = recovery
    elif header.type == REOPENED:
        raise NotAuthentic("key", f"{fact.place}: a ledger is reopened by the recovery key, found {header.keyid}")
    else:
        held = book.find(header.agency, header.keyid, str(header.ledger), header.position)
        if held is None:
            if book.holds(header.agency, header.keyid):
                raise NotAuthentic("key_range", f"{fact.place}: key {header.keyid} does not hold for this position")
            raise UnknownKey("key", f"{fact.place}: key {header.keyid} is not known for {header.agency}")
        public = held.public
    if not signature_is_valid(public, fact.hash, fact.signature):
        raise NotAuthentic("signature", f"{fact.place}: the signature is not by key {header.keyid}")


def check(fact: Fact, *, mesh: str, head: Head, book: KeyBook) -> Head:
    """All policies in order. Returns the new head; learns a new key from a rekeying fact. Raises Trouble."""
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


def learn_key(fact: Fact, book: KeyBook) -> None:
    """A `ledger.rekeyed` fact names the key that holds for its ledger from the next position on."""
    header = fact.header
    state = fact.state
    if state is None:
        return
    try:
        public = bytes.fromhex(state["public"])
    except (KeyError, ValueError, TypeError) as error:
        raise NotFoldable("rekeyed", f"{fact.place}: expected `public`, 32 bytes in hex") from error
    after = (header.epoch, header.sequence + 1)
    book.add(KeyRange(header.agency, key_id(public), public, str(header.ledger), after))


def verdict(fact: Fact, *, mesh: str, head: Head, book: KeyBook) -> Trouble | None:
    """Like `check`, as an answer instead of an exception."""
    try:
        check(fact, mesh=mesh, head=head, book=book)
    except Trouble as trouble:
        return trouble
    return None
