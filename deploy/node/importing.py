"""An agency is imported: its file is checked whole, the hub decides who takes it, then this node writes in its name.
Taking an export back is the same, without the file."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.cli import tokens
from deploy.cli.store import Ledgers
from deploy.nats.config import write_private
from deploy.nats.link import LINK_FILE
from deploy.node.bringing import check_brought, check_nobody_elses, put_actors, put_in
from deploy.node.exporting import Opening
from deploy.node.home import NodeError
from deploy.node.joining import AUTHORITY, Post, end_of, seed_of
from services.mesh.moving import MoveRequest
from shared.access.actors import NODE, new_token
from shared.bus import nkey
from shared.facts.fact import Fact, Unreadable, from_wire
from shared.facts.keys import SigningKey, key_id, signature_is_valid
from shared.facts.verify import REKEYED, Trouble, announcements_of, check_digest, check_mesh, check_signature
from shared.ledger.arriving import Position
from shared.ledger.carrying import Contents, NotCarried, proven
from shared.ledger.identity import ROSTER, ROSTER_LEDGER, HubAddress, Identity, Member, Roster, learned_book, members_of
from shared.ledger.keyring import Keyring, write_secret
from shared.ledger.signing import public_named_by
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Arrived:
    """What an import came to."""

    agency: str
    domain: str
    facts: int
    actors: int
    fresh: bool
    """Whether the node was made by it."""
    tokens: dict[str, dict[str, str]] = field(default_factory=dict)


def import_agency(
    settings: Settings, contents: Contents, post: Post, opening: Opening, *, domain: str | None = None
) -> Arrived:
    """Takes the agency of the file in. A fresh home becomes a member's by it.

    Everything is checked before the hub is asked; the hub decides who takes the agency, once for each file; the keys
    come last. Cut off anywhere, or without an answer, the same command goes on. Raises NodeError, NotCarried, and what
    `post` raises.
    """
    with ExitStack() as open_:
        identity = _identity_that_fits(settings.home.expanduser().absolute(), contents)
        ground = None if identity is None else open_.enter_context(opening())
        return _import(settings, contents, post, ground, lambda: open_.enter_context(opening()), domain)


def _import(
    settings: Settings,
    contents: Contents,
    post: Post,
    ground: Ledgers | None,
    opened: Callable[[], Ledgers],
    domain: str | None,
) -> Arrived:
    """`ground` is None in a fresh home, which has no store before it is a member's: `opened` opens it then."""
    home, told, agency = settings.home.expanduser().absolute(), contents.manifest, contents.agency
    identity = None if ground is None else ground.identity
    roster, anchor_key = _believed(told, ground)
    announcements = [one.fact for one in contents.facts if one.fact.header.type == REKEYED]
    anchored = Identity(str(told["mesh"]), bytes.fromhex(told["anchor"]))
    proven(contents, learned_book(anchored, roster.state, announcements))
    check_brought(agency, told["actors"], contents.facts, told["keys"])
    if ground is not None:
        check_nobody_elses(ground, agency, told["actors"], contents.facts)
    keyring = Keyring(home / "keys")
    _is_the_last_word(keyring, contents)
    hub = HubAddress(told["hub"]["domain"], told["hub"]["url"], tuple(told["hub"]["leaf"]))
    seed, name = _link_of(settings, identity, contents, domain)
    leaf, node_key = "", None
    if seed is not None:
        leaf, node_key = nkey.public_of(seed), nkey.key_of(seed)
    elif identity is not None:
        leaf, node_key = end_of(home, identity, keyring)
    request = MoveRequest(agency, str(told["move"]), name, leaf, settings.url)
    key = SigningKey.from_bytes(bytes.fromhex(_key_in(contents)))
    introducing = [fact for fact in announcements if str(fact.header.ledger) == announcements_of(agency)]
    asked = hub if identity is None else identity.hub  # whom a member asks is not for a file to say
    at = settings.url if asked is None else asked.url
    answer = post(f"{at}/mesh/v1/members/{agency}/moves", request.signed(anchored.mesh, key, node_key, introducing))
    since = _prove(answer, anchored.mesh, anchor_key, request)[1]
    made: dict[str, dict[str, str]] = {}
    if ground is None:
        assert seed is not None
        made = _become_member(home, contents, hub, name, seed)
    here = opened() if ground is None else ground
    count = put_in(here.store, contents.facts)
    actors = put_actors(here, agency, told["actors"])
    if here.keyring.left(agency) is not None:
        here.keyring.take_back(agency, since)
    here.keyring.arrive(agency, told["keys"], since)
    if told["tokens"]:
        tokens.keep(home, agency, told["tokens"])
    (home / "keys" / f"{agency}.arriving").unlink(missing_ok=True)
    return Arrived(agency, name, count, actors, identity is None, made)


def _is_the_last_word(keyring: Keyring, contents: Contents) -> None:
    """That this node has not gone on with the agency since the file was written. Raises NodeError."""
    agency = contents.agency
    if keyring.hosts(agency) and keyring.key(agency).secret().hex() != _key_in(contents):
        raise NodeError(f"This node hosts {agency} already, and has gone on since the file was written.")
    left = keyring.left(agency)
    if left is not None and left["move"] != contents.manifest["move"]:
        raise NodeError(
            f"{agency} was exported again from here since this file was written, and that file may be in use "
            f"elsewhere. To keep the agency here: `pilotmesh node export-agency {agency} --undo`."
        )


def take_back(ground: Ledgers, agency: str, post: Post) -> str:
    """An exported agency stays where it was: its file is good for nothing any more. Raises NodeError, and what `post`
    raises: while the hub gives no answer nobody can know that the file was not imported elsewhere."""
    left = ground.keyring.left(agency)
    if left is None:
        raise NodeError(f"{agency} was not exported from this node, or is back already.")
    settings, identity = ground.settings, ground.identity
    key = ground.keyring.leaving().key(agency)
    leaf, node_key = end_of(settings.home, identity, ground.keyring)
    request = MoveRequest(agency, str(left["move"]), settings.nats_domain, leaf, settings.url)
    at = settings.url if identity.hub is None else identity.hub.url
    announcements = ground.store.rekeyings(announcements_of(agency))
    answer = post(f"{at}/mesh/v1/members/{agency}/moves", request.signed(identity.mesh, key, node_key, announcements))
    ground.keyring.take_back(agency, proven_place(answer, ground, request)[1])
    return str(left["move"])


def _key_in(contents: Contents) -> str:
    return str(contents.manifest["keys"][f"{contents.agency}.key"]).strip()


def _identity_that_fits(home: Path, contents: Contents) -> Identity | None:
    """The node's identity, None for a fresh home. Raises NodeError if the node is of another mesh."""
    try:
        identity = Identity.read(home)
    except FileNotFoundError:
        return None
    if (identity.mesh, identity.anchor.hex()) != (contents.manifest["mesh"], contents.manifest["anchor"]):
        raise NodeError(
            f"{home} belongs to mesh {identity.mesh}, the file to {contents.manifest['mesh']}: facts count in their "
            "own mesh only. Import into a node of that mesh, or with a fresh home (PILOTMESH_HOME)."
        )
    return identity


def _believed(told: Mapping[str, Any], ground: Ledgers | None) -> tuple[Fact, bytes]:
    """The newest roster at hand, and the key by which the hub's answer must be signed. A node of the mesh goes by what
    it holds itself; only a fresh home has nothing but the file. Raises NotCarried."""
    held = None if ground is None else Roster(ground.store, ground.identity).newest()
    try:
        fact = from_wire(base64.b64decode(told["roster"]))
        if ground is None or held is None:
            anchor_key = bytes.fromhex(told["anchor_key"])
            _check_roster(fact, str(told["mesh"]), anchor_key)
            return fact, anchor_key
        check_mesh(fact, ground.identity.mesh)
        check_digest(fact)
        check_signature(fact, Roster(ground.store, ground.identity).book())
        if (str(fact.header.ledger), fact.header.subject) != (ROSTER_LEDGER, ROSTER):
            raise ValueError(f"{fact.place} is no roster")
    except (ValueError, Unreadable, Trouble) as error:
        raise NotCarried(
            f"The file's roster cannot be believed: {error}. If this node was away for long, start it "
            "(`pilotmesh up`), so that it hears of new keys of the mesh's anchor, and import again."
        ) from error
    return max(fact, held, key=lambda one: one.header.position), _anchor_key(ground)


def _anchor_key(ground: Ledgers) -> bytes:
    return public_named_by(ground.store.rekeyings(ROSTER_LEDGER)) or ground.identity.anchor


def _check_roster(fact: Fact, mesh: str, anchor_key: bytes) -> None:
    """Raises Trouble or ValueError unless the anchor of the mesh has signed it."""
    check_mesh(fact, mesh)
    check_digest(fact)
    if (
        (str(fact.header.ledger), fact.header.subject) != (ROSTER_LEDGER, ROSTER)
        or fact.header.keyid != key_id(anchor_key)
        or not signature_is_valid(anchor_key, fact.hash, fact.signature)
    ):
        raise ValueError(f"{fact.place} is not signed by the anchor of this mesh")


def proven_place(answer: Mapping[str, Any], ground: Ledgers, request: MoveRequest) -> tuple[Member, Position]:
    """The agency as the hub's answer has it, and where that roster stands: the roster of this node's mesh, with this
    node named. Raises NodeError."""
    return _prove(answer, ground.identity.mesh, _anchor_key(ground), request)


def _prove(answer: Mapping[str, Any], mesh: str, anchor_key: bytes, request: MoveRequest) -> tuple[Member, Position]:
    """The hub's answer: a roster that has the agency here. Raises NodeError."""
    try:
        fact = from_wire(base64.b64decode(answer["roster"], validate=True))
        _check_roster(fact, mesh, anchor_key)
        found = next(one for one in members_of(fact.state or {}) if one.agency == request.agency)
    except (KeyError, TypeError, ValueError, StopIteration, Unreadable, Trouble) as error:
        raise NodeError(f"The hub's answer is no roster of this mesh: {error}. Nothing was imported.") from error
    if (found.domain, found.leaf or "") != (request.domain, request.leaf):
        raise NodeError(f"The hub's roster has {request.agency} at {found.domain}, not here. Nothing was imported.")
    return found, fact.header.position


def _link_of(
    settings: Settings, identity: Identity | None, contents: Contents, domain: str | None
) -> tuple[str | None, str]:
    """The seed of the node's nkey (None on the hub, which needs none) and its domain; a fresh home gets both."""
    home = settings.home.expanduser().absolute()
    if identity is not None:
        if identity.domain is None:
            raise NodeError("This node is in no mesh with others. `pilotmesh hub init` makes it a hub.")
        if domain not in (None, identity.domain):
            raise NodeError(f"This node's domain is {identity.domain}; it has one only.")
        seed = seed_of(home)
        if seed is None and identity.hub is not None:
            raise NodeError(f"{home / 'nats' / LINK_FILE} has no link to the hub: join the mesh again.")
        return (None if identity.hub is None else seed), identity.domain
    pending = home / "keys" / f"{contents.agency}.arriving"
    before = str(contents.manifest["from"]["domain"])
    wanted = domain or (contents.agency if before != contents.agency else f"{contents.agency}-2")
    with suppress(FileExistsError):
        write_secret(pending, json.dumps({"leaf": nkey.make()[0], "domain": wanted}) + "\n")
    told: dict[str, str] = json.loads(pending.read_text())
    if domain is not None and told["domain"] != domain:  # refused before: another name is tried
        told["domain"] = domain
        pending.unlink()
        write_secret(pending, json.dumps(told) + "\n")
    return told["leaf"], told["domain"]


def _become_member(
    home: Path, contents: Contents, hub: HubAddress, domain: str, seed: str
) -> dict[str, dict[str, str]]:
    """Link, the operator's token, identity: the identity last, because with it the node is a member."""
    authority = contents.manifest["authority"]
    if authority is not None:
        write_private(home / "nats" / AUTHORITY, authority)
    remote = {
        "domain": hub.domain,
        "urls": list(hub.leaf),
        "seed": seed,
        "authority": None if authority is None else AUTHORITY,
    }
    write_private(home / "nats" / LINK_FILE, json.dumps({"remote": remote}, indent=2) + "\n")
    held = tokens.read(home)
    if "admin" not in held.get(NODE, {}):
        tokens.keep(home, NODE, {"admin": new_token()})
    Identity(str(contents.manifest["mesh"]), bytes.fromhex(contents.manifest["anchor"]), hub, domain).write(home)
    return {NODE: tokens.read(home)[NODE]}
