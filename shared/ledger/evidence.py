"""Evidence: one file that proves what was recorded, to anyone, without a node, a database or a network.

The file carries every ledger it speaks of from its first fact on: protected bytes and signatures, which prove place,
order and author, and the contents of the facts that matter. docs/ledger.md, section 10, fixes the format.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.facts.fact import Fact, Unreadable, rfc3339
from shared.facts.keys import KeyBook, key_id, signature_is_valid
from shared.facts.names import ANCHOR, LedgerName, ledger_name
from shared.facts.verify import REKEYED, Head, Trouble, check, check_digest, check_right, head_statement
from shared.ledger.identity import ROSTER, ROSTER_LEDGER, Identity, anchor_recovery_in, learned_book, members_of
from shared.ledger.rows import redactions_in

FORMAT = "pilotmesh.evidence.v1"
MOST_BYTES = 1 << 30
"""Most that a packed chain may come to when it is unpacked: a million facts and more."""

Places = dict[tuple[int, int], Fact]


class Wrong(Exception):  # noqa: N818 - what the file is
    """The file proves nothing: the sentence says what was expected and what was found."""


# -- the format ------------------------------------------------------------------------------------------------------


def pack(facts: Iterable[tuple[Fact, bool]]) -> dict[str, Any]:
    """A ledger's facts in order, each with whether its content stands in the chain as well."""
    lines = []
    for fact, whole in facts:
        line: list[str | None] = [fact.protected.decode(), _base64(fact.signature)]
        if whole:
            payload = None if fact.payload is None else fact.payload.decode()
            line += [payload, None if fact.salt is None else _base64(fact.salt)]
        lines.append(json.dumps(line, ensure_ascii=False, separators=(",", ":")))
    packed = zlib.compress("\n".join(lines).encode(), 9)
    return {"facts": len(lines), "chain": _base64(packed)}


def unpack(packed: Mapping[str, Any]) -> list[Fact]:
    """The facts of a ledger as the file has them. Raises Wrong, ValueError, KeyError, TypeError, zlib.error."""
    reading = zlib.decompressobj()
    raw = reading.decompress(base64.b64decode(packed["chain"], validate=True), MOST_BYTES)
    if reading.unconsumed_tail or not reading.eof or reading.unused_data:
        raise Wrong("a chain is cut off, goes on behind its end, or is larger than any ledger")
    facts = []
    for line in raw.decode().split("\n"):
        protected, signature, *content = json.loads(line)
        payload, salt = content or (None, None)
        facts.append(
            Fact(
                protected.encode(),
                None if payload is None else payload.encode(),
                None if salt is None else base64.b64decode(salt, validate=True),
                base64.b64decode(signature, validate=True),
            )
        )
    if len(facts) != packed["facts"]:
        raise Wrong(f"a chain of {packed['facts']} facts was announced, and {len(facts)} are there")
    return facts


def shown(fact: Fact) -> dict[str, Any]:
    """A fact whose content stands in the file, or of which it is said that it was redacted."""
    payload = None if fact.payload is None else fact.payload.decode()
    return {"place": fact.place, "payload": payload, "salt": None if fact.salt is None else _base64(fact.salt)}


def written(document: Mapping[str, Any]) -> bytes:
    """The file's bytes: JSON with sorted names and a digest of all the rest, so that no byte changes unnoticed."""
    rest = {name: value for name, value in document.items() if name != "digest"}
    return _printed({**rest, "digest": hashlib.sha256(_printed(rest)).hexdigest()})


def _printed(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


# -- the check -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proven:
    """One fact that the file proves. `state` is None if its content was redacted."""

    place: str
    hash: str
    agency: str
    type: str
    subject: str
    time: str
    state: Mapping[str, Any] | None


@dataclass
class Verdict:
    """What the file proves and what it does not, in sentences; or why it proves nothing (`fault`)."""

    about: str = ""
    fault: str | None = None
    facts: list[Proven] = field(default_factory=list)
    proven: list[str] = field(default_factory=list)
    not_proven: list[str] = field(default_factory=list)


def check_evidence(raw: bytes, anchor: bytes | None = None) -> Verdict:
    """Checks a file. `anchor`: the mesh's anchor as its secretariat published it, if it is at hand."""
    verdict = Verdict()
    try:
        _Check(_document(raw), anchor, verdict).run()
    except Wrong as wrong:
        verdict.fault = str(wrong)
    except Trouble as trouble:
        verdict.fault = f"{trouble.code}: {trouble.detail}"
    except Unreadable as error:
        verdict.fault = f"unreadable: {error}"
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error, RecursionError, OverflowError) as error:
        verdict.fault = f"the file is not as {FORMAT} says: {type(error).__name__}: {error}"
    if verdict.fault is not None:
        verdict.facts, verdict.proven, verdict.not_proven = [], [], []
    return verdict


def _document(raw: bytes) -> dict[str, Any]:
    document = json.loads(raw.decode())
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise Wrong(f"this is no evidence that this version reads: expected format {FORMAT}")
    if written(document) != raw:
        raise Wrong("the file was altered after it was written: its digest, or its form, is not the one it should have")
    return document


class _Check:
    def __init__(self, document: Mapping[str, Any], anchor: bytes | None, verdict: Verdict) -> None:
        self.document = document
        self.told_anchor = anchor
        self.verdict = verdict
        self.identity = Identity(str(document["mesh"]), bytes.fromhex(document["anchor"]))
        self.chains: dict[str, Places] = {}
        self.heads: dict[str, Head] = {}
        self.contents = 0

    def run(self) -> None:
        document, verdict = self.document, self.verdict
        verdict.about = str(document["about"])
        if self.told_anchor is not None and self.told_anchor != self.identity.anchor:
            raise Wrong(
                f"the file's mesh has the anchor {self.identity.anchor.hex()}, not {self.told_anchor.hex()}: "
                "it proves nothing about your mesh"
            )
        facts = {ledger: unpack(packed) for ledger, packed in document["ledgers"].items()}
        book = self._book(facts)
        for ledger in sorted(facts, key=lambda one: (one != ROSTER_LEDGER, one)):
            self._walk(ledger, facts[ledger], book)
        self._shown(document["shown"])
        self._complete()
        self._heads(document["heads"], book)
        self._sentences()

    def _book(self, facts: Mapping[str, Sequence[Fact]]) -> KeyBook:
        """The keys by the newest roster in the file and every rekeying in it; each is itself checked in the walk."""
        if ROSTER_LEDGER not in facts:
            raise Wrong("the roster is missing: nobody's key can be believed without it")
        issued = [fact for fact in facts[ROSTER_LEDGER] if fact.header.subject == ROSTER]
        states = [fact.state for fact in issued]
        if not states or any(state is None for state in states):
            raise Wrong("the roster is not whole: every version of it must be there with its content")
        bound: dict[str, bytes] = {}
        for state in states:
            for member in members_of(state or {}):
                if bound.setdefault(member.agency, member.recovery) != member.recovery:
                    raise Wrong(f"the roster binds a second recovery key to {member.agency}, which it never may")
        rekeyings = [fact for chain in facts.values() for fact in chain if fact.header.type == REKEYED]
        return learned_book(self.identity, states[-1], rekeyings, anchor_recovery_in(state or {} for state in states))

    def _walk(self, ledger: str, facts: Sequence[Fact], book: KeyBook) -> None:
        head, places = Head(), Places()
        for fact in facts:
            if str(fact.header.ledger) != ledger:
                raise Wrong(f"{fact.place} stands in the chain of {ledger}")
            head = check(fact, mesh=self.identity.mesh, head=head, book=book)
            places[fact.header.position] = fact
        self.chains[ledger], self.heads[ledger] = places, head

    def _shown(self, listed: Sequence[Mapping[str, Any]]) -> None:
        seen = set[str]()
        for one in listed:
            ledger, epoch, sequence = str(one["place"]).rsplit(":", 2)
            bare = self.chains.get(ledger, {}).get((int(epoch), int(sequence)))
            if bare is None or bare.place != one["place"] or bare.place in seen:
                raise Wrong(f"{one['place']} is shown, and stands in no chain of this file, or is shown twice")
            seen.add(bare.place)
            payload, salt = one["payload"], one["salt"]
            fact = Fact(
                bare.protected,
                None if payload is None else payload.encode(),
                None if salt is None else base64.b64decode(salt, validate=True),
                bare.signature,
            )
            check_digest(fact)
            check_right(fact)
            if fact.payload is None and not self._explained(fact):
                raise Wrong(f"{fact.place}: its content is missing, and no redaction in its ledger says why")
            header = fact.header
            self.contents += fact.payload is not None
            self.verdict.facts.append(
                Proven(
                    fact.place, fact.hash, header.agency, header.type, header.subject, rfc3339(header.time), fact.state
                )
            )

    def _explained(self, fact: Fact) -> bool:
        chain = self.chains[str(fact.header.ledger)].values()
        named = (one for redaction in chain for one in redactions_in(redaction))
        return any((one.epoch, one.sequence) == fact.header.position for one in named)

    def _complete(self) -> None:
        there = {one.place for one in self.verdict.facts}
        if not there:
            raise Wrong("no fact is shown: there is nothing to prove")
        for chain in self.chains.values():
            for fact in chain.values():
                if fact.header.subject == self.verdict.about and fact.place not in there:
                    raise Wrong(f"{fact.place} is about {self.verdict.about} and was left out of what is shown")

    def _heads(self, heads: Sequence[Mapping[str, Any]], book: KeyBook) -> None:
        for told in heads:
            head = Head(int(told["epoch"]), int(told["sequence"]), str(told["hash"]))
            ledger = str(told["ledger"])
            place = f"{ledger}:{head.epoch}:{head.sequence}"
            held = self.chains.get(ledger, {}).get(head.position)
            if held is not None and held.hash != head.hash:
                raise Wrong(f"{place}: a witnessed head has hash {head.hash}, the chain {held.hash}")
            agency, after = ledger_name(ledger).agency, (head.epoch, head.sequence + 1)
            ranges = (book.find(agency, str(told["keyid"]), ledger, at) for at in (head.position, after))
            public = next((one.public for one in ranges if one is not None), None)
            statement = head_statement(self.identity.mesh, ledger, head).hex()
            signature = base64.b64decode(told["signature"], validate=True)
            if public is None or not signature_is_valid(public, statement, signature):
                raise Wrong(f"{place}: the witnessed head is not signed under a key that holds there")

    def _sentences(self) -> None:
        document, verdict = self.document, self.verdict
        for ledger, head in sorted(self.heads.items()):
            verdict.proven.append(
                f"{ledger}: {len(self.chains[ledger])} facts in one unbroken chain from the first up to "
                f"{head.epoch}:{head.sequence}, each signed under a key that held there."
            )
        agencies = sorted({one.agency for one in verdict.facts})
        verdict.proven.append(
            f"{len(verdict.facts)} facts are shown, of {', '.join(agencies)}; {self.contents} with the content that "
            f"was signed. None about {verdict.about} in these chains is left out."
        )
        if document["heads"]:
            verdict.proven.append(f"{len(document['heads'])} signed heads agree with the chains.")
        if self.told_anchor is None:
            verdict.not_proven.append(
                f"Which mesh this is. The file says that its anchor is {self.identity.anchor.hex()} "
                f"({key_id(self.identity.anchor)}): compare it with the one your secretariat published."
            )
        else:
            verdict.proven.append("The mesh is the one whose anchor you named.")
        for one in verdict.facts:
            if one.state is None:
                verdict.not_proven.append(f"What {one.place} said: its content was redacted by {one.agency}.")
        total = sum(len(chain) for name, chain in self.chains.items() if name != ROSTER_LEDGER)
        if total > self.contents:
            verdict.not_proven.append(
                f"What the other {total - self.contents} facts of these ledgers say: only their places and authors "
                "are here."
            )
        left_out = document.get("left_out") or {}
        for audience, count in sorted(left_out.items()):
            verdict.not_proven.append(f"{int(count)} facts in {audience} ledgers were left out, the file says.")
        if document.get("private"):
            verdict.not_proven.append("Who else may read this: facts of private or circle ledgers are in it.")
        verdict.not_proven.append(
            "What was recorded after these chains end; that nothing else names the record in other ledgers; and the "
            "times, which are what the writers' clocks said."
        )


def is_open(name: LedgerName) -> bool:
    """Whether every member of the mesh may read the ledger."""
    return not name.is_private and name.circle is None


def public_anchor(text: str) -> bytes:
    """The anchor as it was published, 64 hex digits. Raises ValueError."""
    anchor = bytes.fromhex(text.strip())
    if len(anchor) != 32:
        raise ValueError(f"an anchor has 64 hexadecimal digits, found {len(text.strip())}")
    return anchor


__all__ = ["ANCHOR", "FORMAT", "Proven", "Verdict", "Wrong", "check_evidence", "pack", "shown", "unpack", "written"]
