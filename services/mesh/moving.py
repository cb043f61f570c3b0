"""An agency goes to another node: the roster names the new one, once for each time that the agency was exported.

The rules are pure and come first. The agency itself asks, by its newest signing key, which only the exported file
holds; or by its recovery key, if the node that hosted it is lost. Each request carries the id of its move, and the
roster remembers all of them: a file that is imported twice, on two nodes, is good for the first, and no request that
was granted is granted again once the agency has moved on.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shared.bus import nkey
from shared.bus.homing import home_statement
from shared.facts.fact import Fact, Unreadable, from_wire, to_bytes, to_wire
from shared.facts.keys import SigningKey, key_id, signature_is_valid
from shared.facts.names import AGENCY, ANCHOR, UUID
from shared.facts.verify import announcements_of, learn_key
from shared.ledger.drafts import Author
from shared.ledger.identity import SUSPENDED, Identity, Member, Revocation, Roster, members_of, roster_state
from shared.problems import Conflict, Fault, Forbidden, Invalid, NotFound
from shared.settings import Settings

from . import membership
from .checking import is_authentic
from .joining import hub_end
from .keys import announced, revoked, taken_up
from .members import RosterWriter

MOVE = "move"
"""Name, in the roster's entry of an agency, of the id of its last move."""
MOVES = "moves"
"""And of the ids of those before: a request that was granted once is good for nothing when it is repeated later."""
MOST_ANNOUNCEMENTS = 200
SIGNING, RECOVERY = "signing", "recovery"


# -- rules ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MoveRequest:
    """What the new node of an agency tells the hub."""

    agency: str
    move: str
    domain: str
    leaf: str
    """Empty on the hub itself, which has no link to itself."""
    node: str
    by: str = SIGNING
    """Which key has signed: the agency's newest signing key, or its recovery key."""

    def statement(self, mesh: str) -> str:
        """Hex digest that is signed: bound to this mesh and to this one move."""
        told = {"mesh": mesh, **self._told()}
        return hashlib.sha256(b"pilotmesh.move.v1\0" + to_bytes(told)).hexdigest()

    def signed(
        self, mesh: str, key: SigningKey, node_key: SigningKey | None, announcements: Sequence[Fact] = ()
    ) -> dict[str, Any]:
        """The request as it is posted. `node_key`: that of the node's link, on the hub the anchor's (None where it is
        not at hand, which the hub refuses). `announcements`: the agency's rekeyings, which introduce the key."""
        statement = self.statement(mesh)
        agreed = b"" if node_key is None else node_key.sign(statement)
        return {
            **self._told(),
            "leaf": self.leaf or None,
            "announcements": [base64.b64encode(to_wire(fact)).decode() for fact in announcements],
            "signature": base64.b64encode(key.sign(statement)).decode(),
            "node_signature": base64.b64encode(agreed).decode(),
        }

    def _told(self) -> dict[str, Any]:
        names = ("agency", "move", "domain", "leaf", "node", "by")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Posted:
    """A request as it came, nothing of it proven."""

    request: MoveRequest
    announcements: tuple[Fact, ...]
    signature: bytes
    node_signature: bytes


def move_request(agency: str, post: Mapping[str, Any]) -> Posted:
    """Raises Invalid with every fault."""
    faults: list[Fault] = []
    if not AGENCY.fullmatch(agency) or agency == ANCHOR:
        faults.append(Fault("agency", "slug", "the slug of a member, such as wfp"))
    move = membership.text_in(post, MOVE, faults, "the id of the move, as the exported file has it")
    if move and not UUID.fullmatch(move):
        faults.append(Fault(MOVE, "id", "a UUID"))
    domain, leaf, node = membership.node_in(post, faults, linked=post.get("leaf") is not None)
    by = post.get("by", SIGNING)
    if by not in (SIGNING, RECOVERY):
        faults.append(Fault("by", "by", f"{SIGNING} or {RECOVERY}: which key has signed the request"))
    told = post.get("announcements", [])
    announcements: list[Fact] = []
    try:
        if not isinstance(told, list) or len(told) > MOST_ANNOUNCEMENTS:
            raise ValueError("no list")
        announcements = [from_wire(base64.b64decode(one, validate=True)) for one in told]
    except (ValueError, TypeError, binascii.Error, Unreadable):
        detail = f"the agency's rekeyings, at most {MOST_ANNOUNCEMENTS}, each as it travels, in base64"
        faults.append(Fault("announcements", "facts", detail))
    if faults:
        raise Invalid(faults)
    request = MoveRequest(agency, move, domain, leaf, node, str(by))
    signature, agreed = (membership.bytes_in(post.get(name)) for name in ("signature", "node_signature"))
    return Posted(request, tuple(announcements), signature, agreed)


def member_in(state: Mapping[str, Any], agency: str) -> Member:
    """Raises NotFound."""
    found = next((one for one in members_of(state) if one.agency == agency), None)
    if found is None:
        raise NotFound(f"{agency} is not in the roster: `pilotmesh hub invite {agency}` lets it in.")
    return found


def is_there(member: Member, request: MoveRequest) -> bool:
    """Whether exactly this move is the one that stands. Raises Conflict if it was recorded to another node, or was
    followed by another move."""
    if request.move in member.more.get(MOVES, ()):
        raise Conflict(
            f"{request.agency} has moved by this very request before, and has moved on since. Where it is to move "
            "again, it is exported, or taken over, anew."
        )
    if member.more.get(MOVE) != request.move:
        return False
    if (member.domain, member.leaf or "") != (request.domain, request.leaf):
        raise Conflict(
            f"{request.agency} was imported from this very file before, by the node {member.domain} "
            f"({member.node}): it is hosted there. To move it again, export it there."
        )
    return True


def moved(state: Mapping[str, Any], member: Member, request: MoveRequest, own_domain: str) -> dict[str, Any]:
    """The roster with the agency, as `member` has it, at the node that asks. Raises Conflict, Invalid."""
    if member.status == SUSPENDED:
        raise Conflict(f"{request.agency} is suspended: the secretariat resumes it before it moves.")
    others = [one for one in members_of(state) if one.agency != request.agency]
    faults = []
    is_hub = request.domain == own_domain
    there = [one.leaf for one in others if one.domain == request.domain]
    if member.domain == request.domain:  # coming back; or somebody else who calls himself like the node before
        there.append(member.leaf)
    if is_hub == bool(request.leaf) or any((leaf or "") != request.leaf for leaf in there):
        taken = f"another node's domain is {request.domain}; give the same command with --domain NAME"
        faults.append(Fault("domain", "taken", taken))
    if request.leaf and any(one.leaf == request.leaf and one.domain != request.domain for one in (*others, member)):
        faults.append(Fault("leaf", "bound", "this nkey is that of a node with another domain"))
    if faults:
        raise Invalid(faults)
    last = member.more.get(MOVE)
    past = [*member.more.get(MOVES, ()), *([] if last is None else [last])]
    entry = replace(
        member,
        domain=request.domain,
        leaf=request.leaf or None,
        node=request.node,
        more={**member.more, MOVE: request.move, MOVES: past},
    )
    return roster_state([*others, entry], state)


# -- what is done --------------------------------------------------------------------------------------------------


@dataclass
class Moving:
    """The hub's part: the anchor records where an agency is hosted from now on."""

    writer: RosterWriter
    roster: Roster
    identity: Identity
    settings: Settings
    last_word: Callable[[str, bytes], tuple[Revocation, list[bytes]]]
    """What takes a key back beyond what this node has witnessed, and the keys announced until then."""

    def move(self, agency: str, post: Mapping[str, Any]) -> dict[str, Any]:
        """The same request again is answered the same. Raises Invalid, Forbidden, NotFound, Conflict."""
        hub = self._hub()
        posted = move_request(agency, post)
        request = posted.request

        def change(state: Mapping[str, Any]) -> dict[str, Any]:
            held = member_in(state, agency)
            member = self._proven(held, posted)
            if is_there(held, request):
                return dict(state)
            if request.by == RECOVERY:
                member = self._taken_over(member)
            after = moved(state, member, request, self.settings.nats_domain)
            self._node_agrees(posted)
            return after

        fact = self.writer.change(Author("moving", "system"), change)
        told = {"domain": self.settings.nats_domain, "url": self.settings.url, "leaf": hub["leaf"]}
        return {"mesh": self.identity.mesh, "agency": agency, "roster": _in_base64(fact), "hub": told}

    def homes(self, post: Mapping[str, Any]) -> dict[str, Any]:
        """The newest roster, to a node that proves that it has, or had, a key of one of these agencies: one that was
        put back to an earlier day, or cut off meanwhile, learns by it whom it hosts. Raises Forbidden."""
        told = post.get("agencies")
        asking = told if isinstance(told, Mapping) else {}
        book = self.roster.book()
        for agency, proof in list(asking.items())[:MOST_ANNOUNCEMENTS]:
            try:
                public, signature = bytes.fromhex(proof["public"]), base64.b64decode(proof["signature"])
            except (KeyError, TypeError, ValueError):
                continue
            statement = home_statement(self.identity.mesh, str(agency))
            if book.holds(str(agency), key_id(public)) and signature_is_valid(public, statement, signature):
                newest = self.writer.newest()
                if newest is None:
                    break
                return {"mesh": self.identity.mesh, "roster": _in_base64(newest)}
        raise Forbidden("Who asks where an agency is hosted proves it with a key that the agency has, or had.")

    def _proven(self, member: Member, posted: Posted) -> Member:
        """The member with the keys that it has announced; the request is signed by the newest. Raises Forbidden."""
        request = posted.request
        book = self.roster.book()
        if request.by == RECOVERY:
            public = member.recovery
        else:
            said = []
            for fact in posted.announcements:
                if str(fact.header.ledger) == announcements_of(member.agency) and is_authentic(
                    fact, self.identity.mesh, book
                ):
                    learn_key(fact, book)
                    said.append(fact)
            member = taken_up(member, announced(said, book))
            public = member.public
        if key_id(public) in book.revoked(member.agency):
            raise Forbidden(f"The key by which {member.agency} was exported was revoked: take it over instead.")
        if not signature_is_valid(public, request.statement(self.identity.mesh), posted.signature):
            raise Forbidden(
                f"The request is not signed by the newest key of {member.agency}: it was exported again, or its key "
                "was replaced, after this file was written."
                if request.by == SIGNING
                else f"The roster binds another recovery key to {member.agency}."
            )
        return member

    def _node_agrees(self, posted: Posted) -> None:
        """The node that is named has signed as well: by the nkey of its link, which the roster has for its domain; the
        hub by the anchor's key. Else an agency could place itself on a node of others. Raises Forbidden, Conflict."""
        request = posted.request
        if request.leaf:
            public = nkey.bytes_of(request.leaf)
        else:
            self.writer.need_anchor()
            public = bytes.fromhex(self.writer.anchor_key() or "")
        if not signature_is_valid(public, request.statement(self.identity.mesh), posted.node_signature):
            whose = "the nkey that it names" if request.leaf else "the anchor's key, as the hub signs"
            raise Forbidden(f"The request is not signed by {whose}: only a node itself takes an agency in.")

    def _taken_over(self, member: Member) -> Member:
        """The key of a lost node holds no further than what this hub has witnessed."""
        if any(one.keyid == key_id(member.public) for one in member.revocations):
            return member
        revocation, good = self.last_word(member.agency, member.public)
        return revoked(member, revocation, good)

    def _hub(self) -> dict[str, Any]:
        told = hub_end(Path(self.settings.home))
        if told is None:
            raise Conflict("This node is no hub: who hosts an agency is recorded by the hub of its mesh.")
        return told


def _in_base64(fact: Fact) -> str:
    return base64.b64encode(to_wire(fact)).decode()
