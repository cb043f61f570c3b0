"""Who becomes a member and stays one: rules over the roster's state. Pure.

An agency joins with an invite's code and with proof that it holds both private keys: the same request signed by the
signing key and by the recovery key. So nobody can bind another's recovery key, and the hub never sees a private half.
The node proves in the same way that the nkey of its link is its own: nobody is placed on a node of others.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from shared.bus import nkey
from shared.bus.links import DOMAIN
from shared.facts.fact import to_bytes
from shared.facts.keys import SigningKey, signature_is_valid
from shared.facts.names import AGENCY
from shared.ledger.identity import ACTIVE, SUSPENDED, Member, members_of, roster_state
from shared.problems import Conflict, Fault, Invalid, NotFound
from shared.settings import SERVICES

TAKEN_DOMAINS = frozenset({*SERVICES, "provisioner", "intake", "system"})
"""Names of NATS users on every node: a domain of that name would share their inboxes."""

RosterChange = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """What an agency's node tells the hub about itself."""

    agency: str
    public: bytes
    recovery: bytes
    domain: str
    leaf: str
    node: str

    def statement(self, mesh: str, code: str) -> str:
        """Hex digest that the keys sign: bound to this mesh and to this invite."""
        told = {
            "mesh": mesh,
            "code": hashlib.sha256(code.encode()).hexdigest(),
            "agency": self.agency,
            "public": self.public.hex(),
            "recovery": self.recovery.hex(),
            "domain": self.domain,
            "leaf": self.leaf,
            "node": self.node,
        }
        return hashlib.sha256(b"pilotmesh.join.v1\0" + to_bytes(told)).hexdigest()

    def signed(self, mesh: str, code: str, key: SigningKey, recovery: SigningKey, link: SigningKey) -> dict[str, Any]:
        """The request as it is posted. `link`: the nkey of the node's link, as a key that signs."""
        statement = self.statement(mesh, code)
        return {
            "code": code,
            "agency": self.agency,
            "public": self.public.hex(),
            "recovery": self.recovery.hex(),
            "domain": self.domain,
            "leaf": self.leaf,
            "node": self.node,
            "signature": base64.b64encode(key.sign(statement)).decode(),
            "recovery_signature": base64.b64encode(recovery.sign(statement)).decode(),
            "leaf_signature": base64.b64encode(link.sign(statement)).decode(),
        }

    def as_member(self) -> Member:
        return Member(self.agency, self.public, self.recovery, self.node, domain=self.domain, leaf=self.leaf)


def join_request(post: Mapping[str, Any], mesh: str) -> tuple[str, JoinRequest]:
    """The invite's code and the request. Raises Invalid with every fault, the signatures' last."""
    faults: list[Fault] = []
    code = text_in(post, "code", faults, "the code of your invite")
    agency = text_in(post, "agency", faults, "your agency's slug")
    if agency and not AGENCY.fullmatch(agency):
        faults.append(Fault("agency", "slug", "2 to 32 lower-case letters, digits or hyphens, a letter first"))
    public, recovery = (key_in(post, field, faults) for field in ("public", "recovery"))
    if public and public == recovery:
        faults.append(Fault("recovery", "same", "a key of its own: whoever steals the signing key must not have it"))
    domain, leaf, node = node_in(post, faults)
    if faults:
        raise Invalid(faults)
    request = JoinRequest(agency, public, recovery, domain, leaf, node)
    statement = request.statement(mesh, code)
    signers = (("signature", public), ("recovery_signature", recovery), ("leaf_signature", nkey.bytes_of(leaf)))
    for field, signing in signers:
        if not signature_is_valid(signing, statement, bytes_in(post.get(field))):
            faults.append(Fault(field, "signature", "not this request for this mesh, signed by the key it names"))
    if faults:
        raise Invalid(faults)
    return code, request


def node_in(post: Mapping[str, Any], faults: list[Fault], *, linked: bool = True) -> tuple[str, str, str]:
    """Domain, nkey and address of the node that asks; what is wrong with them is added to `faults`. The hub itself has
    no link (not `linked`), and so no nkey."""
    domain = text_in(post, "domain", faults, "your node's JetStream domain")
    if domain and (not DOMAIN.fullmatch(domain) or domain in TAKEN_DOMAINS):
        detail = "up to 32 lower-case letters, digits or hyphens, a letter first, and no service's name"
        faults.append(Fault("domain", "domain", f"{detail}; your agency's slug will do"))
    leaf = text_in(post, "leaf", faults, "the public half of your NATS server's nkey") if linked else ""
    if leaf and not nkey.is_public(leaf):
        faults.append(Fault("leaf", "nkey", "the public half of a user's nkey (U…)"))
    node = text_in(post, "node", faults, "the address of your node's API")
    if node and not is_address(node):
        faults.append(Fault("node", "url", "an http or https address such as https://pilotmesh.wfp.example"))
    return domain, leaf, node


def is_member(state: Mapping[str, Any], request: JoinRequest) -> bool:
    """Whether exactly this node was admitted for the agency before."""
    return any(
        (one.agency, one.public, one.recovery, one.domain, one.leaf)
        == (request.agency, request.public, request.recovery, request.domain, request.leaf)
        for one in members_of(state)
    )


def admit(state: Mapping[str, Any], request: JoinRequest, *, own_domain: str, today: date) -> dict[str, Any]:
    """The roster with the new member. Raises Conflict, Invalid."""
    if is_expired(state, today):
        raise Conflict(
            f"The roster expired on {state['expires_on']}: the secretariat renews it before it admits anyone."
        )
    members = members_of(state)
    if any(one.agency == request.agency for one in members):
        raise Conflict(
            f"{request.agency} is a member already, with other keys. A lost key is replaced with the recovery key, "
            "not by joining again."
        )
    faults = []
    known = {one.recovery for one in members}
    if request.recovery in known:
        faults.append(Fault("recovery", "bound", "this recovery key is another agency's; each makes its own"))
    keys = {key for one in members for key in (one.public, *(earlier.public for earlier in one.earlier))}
    if request.public in keys | known or request.recovery in keys:
        faults.append(Fault("public", "bound", "this key is another agency's; each makes its own"))
    there = [one for one in members if one.domain == request.domain]
    if request.domain == own_domain or any(one.leaf != request.leaf for one in there):
        faults.append(
            Fault("domain", "taken", f"another node's domain is {request.domain}; join again with --domain NAME")
        )
    if any(one.leaf == request.leaf and one.domain != request.domain for one in members):
        faults.append(Fault("leaf", "bound", "this nkey is that of a node with another domain"))
    if faults:
        raise Invalid(faults)
    return roster_state([*members, request.as_member()], state)


def with_status(state: Mapping[str, Any], agency: str, status: str) -> dict[str, Any]:
    """The roster with one agency suspended or active again. Raises NotFound."""
    assert status in (ACTIVE, SUSPENDED)
    members = members_of(state)
    if all(one.agency != agency for one in members):
        raise NotFound(f"{agency} is not in the roster.")
    return roster_state([replace(one, status=status) if one.agency == agency else one for one in members], state)


def with_expiry(state: Mapping[str, Any], expires_on: date | None) -> dict[str, Any]:
    """The roster with another last day, or with none."""
    return {**roster_state(members_of(state), state), "expires_on": None if expires_on is None else str(expires_on)}


def is_expired(state: Mapping[str, Any], today: date) -> bool:
    """Whether the roster's last day is over. Known keys go on; nobody new is admitted."""
    expires_on = state.get("expires_on")
    return isinstance(expires_on, str) and today > date.fromisoformat(expires_on)


def leaves(state: Mapping[str, Any], own_domain: str) -> list[dict[str, str]]:
    """Domain and nkey of each node that may link here: one that hosts an active agency."""
    linked = {
        one.domain: one.leaf
        for one in members_of(state)
        if one.status == ACTIVE and one.domain and one.leaf and one.domain != own_domain
    }
    return [{"domain": domain, "public": leaf} for domain, leaf in sorted(linked.items())]


def text_in(post: Mapping[str, Any], field: str, faults: list[Fault], what: str) -> str:
    found = post.get(field)
    if not isinstance(found, str) or not 0 < len(found) <= 200:
        faults.append(Fault(field, "text", f"{what}, a text of at most 200 characters"))
        return ""
    return found


def key_in(post: Mapping[str, Any], field: str, faults: list[Fault]) -> bytes:
    try:
        raw = bytes.fromhex(post[field])
    except (KeyError, TypeError, ValueError):
        raw = b""
    if len(raw) != 32:
        faults.append(Fault(field, "key", "the public half of an Ed25519 key, 64 hexadecimal digits"))
        return b""
    return raw


def bytes_in(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        return b""


def is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
