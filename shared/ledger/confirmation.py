"""Confirmations: a node says that it has carried out a redaction, signed by an agency that it hosts.

What is signed names the redacting fact by its hash, which covers mesh, ledger and place; the node by its domain; and
the agency that signs. So nobody who passes a confirmation on can make it say something else. That it is true cannot be
proven: a node that has kept a copy may say that it has none.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from shared.facts.fact import HEX_DIGEST, to_bytes
from shared.facts.keys import KeyBook, SigningKey, signature_is_valid
from shared.facts.names import AGENCY
from shared.facts.verify import NotAuthentic, UnknownKey
from shared.ledger.identity import Member

PREFIX = b"pilotmesh.forgotten.v1\0"
LONGEST = 200
"""Characters of any text in a confirmation."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a node says of one redaction. A hub that hosts no agency has nobody to sign: its word counts only as
    itself gives it, over the link."""

    redaction: str
    """Hash of the redacting fact."""
    domain: str
    at: str
    agency: str | None = None
    keyid: str | None = None
    signature: str | None = None

    def statement(self, mesh: str) -> bytes:
        """The bytes that are signed."""
        told = {
            "agency": self.agency,
            "at": self.at,
            "domain": self.domain,
            "mesh": mesh,
            "redaction": self.redaction,
        }
        return PREFIX + to_bytes(told)

    def signed(self, mesh: str, agency: str, key: SigningKey) -> Confirmation:
        named = Confirmation(self.redaction, self.domain, self.at, agency, key.keyid)
        signature = base64.b64encode(key.private.sign(named.statement(mesh))).decode()
        return Confirmation(self.redaction, self.domain, self.at, agency, key.keyid, signature)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def confirmation_in(told: object) -> Confirmation | None:
    """What could be a confirmation at all; None for anything else."""
    if not isinstance(told, Mapping):
        return None
    values = {name: told.get(name) for name in ("redaction", "domain", "at", "agency", "keyid", "signature")}
    texts = [value for value in values.values() if value is not None]
    if not all(isinstance(one, str) and len(one) <= LONGEST for one in texts):
        return None
    if None in (values["redaction"], values["domain"], values["at"]):
        return None
    if HEX_DIGEST.fullmatch(str(values["redaction"])) is None:
        return None
    if values["agency"] is not None and AGENCY.fullmatch(str(values["agency"])) is None:
        return None
    return Confirmation(**values)  # type: ignore[arg-type] # they are texts, as was just seen


def check_confirmation(
    one: Confirmation, *, mesh: str, members: Sequence[Member], book: KeyBook, told_by: str | None
) -> None:
    """Whether the node itself said so. `told_by`: the domain of the node that handed it over, None for one that is
    kept. Raises NotAuthentic, UnknownKey."""
    hosted = {member.agency for member in members if member.domain == one.domain}
    what = f"confirmation of {one.redaction[:16]}… for node {one.domain}"
    if one.agency is None:
        if hosted:
            raise NotAuthentic(
                "confirmation", f"{what}: not signed, although the node hosts {', '.join(sorted(hosted))}"
            )
        if told_by not in (None, one.domain):
            raise NotAuthentic("confirmation", f"{what}: not signed, and handed over by {told_by}")
        return
    if one.agency not in hosted:
        raise NotAuthentic("confirmation", f"{what}: signed for {one.agency}, which that node does not host")
    keyid, signature = one.keyid or "", _bytes(one.signature)
    if keyid in book.revoked(one.agency):
        raise NotAuthentic("confirmation", f"{what}: signed under key {keyid} of {one.agency}, which was revoked")
    public = book.public(one.agency, keyid)
    if public is None:
        raise UnknownKey("key", f"{what}: signed under {keyid}, which is not known for {one.agency}")
    if not signature_is_valid(public, one.statement(mesh).hex(), signature):
        raise NotAuthentic("confirmation", f"{what}: the signature is not {one.agency}'s")


def _bytes(encoded: str | None) -> bytes:
    try:
        return base64.b64decode(encoded or "", validate=True)
    except (ValueError, binascii.Error):
        return b""
