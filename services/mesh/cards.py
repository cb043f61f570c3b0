"""A hub's card: by which a node that takes links says who it is, how it is reached, and whom to trust for its server.

It is signed by an agency that the roster places on that node, or by the anchor. So a member that rehomes needs to
trust neither the address that it was told nor the way on which the card came.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.bus.links import DOMAIN
from shared.facts.fact import to_bytes
from shared.facts.keys import SigningKey
from shared.facts.names import AGENCY, ANCHOR
from shared.problems import Fault, Invalid

VERSION = 1


@dataclass(frozen=True, slots=True)
class HubCard:
    """What a hub, or a standby hub, says of itself."""

    mesh: str
    anchor: bytes
    """By whose key the mesh is known."""
    domain: str
    url: str
    """Where its API answers."""
    leaf: tuple[str, ...]
    authority: str | None
    """The certificate that its NATS server's is checked against; None: those that the machine trusts."""
    member_of: str | None
    """The domain of the hub that this node itself has joined; None for the first hub."""
    signer: str
    """An agency that is hosted there, or the anchor."""
    keyid: str = ""
    signature: bytes = b""

    def statement(self) -> str:
        """Hex digest of what is signed."""
        told = {name: value for name, value in self.as_json().items() if name not in ("keyid", "signature")}
        return hashlib.sha256(b"pilotmesh.hub.v1\0" + to_bytes(told)).hexdigest()

    def signed(self, key: SigningKey) -> HubCard:
        told = {name: getattr(self, name) for name in self.__slots__}
        return HubCard(**{**told, "keyid": key.keyid, "signature": key.sign(self.statement())})

    def says_the_same(self, other: HubCard) -> bool:
        return self.statement() == other.statement()

    def as_json(self) -> dict[str, Any]:
        return {
            "pilotmesh_hub": VERSION,
            "mesh": self.mesh,
            "anchor": self.anchor.hex(),
            "domain": self.domain,
            "url": self.url,
            "leaf": list(self.leaf),
            "authority": self.authority,
            "member_of": self.member_of,
            "signer": self.signer,
            "keyid": self.keyid,
            "signature": base64.b64encode(self.signature).decode(),
        }


def read_card(told: object) -> HubCard:
    """Raises Invalid with every fault."""
    if not isinstance(told, Mapping):
        raise Invalid([Fault("card", "type", "a hub's card is an object, as `pilotmesh hub card` writes it")])
    if told.get("pilotmesh_hub") != VERSION:
        detail = f"{VERSION}; another number is of another version of PilotMesh, none at all is no hub's card"
        raise Invalid([Fault("card.pilotmesh_hub", "version", detail)])
    faults: list[Fault] = []

    def text(field: str, most: int = 300) -> str:
        found = told.get(field)
        if isinstance(found, str) and 0 < len(found) <= most:
            return found
        faults.append(Fault(f"card.{field}", "text", f"a text of at most {most} characters"))
        return ""

    mesh, domain, url, signer, keyid = (text(one) for one in ("mesh", "domain", "url", "signer", "keyid"))
    anchor, signature = b"", b""
    try:
        anchor = bytes.fromhex(text("anchor"))
    except ValueError:
        faults.append(Fault("card.anchor", "key", "the anchor's public key, hexadecimal"))
    try:
        signature = base64.b64decode(text("signature"), validate=True)
    except (binascii.Error, ValueError):
        faults.append(Fault("card.signature", "signature", "base64"))
    if domain and not DOMAIN.fullmatch(domain):
        faults.append(Fault("card.domain", "domain", "up to 32 lower-case letters, digits or hyphens, a letter first"))
    if signer and signer != ANCHOR and not AGENCY.fullmatch(signer):
        faults.append(Fault("card.signer", "slug", "an agency's slug, or the anchor"))
    leaf = told.get("leaf")
    if not isinstance(leaf, list) or not leaf or not all(_is_leaf(one) for one in leaf):
        faults.append(Fault("card.leaf", "addresses", "addresses such as tls://hub.example:7422 or wss://hub.example"))
        leaf = []
    authority, member_of = told.get("authority"), told.get("member_of")
    if authority is not None and not isinstance(authority, str):
        faults.append(Fault("card.authority", "text", "a certificate (PEM), or null"))
    if member_of is not None and not isinstance(member_of, str):
        faults.append(Fault("card.member_of", "text", "a node's domain, or null"))
    if faults:
        raise Invalid(faults)
    return HubCard(mesh, anchor, domain, url, tuple(leaf), authority, member_of, signer, keyid, signature)


def _is_leaf(address: object) -> bool:
    return isinstance(address, str) and address.startswith(("tls://", "wss://")) and len(address) <= 300
