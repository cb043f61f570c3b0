"""Joins a mesh with an invite: keys are made here, their public halves go to the hub, its answer is proven.

What is made is on disk before the hub hears of it. A lost answer, or a crash at any step, is mended by the same
command with the same invite: the same keys are sent, and the hub answers as before.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.nats.config import write_private
from deploy.nats.link import LINK_FILE, Remote, link_of, write_link
from deploy.node.home import NodeError
from services.mesh.membership import JoinRequest, is_member
from shared.access.actors import NODE, new_token
from shared.bus import nkey
from shared.facts.fact import Unreadable, from_wire
from shared.facts.keys import SigningKey, key_id, signature_is_valid
from shared.facts.names import ANCHOR
from shared.facts.verify import Trouble, check_digest, check_mesh
from shared.ledger.identity import ROSTER, ROSTER_LEDGER, HubAddress, Identity
from shared.ledger.keyring import Keyring, write_secret
from shared.settings import Settings

AUTHORITY = "mesh-ca.pem"

Post = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""Posts a document to an address and answers the document that came back; raises what a refusal is to the caller."""


@dataclass(frozen=True, slots=True)
class Invite:
    """What the secretariat sent: whom it invites into which mesh, and how its hub is reached and recognised."""

    mesh: str
    anchor: bytes
    agency: str
    code: str
    expires_at: datetime
    hub: HubAddress
    authority: str | None
    anchor_key: bytes | None = None
    """The key that signs the roster now, where that is no longer the one by which the mesh is known."""


@dataclass(frozen=True, slots=True)
class Joined:
    """What came of it."""

    agency: str
    domain: str
    recovery_key: str
    tokens: dict[str, dict[str, str]]


def read_invite(text: str) -> Invite:
    """Raises NodeError if it is none."""
    try:
        told = json.loads(text)
        if told["pilotmesh_invite"] != 1:
            raise NodeError("This invite is for a newer PilotMesh than this one; update the node.")
        hub = HubAddress(str(told["hub"]["domain"]), str(told["hub"]["url"]), tuple(map(str, told["hub"]["leaf"])))
        return Invite(
            str(told["mesh"]),
            bytes.fromhex(told["anchor"]),
            str(told["agency"]),
            str(told["code"]),
            datetime.fromisoformat(told["expires_at"]),
            hub,
            told["authority"],
            bytes.fromhex(told["anchor_key"]) if told.get("anchor_key") else None,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise NodeError("This is no invite. Ask the secretariat for the file that `hub invite` writes.") from error


def join(settings: Settings, invite: Invite, post: Post, *, domain: str | None = None) -> Joined:
    """Joins the mesh of `invite` with the node in `settings.home`. Raises NodeError, and what `post` raises.

    The recovery key is answered and not kept here. Until everything else is done it lies beside the keys, so that a
    repetition answers the same.
    """
    home = settings.home.expanduser().absolute()
    known = _identity_that_fits(home, invite)
    pending_file = home / "keys" / f"{invite.agency}.joining"
    keyring = Keyring(home / "keys")
    if keyring.hosts(invite.agency) and not pending_file.exists():
        raise NodeError(
            f"This node hosts {invite.agency} already and has joined. `pilotmesh up` starts it, `pilotmesh node "
            "status` shows how it stands."
        )
    wanted = domain or (known.domain if known else None) or _domain_set(settings) or invite.agency
    pending = _pending(pending_file, wanted, home)
    if known is not None and known.domain != pending["domain"]:
        raise NodeError(f"This node's domain is {known.domain}; it has one only.")
    if pending["domain"] != wanted and domain is not None:  # refused before: another name is tried
        pending = {**pending, "domain": domain}
        pending_file.unlink()
        write_secret(pending_file, json.dumps(pending) + "\n")
    with suppress(FileExistsError):
        keyring.make(invite.agency)
    key = keyring.key(invite.agency)
    recovery = SigningKey.from_bytes(bytes.fromhex(pending["recovery"]))
    request = JoinRequest(
        invite.agency,
        key.public,
        recovery.public,
        pending["domain"],
        nkey.public_of(pending["leaf"]),
        settings.url,
    )
    signed = request.signed(invite.mesh, invite.code, key, recovery, nkey.key_of(pending["leaf"]))
    answer = post(f"{invite.hub.url}/mesh/v1/members", signed)
    _prove(invite, request, answer)
    tokens = _configure(home, invite, request.domain, pending["leaf"])
    pending_file.unlink()
    return Joined(invite.agency, request.domain, recovery.secret().hex(), tokens)


def is_expired(invite: Invite, now: datetime | None = None) -> bool:
    return (now or datetime.now(UTC)) >= invite.expires_at


def _identity_that_fits(home: Path, invite: Invite) -> Identity | None:
    """The node's identity, if it has joined this mesh before. Raises NodeError if it belongs elsewhere."""
    try:
        identity = Identity.read(home)
    except FileNotFoundError:
        return None
    if identity.mesh == invite.mesh and identity.anchor == invite.anchor and identity.hub is not None:
        return identity
    if identity.mesh == invite.mesh:
        raise NodeError(f"{home} is the hub of this mesh. It hosts agencies with `pilotmesh agency host`.")
    whose = "another mesh" if identity.hub is not None else "a mesh of its own"
    raise NodeError(
        f"{home} belongs to {whose}: its facts name that mesh and would count in no other. Join with a fresh home: "
        "set PILOTMESH_HOME to a new folder (and PILOTMESH_DATABASE_PREFIX to a new prefix, if PILOTMESH_MONGODB_URI "
        "names a server of yours), then hand your records in anew."
    )


def _domain_set(settings: Settings) -> str | None:
    return settings.nats_domain if settings.nats_domain != "node" else None


def _pending(file: Path, domain: str, home: Path) -> dict[str, str]:
    """The secrets of this attempt, or of the one before."""
    with suppress(FileExistsError):
        seed = seed_of(home) or nkey.make()[0]
        secret = {"recovery": SigningKey.make().secret().hex(), "leaf": seed, "domain": domain}
        write_secret(file, json.dumps(secret) + "\n")
    told: dict[str, str] = json.loads(file.read_text())
    return told


def seed_of(home: Path) -> str | None:
    """The nkey of a node that has joined for another agency: it has one link, whomever it hosts."""
    try:
        remote = json.loads((home / "nats" / LINK_FILE).read_text())["remote"]
    except (OSError, KeyError):
        return None
    return str(remote["seed"])


def end_of(home: Path, identity: Identity, keyring: Keyring) -> tuple[str, SigningKey | None]:
    """By which nkey the roster knows this node's link, and what it signs with as a node: that nkey's seed. The hub has
    no link to itself, and signs with the anchor's key, if that is here."""
    seed = None if identity.hub is None else seed_of(home)
    if seed is not None:
        return nkey.public_of(seed), nkey.key_of(seed)
    return "", keyring.key(ANCHOR) if identity.hub is None and keyring.hosts(ANCHOR) else None


def _prove(invite: Invite, request: JoinRequest, answer: Mapping[str, Any]) -> None:
    """The answer carries a roster of this mesh, signed by the invite's anchor, with this node in it."""
    try:
        fact = from_wire(base64.b64decode(answer["roster"], validate=True))
        header = fact.header
        check_mesh(fact, invite.mesh)
        check_digest(fact)
        signing = invite.anchor_key or invite.anchor
        fits = (
            str(header.ledger) == ROSTER_LEDGER
            and header.subject == ROSTER
            and header.keyid == key_id(signing)
            and signature_is_valid(signing, fact.hash, fact.signature)
            and is_member(fact.state or {}, request)
        )
    except (KeyError, TypeError, ValueError, Unreadable, Trouble) as error:
        raise NodeError(f"The hub's answer is no roster: {error}. Nothing was joined.") from error
    if not fits:
        raise NodeError(
            f"The answer of {invite.hub.url} is not signed by the anchor that the invite names, or does not name this "
            "node. Nothing was joined. Ask the secretariat whether the invite is theirs and the address right."
        )


def _configure(home: Path, invite: Invite, domain: str, seed: str) -> dict[str, dict[str, str]]:
    """Link, tokens, identity: the identity last, because with it the node is a member. Answers the new tokens."""
    if invite.authority is not None:
        write_private(home / "nats" / AUTHORITY, invite.authority)
    remote = Remote(invite.hub.domain, invite.hub.leaf, seed, None if invite.authority is None else AUTHORITY)
    write_link(home, replace(link_of(home), remote=remote))
    tokens = _tokens(home, invite.agency)
    Identity(invite.mesh, invite.anchor, invite.hub, domain).write(home)
    return tokens


def _tokens(home: Path, agency: str) -> dict[str, dict[str, str]]:
    """Adds tokens for the operator and the agency's admin, where there are none; the node's start makes them good."""
    path = home / "tokens.json"
    held: dict[str, dict[str, str]] = json.loads(path.read_text()) if path.exists() else {}
    for owner in (NODE, agency):
        held.setdefault(owner, {}).setdefault("admin", new_token())
    write_private(path, json.dumps(held, indent=2) + "\n")
    return {agency: held[agency]}
