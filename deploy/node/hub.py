"""Makes a node a hub: a leaf listener for its NATS server, certificates for it, and what invites tell of both."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from deploy.nats.authority import make_authority, make_server_certificate
from deploy.nats.config import write_private
from deploy.nats.link import Listener, link_of, write_link
from deploy.node.home import NodeError
from deploy.node.rehoming import keep_seed
from shared.bus.links import DOMAIN
from shared.bus.peers import takes_links
from shared.facts.keys import SigningKey
from shared.facts.names import ANCHOR
from shared.ledger.identity import Identity, ensure_identity
from shared.ledger.keyring import ANCHOR_PUBLIC, Keyring, replace_secret, write_secret
from shared.settings import Settings

AUTHORITY, CERTIFICATE, KEY = "hub-ca.pem", "hub.pem", "hub.key"
HUB_DOMAIN = "hub"
LEAF_PORT = 7422
"""NATS's own default for leaf nodes."""


@dataclass(frozen=True, slots=True)
class HubLink:
    """How members are to reach this node's NATS server. `hosts` are the names and addresses they use for it."""

    hosts: tuple[str, ...]
    listen: str = f"0.0.0.0:{LEAF_PORT}"
    websocket: str | None = None
    leaf: tuple[str, ...] = ()
    """Addresses for the invites, where they differ from host and port (a proxy, another port outside)."""
    certificate: Path | None = None
    """The operator's own, with `key`; without it the mesh's authority makes one."""
    key: Path | None = None
    authority: Path | None = None
    """Whom members shall trust for the operator's certificate; None: whom their machines trust."""


def make_hub(settings: Settings, link: HubLink, *, standby: bool = False) -> Identity:
    """This node as a hub from its next start on; a member as a `standby`, which takes links and stays a member.

    It may be repeated: keys and certificates that stand are kept, the server's certificate is made anew. Raises
    NodeError for the wrong kind of node, and for what cannot be so.
    """
    home = settings.home.expanduser().absolute()
    if standby and not (home / "mesh.json").exists():
        raise NodeError("A standby hub is a member first: `pilotmesh node join FILE`, then this again.")
    identity = ensure_identity(home)
    if identity.hub is not None and not standby:
        raise NodeError(
            f"This node is a member of the mesh of {identity.hub.url}; a hub is a node of its own. `--standby` makes "
            "it a second hub of that mesh."
        )
    if identity.hub is None and standby:
        raise NodeError("This node has joined no hub, so it is nobody's standby. Without --standby it is a hub itself.")
    if (link.certificate is None) != (link.key is None):
        raise NodeError("A certificate needs its key, and a key its certificate: give both, or neither.")
    domain = identity.domain or (settings.nats_domain if settings.nats_domain != "node" else HUB_DOMAIN)
    if not DOMAIN.fullmatch(domain):
        raise NodeError(f"{domain!r} is no domain for a link: lower-case letters, digits and hyphens.")
    folder = home / "nats"
    told = _certificates(home, folder, identity.mesh, link)
    listener = Listener(link.listen, CERTIFICATE, KEY, AUTHORITY if told else CERTIFICATE, link.websocket)
    write_link(home, replace(link_of(home), listener=listener))
    hub = {"leaf": list(link.leaf or _addresses(link)), "authority": told}
    replace_secret(folder / "hub.json", json.dumps(hub, indent=2) + "\n")
    made = replace(identity, domain=domain)
    made.write(home)
    return made


def take_over(home: Path) -> Identity:
    """A standby as the mesh's first hub from its next start on: its own link, to a hub that is gone, is given up.

    `pilotmesh node rehome` is the way back. Raises NodeError.
    """
    identity = ensure_identity(home)
    if not takes_links(home):
        raise NodeError("This node takes no links. `pilotmesh hub init` makes it a hub, or, with --standby, a second.")
    if identity.hub is None:
        raise NodeError("This node is the first hub already: it has joined no other.")
    keep_seed(home)
    made = replace(identity, hub=None)
    made.write(home)  # first: a hub with a link that leads nowhere harms nobody
    write_link(home, replace(link_of(home), remote=None))
    return made


def _certificates(home: Path, folder: Path, mesh: str, link: HubLink) -> str | None:
    """Puts certificates where the server reads them; the authority's, which members are to trust."""
    if link.certificate is not None and link.key is not None:
        try:
            authority = None if link.authority is None else link.authority.read_text()
            write_private(folder / CERTIFICATE, link.certificate.read_text())
            write_private(folder / KEY, link.key.read_text())
        except OSError as error:
            raise NodeError(f"{error.filename} cannot be read: {error.strerror}") from error
        if authority is not None:
            write_private(folder / AUTHORITY, authority)
        return authority
    if not link.hosts:
        raise NodeError("Say under which name or address members reach this machine: --address HOST.")
    kept, kept_key = home / "mesh-ca" / "ca.pem", home / "mesh-ca" / "ca.key"
    if not kept.exists():
        authority_pem, authority_key = make_authority(mesh)
        kept_key.unlink(missing_ok=True)  # of an attempt that was cut off before its certificate
        write_secret(kept_key, authority_key.decode())
        write_secret(kept, authority_pem.decode())
    authority_pem = kept.read_bytes()
    certificate, key = make_server_certificate(authority_pem, kept_key.read_bytes(), list(link.hosts))
    write_private(folder / AUTHORITY, authority_pem.decode())
    write_private(folder / CERTIFICATE, certificate.decode())
    write_private(folder / KEY, key.decode())
    return authority_pem.decode()


def _addresses(link: HubLink) -> list[str]:
    """`tls://host:port` of each host, and `wss://…` if WebSocket is on; plain TLS first."""
    found = [f"tls://{_bracketed(host)}:{_port(link.listen)}" for host in link.hosts]
    if link.websocket is not None:
        found += [f"wss://{_bracketed(host)}:{_port(link.websocket)}" for host in link.hosts]
    return found


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _port(listen: str) -> int:
    port = urlsplit(f"//{listen}").port
    if port is None:
        raise NodeError(f"{listen!r} is no host:port")
    return port


# -- the anchor's key --------------------------------------------------------------------------------------------


def take_anchor_out(home: Path, file: Path) -> None:
    """Moves the anchor's key into `file`: the node goes on as a hub and can change the roster no more.

    Raises NodeError; then the key is where it was.
    """
    key = home / "keys" / f"{ANCHOR}.key"
    if not Keyring(home / "keys").hosts(ANCHOR):
        raise NodeError("The anchor's key is not on this node.")
    try:
        write_secret(file.absolute(), key.read_text())
    except OSError as error:
        raise NodeError(f"{file} cannot be written: {error.strerror or error}") from error
    replace_secret(
        home / "keys" / ANCHOR_PUBLIC, SigningKey.from_bytes(bytes.fromhex(key.read_text().strip())).public.hex()
    )
    key.unlink()


def put_anchor_back(home: Path, file: Path) -> None:
    """The reverse; `file` stays. Raises NodeError if it is not this mesh's anchor."""
    identity = ensure_identity(home)
    try:
        secret = file.read_text().strip()
        public = SigningKey.from_bytes(bytes.fromhex(secret)).public
    except (OSError, ValueError) as error:
        raise NodeError(f"{file} holds no key: {error}") from error
    taken_out = home / "keys" / ANCHOR_PUBLIC
    expected = bytes.fromhex(taken_out.read_text()) if taken_out.exists() else identity.anchor
    if public != expected:  # the one by which the mesh is known, or one that has followed it
        raise NodeError(f"{file} holds another key than this mesh's anchor.")
    try:
        write_secret(home / "keys" / f"{ANCHOR}.key", secret + "\n")
    except FileExistsError as error:
        raise NodeError("The anchor's key is on this node already.") from error
